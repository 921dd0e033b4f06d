"""Recordings: what was written is read again, whatever became of the rest of the file."""

from __future__ import annotations

import io
import json
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.client.attached import AttachedCluster
from nodes.errors import DataError
from nodes.master.journal import Journal
from nodes.master.master import Master
from nodes.master.recorder import MAX_WAITING_SNAPSHOTS, RETRY_S, SLACK, Recorder
from nodes.master.recording import MAX_PART_BYTES, Recording, read_part, recording_file
from nodes.master.recording_blocks import (
    FORMAT_VERSION,
    HEADER_BYTES,
    MAGIC,
    encode_block,
    encode_snapshot,
    find_blocks,
)
from nodes.security.tokens import ensure_token, valid_tokens
from nodes.wire import ClusterSnapshot
from tests.console.fakes import NOON, cluster_snapshot, worker_view
from tests.kit import Node, poll_for, run_nodes


def snapshot(second: float = 0.0, **changes: Any) -> ClusterSnapshot:
    """A snapshot of so many seconds after noon."""
    taken_at = NOON + second
    changes = {"answered": int(second), "taken_at": taken_at, **changes}
    return cluster_snapshot([worker_view(1), worker_view(2)], **changes)


def minutes(count: int, *, each: int = 60) -> list[list[ClusterSnapshot]]:
    """The snapshots of so many minutes, `each` of them evenly in each."""
    step = 60 / each
    return [[snapshot(60 * m + step * n) for n in range(each)] for m in range(count)]


def block_of(snapshots: Sequence[ClusterSnapshot], **options: Any) -> bytes:
    """A block of these."""
    return encode_block([encode_snapshot(one) for one in snapshots], **options)


def opened(data: bytes) -> Recording:
    """A recording of these bytes."""
    return Recording(io.BytesIO(data))


def everything(data: bytes) -> list[ClusterSnapshot]:
    """All that can be read; nothing if that is none."""
    try:
        recording = opened(data)
    except DataError:
        return []
    return list(recording.between(-1e300, 1e300))


def record(path: Path, snapshots: Sequence[ClusterSnapshot], **options: Any) -> Recorder:
    """Records them, and stops as a master does."""
    recorder = Recorder(path, **options)
    for one in snapshots:
        recorder.add(one)
    recorder.close()
    return recorder


# -- there and back ------------------------------------------------------------------------

figures = st.floats(allow_nan=False, allow_infinity=False)
some_workers = st.lists(
    st.builds(
        worker_view,
        number=st.integers(1, 99),
        state=st.text(max_size=5),
        why=st.text(),
        p99_ms=st.none() | figures,
        served=st.integers(0, 2**60),
        slow=st.booleans(),
    ),
    max_size=3,
)
some_snapshots = st.builds(
    cluster_snapshot,
    workers=some_workers,
    taken_at=st.floats(-1e12, 1e12),
    address=st.text(),
    catalogs=st.lists(st.text(), max_size=2).map(tuple),
    errors_by_code=st.dictionaries(st.text(), st.integers(0, 99), max_size=3),
    latencies=st.lists(st.tuples(figures, st.integers(0, 99)), max_size=3).map(tuple),
    tls_expires_at=st.none() | figures,
    lookups_per_s=figures,
    mean_lookups_per_s=figures,
)


@given(st.lists(st.lists(some_snapshots, min_size=1, max_size=4), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(blocks: list[list[ClusterSnapshot]]) -> None:
    recording = opened(b"".join(block_of(block) for block in blocks))
    written = [one for block in blocks for one in block]
    times = sorted(one.taken_at for one in written)
    assert recording.span == (times[0], times[-1])
    assert recording.count == len(written)
    found = list(recording.between(times[0], times[-1]))
    assert sorted(map(msgspec.json.encode, found)) == sorted(map(msgspec.json.encode, written))
    assert recording.trouble == ""


@given(st.lists(st.integers(0, 500), min_size=1, unique=True), st.integers(1, 7), st.data())
@settings(max_examples=60, deadline=None)
def test_a_time_finds_the_last_snapshot_before_it(
    seconds: list[int], size: int, data: st.DataObject
) -> None:
    seconds = sorted(seconds)
    written = [snapshot(second) for second in seconds]
    blocks = [written[n : n + size] for n in range(0, len(written), size)]
    recording = opened(b"".join(block_of(block) for block in blocks))
    for _ in range(5):
        at = data.draw(st.integers(-5, 510))
        expected = next((s for s in reversed(seconds) if s <= at), None)
        found = recording.at(NOON + at)
        assert (None if found is None else found.taken_at - NOON) == expected
        last = data.draw(st.integers(-5, 510))
        within = [one.taken_at - NOON for one in recording.between(NOON + at, NOON + last)]
        assert within == [second for second in seconds if at <= second <= last]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 7), st.integers(-2, 42))
