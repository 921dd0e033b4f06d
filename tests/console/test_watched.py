"""What a console keeps of a cluster that it watches."""

from __future__ import annotations

import itertools

import msgspec

from console.watched import MAX_SEEN, SEEN_EVERY_S, WatchedCluster
from nodes.wire import ClusterSnapshot
from tests.console.fakes import NOON, FakeCluster
from tests.console.recordings import snapshot_at


def test_a_snapshot_a_second_is_kept_and_the_newest_however_often_it_looks() -> None:
    cluster = FakeCluster(snapshot_at(0))
    watched = WatchedCluster("", lambda _: cluster, lambda _: True, poll_interval_s=0.3)
    for look in range(2 * MAX_SEEN):
        newest = snapshot_at(0.3 * look)
        watched.take(newest, [])
        assert watched.seen[-1].taken_at == newest.taken_at
    times = [one.taken_at for one in watched.seen][:-1]
    assert all(b - a >= SEEN_EVERY_S - 1e-6 for a, b in itertools.pairwise(times))
    assert times[0] == NOON and 0.8 * 0.6 * MAX_SEEN < len(times) < MAX_SEEN
    assert msgspec.msgpack.decode(watched.seen[-1].data, type=ClusterSnapshot) == newest
    for second in range(1000, 1000 + 2 * MAX_SEEN):
        watched.take(snapshot_at(second), [])
    assert len(watched.seen) == MAX_SEEN
