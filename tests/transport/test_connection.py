"""Many requests of one peer: answered as they come, and only as far as it takes the answers."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from rpyc.core import brine, consts

from nodes.transport import Asker, CallTimeout, Lane, Limits, LinkLost, RawVerb, messages
from nodes.transport.frames import frame
from nodes.transport.requests import MAX_CALLS_IN_FLIGHT
from nodes.transport.responder import ROOT
from nodes.transport.server import SLEPT_S
from nodes.transport.writer import MAX_UNSENT_BYTES
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import (
    Gate,
    RawPeer,
    RecordingService,
    RunningServer,
    Verb,
    calling,
    defect,
)

ConnectRaw = Callable[[RunningServer], RawPeer]
Dials = Callable[[RunningServer], Lane]
LONG = Limits(first_byte=600.0, frame=600.0, idle=600.0)


def resolve(peer: RawPeer, *names: str) -> dict[str, bytes]:
    """Asks for the root and for verbs; how calls of each begin."""
    peer.send(messages.root_request(0))
    heads = {}
    for number, name in enumerate(names, 1):
        peer.send(messages.verb_request(number, ROOT, name))
        heads[name] = messages.call_head((*messages.VERB[:2], number))
    return heads


def call(seq: int, head: bytes, *args: object) -> bytes:
    return messages.call_request(seq, head, messages.arguments(args))


def test_an_answer_does_not_wait_for_the_one_before(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait}, limits=LONG)
    peer = raw(running)
    heads = resolve(peer, "wait", "echo")
    peer.send(call(3, heads["wait"]) + call(4, heads["echo"]) + call(5, heads["echo"]))
    poll_for(lambda: running.server.unsent_bytes == 0 and gate.entered)
    gate.open(running)
    peer.finish()
    assert [answer.seq for answer in peer.answers()] == [0, 1, 2, 4, 5, 3]


class PassingService(RecordingService):
    """Has a verb that is answered at once, with its arguments as they came."""

    def verb(self, name: str) -> Any:
        def take(asker: Asker, seq: bytes, _arguments: bytes) -> bool:
            asker.answer(seq, b"at once")
            return True

        return RawVerb(take, lambda: None) if name == "pass" else super().verb(name)


@pytest.mark.parametrize("last", ["echo", "pass", "rest"])
def test_all_that_was_asked_is_answered_after_the_peer_has_finished(
    start_server: StartServer, raw: ConnectRaw, last: str
) -> None:
    """As many as may be in flight, and more: answered at once, by one of those, or later."""
    gate = Gate()

    async def rest() -> None:
        await asyncio.sleep(0.01)

    running = start_server({"wait": gate.wait, "rest": rest}, limits=LONG, kind=PassingService)
    peer = raw(running)
    heads = resolve(peer, "wait", "pass", "rest", "echo")
    many = range(10, 10 + MAX_CALLS_IN_FLIGHT)
    more = [("pass", 1000), ("rest", 1001), ("pass", 1002), (last, 1003)]
    peer.send(b"".join(call(seq, heads["wait"]) for seq in many))
    peer.send(b"".join(call(seq, heads[name]) for name, seq in more))
    peer.finish()
    poll_for(lambda: gate.entered == MAX_CALLS_IN_FLIGHT)
    gate.open(running)
    answered = [answer.seq for answer in peer.answers()]
    assert sorted(answered) == [0, 1, 2, 3, 4, *many, 1000, 1001, 1002, 1003]


def test_who_finishes_answers_what_waits_for_its_turn(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait}, limits=LONG)
    peer = raw(running)
    heads = resolve(peer, "wait", "echo")
    many = b"".join(call(seq, heads["wait"]) for seq in range(MAX_CALLS_IN_FLIGHT))
    peer.send(many + call(1000, heads["echo"]))
    poll_for(lambda: gate.entered == MAX_CALLS_IN_FLIGHT)
    gate.open(running)
    running.loop.run(running.server.finish(PATIENCE))
    assert running.server.connections == 0
    assert len(peer.answers()) == 3 + MAX_CALLS_IN_FLIGHT + 1


def accepts(running: RunningServer) -> bool:
    """Whether a server lets anybody in."""
    try:
        socket.create_connection(running.address).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_comes_too_late_takes_no_answer_away(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    """The system forgets what it has not sent yet, if a socket is closed with something unread; and
    it does not send many answers at once to one who has said little.
    """
    gate = Gate()
    running = start_server({"wait": gate.wait}, limits=LONG)
    peer = raw(running)
    heads = resolve(peer, "wait", "echo")
    many = range(10, 10 + 200)
    peer.send(b"".join(call(seq, heads["wait"]) for seq in many))
    poll_for(lambda: gate.entered == len(many))
    finishing = running.server.finish(PATIENCE)
    finished = asyncio.run_coroutine_threadsafe(finishing, running.loop.loop)
    poll_for(lambda: not accepts(running))
    peer.send(call(1000, heads["echo"]))
    gate.open(running)
    finished.result(PATIENCE)
    assert [answer.seq for answer in peer.answers()] == [0, 1, 2, *many]


def test_who_does_not_read_is_not_answered_without_end(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    """Thousands of requests fit into one read; what they ask for would fill the memory."""
    answer = bytes(100_000)
    running = start_server({"big": lambda: answer}, limits=LONG)
    peer = raw(running)
    heads = resolve(peer, "big")
    peer.send(b"".join(call(seq, heads["big"]) for seq in range(2, 600)))
    poll_for(lambda: running.server.unsent_bytes > 0)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        assert running.server.unsent_bytes < 4 * MAX_UNSENT_BYTES
    peer.finish()
    answers = peer.answers()
    assert [answer.seq for answer in answers] == list(range(600))


def test_requests_after_a_goodbye_are_not_carried_out(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    gate = Gate()
    done: list[int] = []
    running = start_server({"wait": gate.wait, "note": done.append}, limits=LONG)
    peer = raw(running)
    heads = resolve(peer, "wait", "note")
    body = (consts.HANDLE_CLOSE, (consts.LABEL_VALUE, ()))
    goodbye = frame(messages.REQUEST, brine.dump(5), brine.dump(body))
    peer.send(call(3, heads["wait"]) + call(4, heads["note"], 4) + goodbye)
    peer.send(call(6, heads["note"], 6))
    peer.rest()
    gate.open(running)
    poll_for(lambda: running.server.connections == 0)
    assert done == [4]


# -- verbs that are cut short --------------------------------------------------------------


def test_a_verb_that_is_cancelled_from_within_is_a_defect(
    start_server: StartServer, connect: Callable[[RunningServer], Any]
) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    root = connect(start_server({"cancelled": cancelled})).root
    assert "CancelledError" in defect(root.cancelled)
    assert root.echo(1) == (1,)


def test_a_stop_in_the_middle_of_a_verb_is_no_defect(
    start_server: StartServer, dial: Dials, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait})
    lane = dial(running)
    with calling(lane, "wait") as answer:
        poll_for(lambda: gate.entered)
        running.stop()
        assert isinstance(answer.exception(PATIENCE), LinkLost)
    assert [r.getMessage() for r in caplog.records if r.levelno > logging.DEBUG] == []


# -- a process that did not run ------------------------------------------------------------


class ReadingService(RecordingService):
    drops_abandoned = True


@pytest.mark.parametrize(
    ("kind", "carried_out"),
    [(ReadingService, ["waiting"]), (RecordingService, ["gone", "waiting"])],
)
def test_what_was_asked_of_a_frozen_process_by_who_is_gone(
    start_server: StartServer,
    dial: Dials,
    kind: type[RecordingService],
    carried_out: list[str],
) -> None:
    """It is not worked off later, where requests only read."""
    done: list[str] = []
    verbs: dict[str, Verb] = {"note": done.append}
    running = start_server(verbs, kind=kind)
    gone, waiting = dial(running), dial(running)
    for lane in (gone, waiting):
        lane.call("note", "before", timeout=PATIENCE)
    done.clear()
    frozen = threading.Event()

    def freeze() -> None:
        frozen.set()
        time.sleep(SLEPT_S + 0.2)

    running.loop.post(freeze)
    assert frozen.wait(PATIENCE)
    with pytest.raises(CallTimeout):
        gone.call("note", "gone", timeout=0.01)
    assert waiting.call("note", "waiting", timeout=PATIENCE) is None
    poll_for(lambda: running.server.connections == 1)
    assert sorted(done) == carried_out
    done.clear()
    with Lane.dial(*running.address) as brief:
        brief.call("note", "later", timeout=PATIENCE)
    assert done == ["later"]