@settings(max_examples=100, deadline=None)
def test_one_goes_from_what_went_wrong_to_what_went_wrong(
    bad: list[bool], size: int, at: int
) -> None:
    written = [snapshot(n, panic=wrong) for n, wrong in enumerate(bad)]
    blocks = [written[n : n + size] for n in range(0, len(written), size)]
    recording = opened(b"".join(block_of(block) for block in blocks))
    begins = [n for n, wrong in enumerate(bad) if wrong and not (n and bad[n - 1])]
    following = recording.next_bad(NOON + at, lambda one: one.panic)
    before = recording.previous_bad(NOON + at, lambda one: one.panic)
    assert following == next((written[n] for n in begins if n > at), None)
    assert before == next((written[n] for n in reversed(begins) if n < at), None)


def test_a_clock_that_is_set_back_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.recording"
    times = [*range(100), *range(40, 200)]
    record(path, [snapshot(second) for second in times])
    with Recording.open(path) as recording:
        found = [one.taken_at - NOON for one in recording.between(NOON, NOON + 1000)]
        assert sorted(found) == sorted(times)
        assert recording.span == (NOON, NOON + 199)


# -- damage --------------------------------------------------------------------------------


def test_any_byte_that_is_wrong_costs_its_block_and_no_other() -> None:
    blocks = minutes(3, each=2)
    encoded = [block_of(block) for block in blocks]
    whole = b"".join(encoded)
    end = 0
    for hit, size in enumerate(map(len, encoded)):
        start, end = end, end + size
        left = [one for n, block in enumerate(blocks) if n != hit for one in block]
        for place in range(start, end):
            for flip in (0xFF, 1 << place % 8):
                data = bytearray(whole)
                data[place] ^= flip
                assert everything(bytes(data)) == left, (place, flip)


def test_what_was_cut_off_is_left_out_and_what_was_appended_after_it_is_not() -> None:
    blocks = minutes(3, each=2)
    first, second, third = map(block_of, blocks)
    for cut in range(len(second)):
        assert everything(first + second[:cut]) == blocks[0]
        assert everything(first + second[:cut] + third) == blocks[0] + blocks[2], cut


@given(st.binary(max_size=300), st.integers(0, 2**32), st.booleans())
@settings(max_examples=200, deadline=None)
def test_garbage_is_no_recording_and_no_hindrance(garbage: bytes, seed: int, magic: bool) -> None:
    if magic:
        garbage += MAGIC + random.Random(seed).randbytes(HEADER_BYTES)
    assert everything(garbage) == []
    [block] = minutes(1, each=2)
    assert everything(garbage + block_of(block) + garbage) == block


def test_the_first_write_of_a_master_mends_what_the_last_one_left(tmp_path: Path) -> None:
    path = tmp_path / "r.recording"
    blocks = minutes(3, each=2)
    first, second, third = map(block_of, blocks)
    path.write_bytes(first + second[:-5] + third)
    stray = path.with_name(f"{path.name}.123.abcdef01")
    stray.write_bytes(b"a draft")
    later = snapshot(500)
    record(path, [later])
    assert path.read_bytes() == first + third + block_of([later])
    assert not stray.exists()


@pytest.mark.parametrize(
    ("version", "age"), [(FORMAT_VERSION + 1, "newer"), (FORMAT_VERSION - 1, "older")]
)
def test_another_version_is_told_in_words(tmp_path: Path, version: int, age: str) -> None:
    mine, other = minutes(2, each=2)
    path = tmp_path / "r.recording"
    path.write_bytes(block_of(other, version=version))
    with pytest.raises(DataError, match=f"{age} version of Rollcall.*read it with that"):
        Recording.open(path)
    path.write_bytes(block_of(mine) + block_of(other, version=version))
    with Recording.open(path) as recording:
        assert list(recording.between(NOON, NOON + 1000)) == mine
        assert age in recording.trouble


