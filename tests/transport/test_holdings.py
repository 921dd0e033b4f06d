"""What a server holds for all its peers together: bounded, and the slowest go first."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from nodes.transport import Lane, Limits, RemoteFailure, messages
from nodes.transport.holdings import LARGE_BYTES, Holdings
from nodes.transport.responder import ROOT
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import FIRST_VERB, Gate, RawPeer, RunningServer

ConnectRaw = Callable[[RunningServer], RawPeer]
Dials = Callable[[RunningServer], Lane]
MOST = 100


def call(seq: int, *args: object) -> bytes:
    """A call of the first verb that a connection has asked for."""
    return messages.call_request(seq, messages.call_head(FIRST_VERB), messages.arguments(args))


class Store:
    """What is held, and for whom it may be let go."""

    def __init__(self, held: int, *slow: int) -> None:
        self.held = held
        self.slow = list(slow)
        self.counted = 0
        self.holdings = Holdings(MOST, measure=self._measure, relieve=self._relieve)

    def _measure(self) -> int:
        self.counted += 1
        return self.held

    def _relieve(self) -> bool:
        if self.slow:
            self.held -= self.slow.pop(0)
            return True
        return False


@pytest.mark.parametrize(
    ("held", "slow", "size", "admitted", "left"),
    [
        pytest.param(0, [], MOST, True, 0, id="all of it"),
        pytest.param(0, [], MOST + 1, False, 0, id="more than there may be"),
        pytest.param(90, [], 11, False, 90, id="no room"),
        pytest.param(90, [30], 11, True, 60, id="in the place of one that is slow"),
        pytest.param(90, [10, 10, 10], 25, True, 70, id="of as many as have to go"),
        pytest.param(90, [10], 60, False, 80, id="even they are not enough"),
    ],
)
def test_what_is_admitted(held: int, slow: list[int], size: int, admitted: bool, left: int) -> None:
    store = Store(held, *slow)
    store.holdings.look()
    assert store.holdings.admit(size) is admitted
    assert (store.held, store.holdings.refused) == (left, not admitted)


def test_it_is_counted_only_when_it_may_be_too_much() -> None:
    store = Store(0)
    for _ in range(10):
        assert store.holdings.admit(10)
    assert store.counted == 0
    assert store.holdings.admit(10), "all of it was taken meanwhile"
    assert store.counted == 1


def test_a_peer_that_does_not_read_is_held_so_much_for_and_no_more(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    """What does not fit is answered in words, once it reads."""
    gate = Gate()

    async def large() -> bytes:
        await gate.wait()
        return bytes(1 << 20)

    running = start_server({"large": large}, limits=Limits(held_per_peer=4 << 20, frame=600.0))
    peer = raw(running)
    peer.send(messages.root_request(1) + messages.verb_request(2, ROOT, "large"))
    peer.send(b"".join(call(seq) for seq in range(10, 30)))
    poll_for(lambda: gate.entered == 20)
    gate.open(running)
    poll_for(lambda: running.server.unsent_bytes)
    assert running.server.unsent_bytes <= 5 << 20
    peer.finish()
    bodies = [str(answer.body) for answer in peer.answers()[2:]]
    assert len(bodies) == 20
    refused = [body for body in bodies if "Overloaded" in body]
    assert 10 <= len(refused) <= 17
    assert all("try again" in body for body in refused)


def test_who_takes_nothing_goes_when_too_much_is_held_for_all(
    start_server: StartServer, ended: ExitStack, dial: Dials
) -> None:
    size = 1 << 20
    limits = Limits(held=6 << 20, stalled=0.2, frame=600.0)
    running = start_server({"large": lambda: bytes(size)}, limits=limits)
    ask = messages.root_request(1) + messages.verb_request(2, ROOT, "large")
    for _ in range(12):
        peer = RawPeer(running.address, receive_buffer=4096)
        ended.callback(peer.sock.close)
        peer.send(ask + b"".join(call(seq) for seq in range(10, 20)))
    poll_for(lambda: running.server.unsent_bytes > limits.held // 2)
    reads = dial(running)

    def served() -> bool:
        try:
            return len(bytes(reads.call("large", timeout=PATIENCE))) == size  # type: ignore[arg-type]
        except RemoteFailure:
            return False

    poll_for(served)
    assert running.server.unsent_bytes <= limits.held
    assert running.server.connections <= 12, "who reads, and not all who do not"


def test_a_frame_for_which_there_is_no_room_is_skipped(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    """And its connection lives."""
    running = start_server(limits=Limits(held=LARGE_BYTES * 4, frame=600.0))
    peer = raw(running)
    peer.send(messages.root_request(1) + messages.verb_request(2, ROOT, "shapes"))
    peer.send(call(3, bytes(1 << 20)) + call(4, b"x"))
    peer.finish()
    *_, refused, answered = peer.answers()
    assert (refused.seq, answered.seq) == (3, 4)
    assert "Overloaded" in str(refused.body)
    assert "bytes" in str(answered.body)
