"""Pools: lanes are used again while they are good, and let go when they are not."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from nodes.security.tls import CertificateRole, Tls
from nodes.transport import CallTimeout, DialFailed, Lane, LanePool, LinkLost
from tests.kit import FORK_WARNING, PATIENCE, ForkedChild, ServerThread, make_tls, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import COMMON, Gate, RecordingService, RunningServer, calling, descriptor

MOST_IDLE = 3


@pytest.fixture
def running(start_server: StartServer) -> RunningServer:
    return start_server()


@pytest.fixture
def pool(running: RunningServer) -> Iterator[LanePool]:
    pool = LanePool(*running.address, most_idle=MOST_IDLE)
    yield pool
    pool.close()


def use(pool: LanePool, what: int | str | None = None, *, sure: bool = False) -> Lane:
    """One call, as every caller makes it; returns the lane it was made on."""
    lane = pool.take(timeout=PATIENCE, sure=sure)
    try:
        assert lane.call("echo", what, timeout=PATIENCE) == (what,)
    finally:
        pool.give(lane)
    return lane


def test_an_idle_lane_is_used_again(pool: LanePool, running: RunningServer) -> None:
    first = use(pool)
    assert all(use(pool) is first for _ in range(20))
    assert len(running.services) == 1


def test_the_lane_used_last_comes_first(pool: LanePool) -> None:
    first, second = pool.take(timeout=PATIENCE), pool.take(timeout=PATIENCE)
    assert first is not second
    pool.give(first)
    pool.give(second)
    assert pool.take(timeout=PATIENCE) is second
    pool.give(second)


def test_idle_lanes_are_bounded(pool: LanePool, running: RunningServer) -> None:
    lanes = [pool.take(timeout=PATIENCE) for _ in range(8)]
    for lane in lanes:
        lane.call("echo", timeout=PATIENCE)
        pool.give(lane)
    assert [lane.closed for lane in lanes] == [False] * MOST_IDLE + [True] * 5
    poll_for(lambda: running.server.connections == MOST_IDLE)


def test_one_that_is_emptied_dials_anew(pool: LanePool, running: RunningServer) -> None:
    used = pool.take(timeout=PATIENCE)
    first = use(pool)
    pool.empty()
    assert first.closed
    assert not used.closed
    assert use(pool) is not first
    pool.give(used)


def test_a_lane_whose_call_failed_is_dropped(pool: LanePool, start_server: StartServer) -> None:
    running = start_server({"wait": Gate().wait})
    late = LanePool(*running.address)
    lane = late.take(timeout=PATIENCE)
    with pytest.raises(CallTimeout):
        lane.call("wait", timeout=0.02)
    late.give(lane)
    assert descriptor(lane) == -1
    assert use(late) is not lane
    late.close()


def test_a_lane_given_back_with_a_call_in_flight_is_closed(start_server: StartServer) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait})
    with contextlib.closing(LanePool(*running.address)) as pool:
        lane = pool.take(timeout=PATIENCE)
        with calling(lane, "wait") as answer:
            poll_for(lambda: gate.entered)
            pool.give(lane)
            assert lane.closed
            assert isinstance(answer.exception(PATIENCE), LinkLost)
        assert use(pool) is not lane


def hung_up_on(pool: LanePool, running: RunningServer, count: int) -> list[Lane]:
    """Idle lanes of the pool that the server has closed."""
    lanes = [pool.take(timeout=PATIENCE) for _ in range(count)]
    for lane in lanes:
        lane.call("echo", timeout=PATIENCE)
        pool.give(lane)
    for service in running.services:
        service.connection.abort()
    poll_for(lambda: running.server.connections == 0)
    return lanes


def test_a_lane_that_went_stale_is_dropped(pool: LanePool, running: RunningServer) -> None:
    lanes = hung_up_on(pool, running, 2)
    another = use(pool, "another", sure=True)
    assert another not in lanes
    assert all(lane.closed for lane in lanes)


def test_a_fresh_lane_is_used_without_a_look(pool: LanePool, running: RunningServer) -> None:
    use(pool)
    running.services[0].connection.abort()
    poll_for(lambda: running.server.connections == 0)
    with pytest.raises(LinkLost):
        use(pool)


def test_one_that_is_not_fresh_is_looked_at_first(running: RunningServer, ended: ExitStack) -> None:
    pool = ended.enter_context(contextlib.closing(LanePool(*running.address, fresh_s=0.0)))
    stale = use(pool)
    running.services[0].connection.abort()
    poll_for(lambda: running.server.connections == 0)
    assert use(pool) is not stale
    assert stale.closed


def test_when_one_broke_the_others_are_looked_at(pool: LanePool, running: RunningServer) -> None:
    lanes = hung_up_on(pool, running, 3)
    with pytest.raises(LinkLost):
        use(pool)
    assert use(pool) not in lanes
    assert all(lane.closed for lane in lanes)


def test_a_server_that_comes_back_is_found_again(pool: LanePool, running: RunningServer) -> None:
    use(pool)
    running.stop()
    with pytest.raises(DialFailed):
        use(pool, sure=True)
    with ServerThread(lambda: RecordingService(COMMON), port=running.address[1]):
        use(pool, "again")


def test_closing_ends_idle_lanes_and_calls_in_flight(start_server: StartServer) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait})
    pool = LanePool(*running.address)
    idle = use(pool)
    lanes: list[Lane] = []
    errors: list[Exception] = []

    def call() -> None:
        lane = pool.take(timeout=PATIENCE)
        lanes.append(lane)
        try:
            lane.call("wait", timeout=PATIENCE)
        except LinkLost as exc:
            errors.append(exc)
        finally:
            pool.give(lane)

    thread = threading.Thread(target=call)
    busy = pool.take(timeout=PATIENCE)
    assert busy is idle
    thread.start()
    poll_for(lambda: gate.entered)
    pool.give(busy)
    pool.close()
    thread.join(PATIENCE)
    assert len(errors) == 1
    assert [descriptor(lane) for lane in (idle, *lanes)] == [-1, -1]
    with pytest.raises(LinkLost, match="no longer in use"):
        pool.take(timeout=PATIENCE)
    pool.close()


def test_a_lane_given_back_after_closing_is_closed(running: RunningServer) -> None:
    pool = LanePool(*running.address)
    lane = pool.take(timeout=PATIENCE)
    lane.call("echo", timeout=PATIENCE)
    pool.close()
    assert lane.closed
    assert descriptor(lane) >= 0, "its taker may be waiting on the descriptor"
    pool.give(lane)
    assert descriptor(lane) == -1


def test_closing_during_a_dial(running: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = LanePool(*running.address)
    dialled: list[Lane] = []
    dial = Lane.dial

    def close_meanwhile(*args: object, **kwargs: object) -> Lane:
        dialled.append(dial(*running.address))
        pool.close()
        return dialled[-1]

    monkeypatch.setattr(Lane, "dial", close_meanwhile)
    with pytest.raises(LinkLost, match="no longer in use"):
        pool.take(timeout=PATIENCE)
    assert [descriptor(lane) for lane in dialled] == [-1]


def test_failed_dials_leave_nothing(running: RunningServer, pool: LanePool) -> None:
    running.stop()
    before = psutil.Process().num_fds()
    for _ in range(20):
        with pytest.raises(DialFailed):
            pool.take(timeout=PATIENCE)
    assert psutil.Process().num_fds() == before


def test_lanes_that_were_dropped_are_forgotten(pool: LanePool) -> None:
    lane = pool.take(timeout=PATIENCE)
    lane.close()
    pool.give(lane)
    forgotten = weakref.ref(lane)
    del lane
    gc.collect()
    assert forgotten() is None


@pytest.mark.filterwarnings(FORK_WARNING)
@pytest.mark.parametrize("secure", [False, True])
def test_a_forked_child_has_lanes_of_its_own_and_the_parent_keeps_its(
    start_server: StartServer, tmp_path: Path, *, secure: bool
) -> None:
    tls = Tls(make_tls(tmp_path), CertificateRole.MASTER) if secure else None
    running = start_server(tls=tls.listening() if tls else None)
    pool = LanePool(*running.address, tls=tls.to_master() if tls else None)
    idle, taken = pool.take(timeout=PATIENCE), pool.take(timeout=PATIENCE)
    assert taken.call("echo", timeout=PATIENCE) == ()
    assert idle.call("echo", timeout=PATIENCE) == ()
    pool.give(idle)

    def work() -> bool:
        assert all(lane.closed and descriptor(lane) == -1 for lane in (idle, taken))
        own = use(pool, "child")
        assert own not in (idle, taken)
        pool.give(taken)
        assert use(pool, "child", sure=True) is own
        pool.close()
        return True

    assert ForkedChild(work).result()
    assert len(running.services) == 3
    poll_for(lambda: running.server.connections == 2)
    assert use(pool, "parent", sure=True) is idle
    assert taken.call("echo", timeout=PATIENCE) == ()
    pool.give(taken)
    pool.close()


@pytest.mark.filterwarnings(FORK_WARNING)
def test_a_pool_that_is_closed_is_closed_in_a_child(pool: LanePool) -> None:
    pool.close()

    def work() -> str:
        with pytest.raises(LinkLost) as raised:
            pool.take(timeout=PATIENCE)
        return str(raised.value)

    assert "no longer in use" in ForkedChild(work).result()


def test_many_threads(pool: LanePool, running: RunningServer) -> None:
    """Every answer is the caller's own, and connections are as many as threads at most."""
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda number: use(pool, number), range(400)))
    poll_for(lambda: running.server.connections <= MOST_IDLE)
    for service in running.services:
        assert service.opened