def test_what_is_no_recording_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no recording"):
        Recording.open(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read"):
        Recording.open(tmp_path)
    (tmp_path / "odd").write_text("odd" * 1000)
    with pytest.raises(DataError, match="nothing is recorded"):
        Recording.open(tmp_path / "odd")


# -- how much is kept ------------------------------------------------------------------------


def test_the_first_is_written_at_once_then_blocks_and_the_rest_at_the_end(
    tmp_path: Path,
) -> None:
    path = tmp_path / "deep" / "r.recording"
    recorder = Recorder(path, block_s=60)
    for second, written in ((0, 0), (1, 0), (60, 0), (61, 61), (62, 61)):
        recorder.add(snapshot(second))
        with Recording.open(path) as recording:
            assert recording.span == (NOON, NOON + written)
    recorder.close()
    with Recording.open(path) as recording:
        assert recording.span == (NOON, NOON + 62)
        assert recording.count == 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_is_too_old_goes_block_by_block(tmp_path: Path) -> None:
    path = tmp_path / "r.recording"
    recorder = Recorder(path, block_s=60, keep_s=3600)
    recorder.add(snapshot(-1))
    for minute in range(300):
        for second in (0, 30, 60):
            recorder.add(snapshot(61 * minute + second))
        now = NOON + 61 * minute + 60
        with Recording.open(path) as recording:
            kept = now - recording.span[0]
            assert kept <= 3600 * (1 + SLACK) + 122
            assert kept >= min(3600, now - NOON + 1)
            assert recording.span[1] == now


def test_it_is_never_larger_than_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "r.recording"
    block = len(block_of(minutes(1, each=3)[0]))
    most = 20 * block
    recorder = Recorder(path, block_s=60, max_bytes=most)
    recorder.add(snapshot(-1))
    for minute in range(200):
        for second in (0, 30, 60):
            recorder.add(snapshot(61 * minute + second))
        assert path.stat().st_size <= most
        with Recording.open(path) as recording:
            assert recording.span[1] == NOON + 61 * minute + 60
            assert recording.count >= min(3 * (minute + 1), 3 * 15)
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_goes_on_with_what_it_opened(tmp_path: Path) -> None:
    path = tmp_path / "r.recording"
    record(path, [snapshot(second) for second in range(10)])
    with Recording.open(path) as recording:
        record(path, [snapshot(500_000)], keep_s=60)
        assert len(list(recording.between(NOON, NOON + 10))) == 10
    with Recording.open(path) as recording:
        assert recording.count == 1


@pytest.mark.parametrize("every", [1, 2, 7, 60, 1000])
def test_of_each_block_one_of_so_many_is_read_and_always_the_last(every: int) -> None:
    blocks = minutes(2, each=30)
    recording = opened(b"".join(map(block_of, blocks)))
    wanted = [one for block in blocks for one in block[::-1][::every][::-1]]
    assert list(recording.between(-1e300, 1e300, every)) == wanted
    assert list(recording.between(-1e300, 1e300)) == [one for block in blocks for one in block]


@pytest.mark.parametrize(("workers", "most"), [(3, 300), (64, 3000)])
def test_a_snapshot_takes_little_space(workers: int, most: int) -> None:
    assert bytes_per_snapshot(workers) < most


def bytes_per_snapshot(workers: int) -> float:
    """Of a minute, with lookups all the time and so with figures that are others each second."""
    draw = random.Random(workers)
    views = [
        worker_view(
            n, address=f"10.0.0.{n}:{draw.randrange(30000, 60000)}", pid=draw.randrange(10**6)
        )
        for n in range(1, workers + 1)
    ]
    taken: list[ClusterSnapshot] = []
    for second in range(60):
        views = [_a_second_later(draw, view) for view in views]
        rates = [view.lookups_per_s for view in views]
        taken.append(
            cluster_snapshot(
                views,
                taken_at=NOON + second + draw.random() / 100,
                uptime_s=75.0 + second + draw.random() / 100,
                mean_lookups_per_s=sum(rates) + draw.random(),
                p50_ms=round(0.3 + draw.random() / 10, 3),
                p99_ms=round(2 + draw.random(), 3),
                latencies=tuple((float(2**n), draw.randrange(999)) for n in range(10)),
                lag_ms=draw.random(),
            )
        )
    return len(block_of(taken)) / 60


def _a_second_later(draw: random.Random, view: Any) -> Any:
    rate = draw.randrange(90, 110)
    return msgspec.structs.replace(
        view,
        served=view.served + rate,
        attempts=view.attempts + rate + (draw.random() < 0.05),
        in_flight=draw.randrange(3),
        lookups_per_s=float(rate),
        mean_lookups_per_s=100 + draw.random(),
        p50_ms=round(0.3 + draw.random() / 10, 3),
        p99_ms=round(2 + draw.random(), 3),
        cpu_percent=float(draw.randrange(4)),
        memory_bytes=view.memory_bytes + 4096 * (draw.random() < 0.1),
        uptime_s=view.uptime_s + 1 + draw.random() / 1000,
    )


# -- trouble with the disk -----------------------------------------------------------------


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_a_full_disk_is_told_and_waited_out(tmp_path: Path) -> None:
    path = tmp_path / "r.recording"
    recorder = Recorder(path, block_s=60)
    for second in range(62):
        recorder.add(snapshot(second))
    size = path.stat().st_size
    with full_disk(size + 10):  # room for a part of a block
        for second in range(62, 123):
            recorder.add(snapshot(second))
    assert "cannot be written" in recorder.trouble and str(path) in recorder.trouble
    assert path.stat().st_size == size
    recorder.add(snapshot(123 + RETRY_S))
    assert recorder.losses == ""
    with Recording.open(path) as recording:
        assert recording.count == 62 + 61 + 1


def test_what_waits_for_the_disk_is_bounded_and_what_is_lost_is_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "r.recording"
    recorder = Recorder(path, block_s=60)
    for second in range(1000):
        recorder.add(snapshot(second))
    assert recorder.dropped == 1000 - MAX_WAITING_SNAPSHOTS
    assert "cannot be written" in recorder.losses
    assert f"; {recorder.dropped} second(s) are missing" in recorder.losses
    (tmp_path / "file").unlink()
    recorder.close()
    with Recording.open(path) as recording:
        assert recording.count == MAX_WAITING_SNAPSHOTS
        assert recording.span[1] == NOON + 999


def test_a_minute_that_is_larger_than_all_may_be_is_trouble(tmp_path: Path) -> None:
    recorder = record(tmp_path / "r.recording", [snapshot()], max_bytes=100)
    assert "all may have 100" in recorder.trouble
    assert not (tmp_path / "r.recording").exists()


def test_a_recording_that_cannot_be_written_stops_neither_a_master_nor_its_journal(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("in the way")
    recorder = Recorder(tmp_path / "file" / "r.recording", block_s=0)
    master = Master(tokens=list)
    master.keep_journal(tmp_path / "j.sqlite3", remember=False, recorder=recorder)
    master.start()
    try:
        poll_for(lambda: "the recording" in master.snapshot().journal_trouble)
        assert "the journal" not in master.snapshot().journal_trouble
    finally:
        master.stop()


def test_a_journal_that_cannot_be_written_does_not_end_the_recording(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    recorder = Recorder(tmp_path / "r.recording", block_s=0)
    journal = Journal(
        tmp_path / "file" / "j.sqlite3",
        lambda: snapshot(time.time() - NOON),
        recorder=recorder,
        write_every_s=0.02,
    )
    journal.start()
    poll_for(lambda: journal.trouble != "" and recorder.path.exists())
    journal.close()


# -- real masters ----------------------------------------------------------------------------

MASTER = """
import sys, threading
from pathlib import Path
from nodes.master.master import Master
from nodes.master.recorder import Recorder
path = Path(sys.argv[1])
master = Master(tokens=list)
master.keep_journal(path / "j.sqlite3", remember=False,
                    recorder=Recorder(path / "r.recording", block_s=float(sys.argv[2])))
master.start()
threading.Event().wait()
"""


def blocks_in(path: Path) -> int:
    """How many there are by now."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return len(list(find_blocks(file)))


@pytest.mark.long
def test_a_master_that_is_killed_leaves_all_but_the_last_block(tmp_path: Path) -> None:
    path = tmp_path / "r.recording"
    block_s = 2.0
    command = [sys.executable, "-c", MASTER, str(tmp_path), str(block_s)]
    with subprocess.Popen(command) as master:
        try:
            poll_for(lambda: blocks_in(path) >= 3)
        finally:
            killed = time.time()
            master.send_signal(signal.SIGKILL)
    with Recording.open(path) as recording:
        first, last = recording.span
        assert len(list(recording.between(first, last))) == recording.count >= 4
        assert killed - last < block_s + 5  # what a busy machine may take is not the recording's
        assert recording.trouble == ""


def test_a_master_that_ended_can_be_read_by_command(tmp_path: Path) -> None:
    with Node("up", "--workers", "1", "--port", "0", "--json") as node:
        address = str(node.ready["master"])
    port = address.rpartition(":")[2]
    assert stat.S_IMODE(recording_file(int(port)).stat().st_mode) == 0o600
    shown = run_nodes("recording", "--master", address)
    assert shown.returncode == 0 and "from 20" in shown.stdout
    span = json.loads(run_nodes("recording", "--master", address, "--json").stdout)
    assert span["snapshots"] >= 1
    # An earlier master may have had that port, and its recording is gone on with.
    assert span["first"] <= span["last"] and time.time() - 60 < span["last"] <= time.time()
    last = run_nodes("recording", "--master", address, "--last")
    assert "as recorded at" in last.stdout and "w1" in last.stdout and "RESTARTS" in last.stdout
    at = run_nodes("recording", "--at", str(span["last"]), "--json", "--file", span["file"])
    assert json.loads(at.stdout)["workers"][0]["id"] == "w1"
    early = run_nodes("recording", "--master", address, "--at", "2001-01-01T00:00:00")
    assert early.returncode == 2 and "the recording is from" in early.stderr
    wrong = run_nodes("recording", "--master", address, "--at", "yesterday")
    assert wrong.returncode == 2 and "is no time" in wrong.stderr
    missing = run_nodes("recording", "--master", "127.0.0.1:1")
    assert missing.returncode == 2 and "no recording" in missing.stderr


# -- by value --------------------------------------------------------------------------------


def test_parts_add_up_to_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "r.recording"
    path.write_bytes(b"".join(map(block_of, minutes(20, each=3))))
    size = path.stat().st_size
    data, until, asked = b"", 0.0, 0
    more = True
    while more:
        part = read_part(path, until, size // 6)
        data, until, more = data + part.blocks, part.until, part.more
        assert len(part.blocks) <= size // 6
        asked += 1
    assert 6 <= asked <= 10
    assert data == path.read_bytes()
    assert everything(data) == [one for block in minutes(20, each=3) for one in block]
    assert read_part(path, until) == msgspec.structs.replace(part, blocks=b"", more=False)
    assert len(opened(read_part(path, 0.0, 0).blocks).span) == 2  # a single block at least
    assert read_part(path, 10**400).blocks == b""
    assert read_part(tmp_path / "none", 5).until == 5


def test_an_operator_is_sent_what_was_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.recording", block_s=0)
    master = Master(tokens=valid_tokens)
    ensure_token()
    master.keep_journal(tmp_path / "j.sqlite3", remember=False, recorder=recorder)
    master.start()
    try:
        with AttachedCluster(str(master.address)) as cluster:
            part = poll_for(lambda: (found := cluster.recording()).blocks and found)
            assert part
            recording = opened(part.blocks)
            assert recording.span[1] == part.until
            assert recording.at(part.until) is not None
            later = cluster.recording(part.until, MAX_PART_BYTES)
            assert later.until >= part.until
    finally:
        master.stop()


@pytest.mark.parametrize(
    "steps", [(-7200.0,), (400 * 86400.0, -400 * 86400.0), (30.0,)], ids=("back", "days", "asleep")
)
def test_no_step_of_the_clock_wipes_a_recording(tmp_path: Path, steps: tuple[float, ...]) -> None:
    path, at, written = tmp_path / "r.recording", 0.0, 0
    recorder = Recorder(path, block_s=10, keep_s=3600)
    for step in (0.0, *steps):
        at += step
        for _ in range(300):
            at += 1.0
            written += 1
            recorder.add(snapshot(at))
    recorder.close()
    with Recording.open(path) as recording:
        assert recording.count == written
