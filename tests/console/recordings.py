"""Made recordings: a snapshot a second, in blocks of a minute; some of them bad."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from nodes.master.recording_blocks import encode_block, encode_snapshot
from nodes.wire import ClusterSnapshot
from tests.console.fakes import NOON, cluster_snapshot, worker_view


def snapshot_at(second: float, *, bad: bool = False) -> ClusterSnapshot:
    """The cluster so many seconds after noon: its rate is the second; bad with w2 slow."""
    workers = [worker_view(1, lookups_per_s=float(second)), worker_view(2, slow=bad)]
    return cluster_snapshot(workers, taken_at=NOON + second, answered=int(max(0, second)))


def snapshots(seconds: Iterable[int], bad: Collection[int] = ()) -> list[ClusterSnapshot]:
    """One for each of these seconds; those of `bad` have something wrong."""
    return [snapshot_at(second, bad=second in bad) for second in seconds]


def blocks(taken: Sequence[ClusterSnapshot]) -> bytes:
    """A recording of these, a block for each minute."""
    minutes: dict[int, list[ClusterSnapshot]] = {}
    for one in taken:
        minutes.setdefault(int(one.taken_at // 60), []).append(one)
    return b"".join(encode_block([encode_snapshot(one) for one in m]) for m in minutes.values())


def write(path: Path, taken: Sequence[ClusterSnapshot]) -> Path:
    """A file of these."""
    path.write_bytes(blocks(taken))
    return path
