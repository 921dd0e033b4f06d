"""Too many connections: the silent ones make room, and those who work are kept."""

from __future__ import annotations

import logging
import math
import resource
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from nodes.transport import Lane, Limits, RemoteFailure, messages
from nodes.transport.eviction import (
    descriptors_left,
    longest_silent,
    most_stalled,
    open_descriptors,
)
from nodes.transport.frames import HEADER
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import (
    Gate,
    RawPeer,
    RecordingService,
    RunningServer,
    calling,
    serves,
    still_open,
)

ConnectRaw = Callable[[RunningServer], RawPeer]
Dials = Callable[[RunningServer], Lane]


class Held(NamedTuple):
    """A connection, as far as its right to be kept goes."""

    name: str
    since: float = 0.0
    proved: bool = False
    called: bool = True
    busy: bool = False
    trusted: bool = False
    opened_at: float = 0.0
    stalled_since: float | None = None
    held_bytes: int = 0


SHORT = 0.05
NOW = 1000.0
TENURE_S = 10.0
FIRST_CALL_S = 20.0
LONG_AGO = NOW - TENURE_S


@pytest.mark.parametrize(
    ("held", "whose"),
    [
        pytest.param([], None, id="nobody is there"),
        pytest.param([Held("a", 5), Held("b", 3), Held("c", 4)], "b", id="the longest silent"),
        pytest.param(
            [Held("old", 1, proved=True), Held("new", NOW)], "new", id="who never asked, first"
        ),
        pytest.param(
            [Held("a", 2, proved=True), Held("b", 1, proved=True)], "b", id="then who rests"
        ),
        pytest.param(
            [Held("a", 1, proved=True, opened_at=LONG_AGO + 0.01)], None, id="not who just came"
        ),
        pytest.param(
            [Held("a", NOW, proved=True, opened_at=LONG_AGO)], "a", id="who came long ago"
        ),
        pytest.param(
            [Held("a", NOW, proved=True, called=False, opened_at=LONG_AGO)],
            None,
            id="not who has yet to call what it came for",
        ),
        pytest.param(
            [Held("a", NOW, proved=True, called=False, opened_at=NOW - FIRST_CALL_S)],
            "a",
            id="who never calls anything",
        ),
        pytest.param([Held("a", 1, busy=True)], None, id="not who is being answered"),
        pytest.param([Held("a", 1, proved=True, trusted=True)], None, id="not who is trusted"),
    ],
)
def test_which_connection_goes_for_a_newcomer(held: list[Held], whose: str | None) -> None:
    limits = Limits(tenure=TENURE_S, first_call=FIRST_CALL_S)
    goes = longest_silent(held, NOW, limits)
    assert (goes.name if goes is not None else None) == whose


@pytest.mark.parametrize(
    ("held", "whose"),
    [
        pytest.param([Held("a", held_bytes=9)], None, id="nobody who does not stall"),
        pytest.param(
            [
                Held("small", stalled_since=1, held_bytes=5),
                Held("large", stalled_since=2, held_bytes=7),
                Held("moving", held_bytes=9),
            ],
            "large",
            id="whom most is held for",
        ),
        pytest.param(
            [Held("a", stalled_since=NOW - 0.9, held_bytes=9)], None, id="not who just began"
        ),
        pytest.param([Held("a", stalled_since=1, trusted=True)], None, id="not who is trusted"),
    ],
)
def test_which_connection_goes_when_too_much_is_held(held: list[Held], whose: str | None) -> None:
    goes = most_stalled(held, NOW, stalled_s=1.0)
    assert (goes.name if goes is not None else None) == whose


