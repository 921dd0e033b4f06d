"""What is shown to who watches is recent, and nobody waits for it who answers lookups."""

from __future__ import annotations

import threading

import pytest
import rpyc

from nodes.client.attached import AttachedCluster
from nodes.errors import NotPossible
from nodes.monitoring.exposition import exposition
from nodes.transport import LoopThread
from nodes.wire import decode_envelope
from tests.kit import master_alone, poll_for


def test_what_was_seen_a_moment_ago_is_not_asked_of_the_loop() -> None:
    with master_alone() as master:
        seen = master.recent_snapshot()
        goes_on = threading.Event()
        try:
            master.loop.call(master.loop.post, goes_on.wait, 5.0)
            assert master.recent_snapshot(60.0) is seen
        finally:
            goes_on.set()
        poll_for(lambda: master.recent_snapshot(0.0) is not seen)


def test_a_loop_that_is_stuck_is_not_waited_for_longer_than_that() -> None:
    loop, goes_on, called = LoopThread("stuck"), threading.Event(), threading.Event()
    loop.start()
    try:
        loop.call(loop.post, goes_on.wait, 5.0)
        with pytest.raises(TimeoutError):
            loop.call(called.set, timeout_s=0.02)
    finally:
        goes_on.set()
    loop.call(lambda: None)
    assert not called.is_set(), "nobody waits for that any more"
    loop.stop()


def test_what_is_asked_wrongly_or_by_whoever_may_not_is_counted_by_code() -> None:
    """A client that is asked for its token, and shows it, has done nothing wrong."""
    with master_alone() as master, AttachedCluster(str(master.address)) as operator:
        with pytest.raises(NotPossible):
            operator.kill("w1")
        stranger = rpyc.connect(*master.address)
        for reply in (stranger.root.kill("w1"), stranger.root.lookup_many("{}")):
            assert decode_envelope(reply).error
        stranger.root.login("no token")
        stranger.close()
        expected = {"bad_request": 1, "forbidden": 1, "not_possible": 1}
        poll_for(lambda: master.snapshot().refused_requests == expected)
        text = "".join(exposition(master.snapshot())).splitlines()
    assert 'rollcall_refused_requests_total{code="forbidden"} 1' in text
    assert "rollcall_refused_logins_total 1" in text