def test_descriptors_are_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_descriptors()

    def left(most: int, connections: int = 1 << 20) -> tuple[float, int, bool]:
        monkeypatch.setattr(resource, "getrlimit", lambda _what: (most, most))
        found = descriptors_left(connections)
        return (*found, found.accept)

    assert left(8 * (opened + 128)) == (7 * opened + 8 * 128, 64, True)
    few = 2 * opened
    assert left(few) == (opened, few // 8, True)
    assert left(opened + 1) == (1, (opened + 1) // 8, False)
    assert left(few, connections=few // 8 - 1) == (math.inf, 0, True), "not counted"
    assert left(resource.RLIM_INFINITY) == (math.inf, 0, True)


def test_a_server_keeps_no_more_than_the_system_allows(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch, raw: ConnectRaw
) -> None:
    """Who is silent goes first, then who has never asked anything whole."""
    running = start_server()
    opened = open_descriptors()
    most = next(most for most in range(1 << 16) if most - min(64, most // 8) == opened + 12)
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (most, most))
    silent = [raw(running) for _ in range(10)]
    for _ in range(8):
        newest = raw(running)
        newest.send(messages.root_request(0))
        assert newest.sock.recv(1000)
        assert running.server.connections <= 6
    assert len(still_open(silent)) < 6


def test_silent_peers_make_room_for_one_that_asks(
    start_server: StartServer, raw: ConnectRaw, dial: Dials, caplog: pytest.LogCaptureFixture
) -> None:
    """However many there are, and whether they say nothing or half of something."""
    running = start_server(limits=Limits(connections=4, first_byte=600.0, frame=600.0))
    worker = dial(running)
    worker.call("echo", timeout=PATIENCE)
    slow, silent = [], []
    for _ in range(20):
        slow.append(raw(running))
        slow[-1].send(HEADER.pack(1000, 0))
        silent.append(raw(running))
    assert serves(running)
    assert worker.call("echo", 1, timeout=PATIENCE) == (1,)
    poll_for(lambda: len(still_open(slow)) <= 3, what="places that are left for the slow")
    poll_for(lambda: len(still_open(silent)) <= 4, what="and as many as may wait")
    assert running.server.refused == 0
    assert running.server.given_up >= 17
    warned = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warned) == 1, "one line, however many come"


def test_who_was_answered_just_now_makes_no_room(start_server: StartServer, dial: Dials) -> None:
    running = start_server(limits=Limits(connections=1, tenure=600.0, turn=SHORT))
    kept = dial(running)
    kept.call("echo", timeout=PATIENCE)
    with pytest.raises(RemoteFailure, match="Overloaded"):
        dial(running).call("echo", timeout=PATIENCE)
    assert kept.call("echo", 1, timeout=PATIENCE) == (1,)
    assert (running.server.refused, running.server.given_up) == (1, 0)


def test_who_rests_makes_room_and_who_is_trusted_does_not(
    start_server: StartServer, dial: Dials
) -> None:
    running = start_server(limits=Limits(connections=2, tenure=0.0))
    trusted = dial(running)
    trusted.call("echo", timeout=PATIENCE)
    running.services[0].trusted = True
    resting = dial(running)
    resting.call("echo", timeout=PATIENCE)
    newcomer = dial(running)
    assert newcomer.call("echo", 1, timeout=PATIENCE) == (1,)
    poll_for(lambda: resting.stale)
    assert trusted.call("echo", 2, timeout=PATIENCE) == (2,)
    assert (running.server.refused, running.server.given_up) == (0, 1)


def test_those_who_are_trusted_take_nobodys_place(start_server: StartServer, dial: Dials) -> None:
    running = start_server(limits=Limits(connections=1, trusted=1, tenure=600.0, turn=SHORT))
    trusted = dial(running)
    trusted.call("echo", timeout=PATIENCE)
    running.services[0].trusted = True
    stranger = dial(running)
    assert stranger.call("echo", 1, timeout=PATIENCE) == (1,)
    running.services[1].trusted = True  # one more than are kept beyond the others
    with pytest.raises(RemoteFailure, match="Overloaded"):
        dial(running).call("echo", timeout=PATIENCE)
    assert trusted.call("echo", 2, timeout=PATIENCE) == (2,)


def test_who_is_being_answered_is_kept(
    start_server: StartServer, dial: Dials, raw: ConnectRaw
) -> None:
    gate = Gate()
    limits = Limits(connections=1, tenure=0.0, turn=SHORT)
    running = start_server({"wait": gate.wait}, limits=limits)
    lane = dial(running)
    with calling(lane, "wait") as answer:
        poll_for(lambda: gate.entered)
        peer = raw(running)
        peer.call("wait")
        peer.finish()
        *_, told = peer.answers()
        assert "Overloaded" in str(told.body)
        gate.open(running)
        assert answer.result() == 1


def test_those_who_come_when_all_are_busy_have_their_turns(
    start_server: StartServer, dial: Dials
) -> None:
    """Each call waits, and none is refused or sent again."""
    gate = Gate()
    limits = Limits(connections=1, tenure=0.0, turn=600.0)
    running = start_server({"wait": gate.wait}, limits=limits)
    with ExitStack() as stack:
        first = stack.enter_context(calling(dial(running), "wait"))
        poll_for(lambda: gate.entered)
        others = []
        for n in range(5):
            others.append(stack.enter_context(calling(dial(running), "echo", n)))
            poll_for(lambda: len(running.services) == 1 + len(others))
        assert running.server.connections == 1
        assert not any(answer.done() for answer in others)
        gate.open(running)
        assert first.result() == 1
        assert [answer.result() for answer in others] == [(n,) for n in range(5)]
    assert running.server.refused == 0


class OperatedService(RecordingService):
    """Trusts whoever logs in."""

    def is_kept(self, verb: str) -> bool:
        return verb == "login"

    def verb(self, name: str) -> Any:
        return self._login if name == "login" else super().verb(name)

    def _login(self) -> str:
        self.trusted = True
        return "welcome"


def test_an_operator_gets_in_while_all_others_are_busy_and_more_wait(
    start_server: StartServer, dial: Dials
) -> None:
    gate = Gate()
    limits = Limits(connections=2, trusted=1, tenure=0.0, turn=600.0)
    running = start_server({"wait": gate.wait}, limits=limits, kind=OperatedService)
    with ExitStack() as stack:
        busy = []
        for number in range(1, 6):
            busy.append(stack.enter_context(calling(dial(running), "wait")))
            come = (number, min(number, 2))
            poll_for(lambda: (len(running.services), gate.entered) == come)  # noqa: B023 - used up at once
        operator = dial(running)
        assert operator.call("login", timeout=PATIENCE) == "welcome"
        assert operator.call("echo", 1, timeout=PATIENCE) == (1,), "as to all else it may ask"
        poll_for(lambda: running.server.connections == 3)
        assert not any(answer.done() for answer in busy)
        gate.open(running)
        assert all(answer.result() for answer in busy)
        assert operator.call("echo", 2, timeout=PATIENCE) == (2,), "and it is kept"


def test_who_comes_when_too_many_wait_is_told_so_at_once(
    start_server: StartServer, dial: Dials
) -> None:
    gate = Gate()
    limits = Limits(connections=1, tenure=0.0, turn=600.0, waiting=1)
    running = start_server({"wait": gate.wait}, limits=limits)
    with ExitStack() as stack:
        first = stack.enter_context(calling(dial(running), "wait"))
        poll_for(lambda: gate.entered)
        second = stack.enter_context(calling(dial(running), "echo", 2))
        poll_for(lambda: len(running.services) == 2)
        with pytest.raises(RemoteFailure, match="Overloaded"):
            dial(running).call("echo", timeout=PATIENCE)
        gate.open(running)
        assert (first.result(), second.result()) == (1, (2,))


def test_who_goes_while_it_waits_leaves_nothing(start_server: StartServer, raw: ConnectRaw) -> None:
    gate = Gate()
    limits = Limits(connections=1, tenure=0.0, turn=600.0)
    running = start_server({"wait": gate.wait}, limits=limits)
    busy = raw(running)
    busy.call("wait")
    poll_for(lambda: gate.entered)
    leaves = raw(running)
    leaves.call("wait")
    poll_for(lambda: len(running.services) == 2)
    leaves.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    leaves.sock.close()  # with a reset: one that only sends no more is answered yet
    poll_for(lambda: running.services[1].closed)
    gate.open(running)
    busy.finish()
    assert len(busy.answers()) == 3
    assert gate.entered == 1


def test_the_silent_wait_in_nobodys_place(
    start_server: StartServer, raw: ConnectRaw, caplog: pytest.LogCaptureFixture
) -> None:
    """The longest silent goes for one more; the rest are as good as new when they speak."""
    caplog.set_level(logging.DEBUG, "rollcall.transport")
    running = start_server(limits=Limits(connections=8, first_byte=600.0))
    peers = [raw(running) for _ in range(11)]
    assert [peer.rest() for peer in peers[:3]] == [b""] * 3
    poll_for(lambda: len(caplog.records) == 3)
    assert {r.levelno for r in caplog.records} == {logging.DEBUG}
    assert running.services == []
    for peer in peers[3:]:
        peer.send(messages.root_request(0))
        assert peer.sock.recv(1000)
    assert running.server.connections == 8


def test_those_who_wait_are_let_go_when_it_stops(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    running = start_server()
    peer = raw(running)
    running.stop()
    assert peer.rest() == b""
