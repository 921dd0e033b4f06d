"""What RPyC does by default, and what we do instead: each can be done with and without.

A mitigation is taken out by a limit, an argument or a subclass.

What neither can take out is in the tests of that behaviour alone: errors of `accept` and
`connect` (`test_exhaustion`, `test_lane_failures`), silence about port scans and resets, both
ends closing at once (`test_hostile_peers`), a port that is known before anything listens on it
(`test_server`).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple, Protocol, cast

import msgspec
import pytest
from rpyc.core import brine, consts

from nodes.transport import Asker, CallTimeout, Lane, Limits, LinkLost, messages
from nodes.transport.caller import Caller
from nodes.transport.frames import HEADER, FrameReader, MalformedError, inflate
from nodes.transport.responder import ROOT, Responder
from tests.kit import PATIENCE
from tests.transport.kit import (
    COMMON,
    FIRST_VERB,
    RawPeer,
    RecordingService,
    RunningServer,
    after_resolving,
    lane_to,
    squeezed,
    still_open,
)
from tests.transport.weakened import (
    AnyAttributeResponder,
    AnyReplyCaller,
    AnyRequestResponder,
    RenewedWaitStream,
    UnwokenLane,
)

SHORT = 0.05
LONG = 600.0


class Scenario(Protocol):
    """What a mitigation is against, done with it or without it.

    Args:
        kept: whether the mitigation is.
        stack: ends what was opened.

    Returns:
        Whether harm came of it.
    """

    def __call__(self, kept: bool, stack: ExitStack) -> bool: ...


class Mitigation(NamedTuple):
    """One of them: `default` is what RPyC does by itself."""

    default: str
    scenario: Scenario


MITIGATIONS: list[Mitigation] = []


def against(default: str) -> Callable[[Scenario], Scenario]:
    """Enters a scenario into the table."""

    def enter(scenario: Scenario) -> Scenario:
        MITIGATIONS.append(Mitigation(default, scenario))
        return scenario

    return enter


def opened(
    stack: ExitStack, limits: Limits, kind: type[RecordingService] = RecordingService
) -> RunningServer:
    running = RunningServer(limits, {**COMMON, "big": lambda: bytes(24 << 20)}, kind)
    stack.callback(running.stop)
    return running


def connected(
    stack: ExitStack, running: RunningServer, receive_buffer: int | None = None
) -> RawPeer:
    peer = RawPeer(running.address, receive_buffer)
    stack.callback(peer.sock.close)
    return peer


def stays(peer: RawPeer, kept: bool) -> bool:
    """Whether the other end keeps the connection. With the mitigation it ends it as soon as the
    machine lets it; without, a short while shows that it does not.
    """
    peer.sock.settimeout(PATIENCE if kept else 6 * SHORT)
    try:
        while peer.sock.recv(1 << 16):
            pass
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    return False


# -- safe_attrs reach values: one packet freezes the process ------------------------------


def answered(responder: Responder, handler: int, *args: object) -> bool:
    """Whether a request on a verb is answered, and not refused."""
    for asked in (messages.root_request(1), messages.verb_request(2, ROOT, "echo")):
        responder.answer(asked[HEADER.size : -1])
    boxed = ((consts.LABEL_LOCAL_REF, FIRST_VERB), *((consts.LABEL_VALUE, arg) for arg in args))
    body = (handler, (consts.LABEL_TUPLE, boxed))
    answer = responder.answer(brine.I1.pack(consts.MSG_REQUEST) + brine.dump((4, body)))
    assert isinstance(answer, bytes)
    return bool(answer[HEADER.size] == consts.MSG_REPLY)


NO_ASKER = cast("Asker", None)
"""Of a responder none of whose verbs answers on it."""


@against("attributes of whatever a peer holds can be read")
def attributes_of_a_verb(kept: bool, stack: ExitStack) -> bool:
    kind = Responder if kept else AnyAttributeResponder
    return answered(
        kind(RecordingService(COMMON), 1 << 20, NO_ASKER), consts.HANDLE_GETATTR, "__call__"
    )


@against("a peer may have any of RPyC's requests carried out")
def other_requests(kept: bool, stack: ExitStack) -> bool:
    kind = Responder if kept else AnyRequestResponder
    return answered(kind(RecordingService(COMMON), 1 << 20, NO_ASKER), consts.HANDLE_BUFFITER, 1)


@against("whatever comes is taken for the answer, and requests of a server are carried out")
def an_answer_to_another_call(kept: bool, stack: ExitStack) -> bool:
    caller = (Caller if kept else AnyReplyCaller)(1 << 20)
    caller.begin("verb", ())
    caller.request()
    with contextlib.suppress(MalformedError):
        caller.receive(messages.reference_reply(12345, ("a", 1, 2))[HEADER.size : -1])
        return True
    return False


# -- lengths are believed -------------------------------------------------------------------


@against("a length of 4 GB is believed")
def a_frame_of_4_gb(kept: bool, stack: ExitStack) -> bool:
    limits = Limits(first_byte=LONG, frame=LONG)
    if not kept:
        limits = msgspec.structs.replace(limits, frame_in=2**32)
    peer = connected(stack, opened(stack, limits))
    peer.send(HEADER.pack(2**32 - 1, 0) + b"x")
    return stays(peer, kept)


@against("a reply of any length is taken")
def a_reply_too_large(kept: bool, stack: ExitStack) -> bool:
    limits = Limits(frame_reply=1000 if kept else 1 << 20)
    with lane_to(
        after_resolving(lambda seq: messages.value_reply(seq, bytes(5000))), limits=limits
    ) as lane:
        with contextlib.suppress(LinkLost):
            return lane.call("verb", timeout=PATIENCE) == bytes(5000)
    return False


@against("a compressed frame inflates without end")
def a_bomb(kept: bool, stack: ExitStack) -> bool:
    reader = FrameReader(1 << 20 if kept else 1 << 30)
    with contextlib.suppress(MalformedError):
        return reader.take(squeezed(bytes(64 << 20))) is not None
    return False


@against("inflating is not bounded while it goes on")
def a_bomb_while_it_inflates(kept: bool, stack: ExitStack) -> bool:
    frame = squeezed(bytes(8 << 20))[HEADER.size : -1]
    with contextlib.suppress(MalformedError):
        return len(inflate(frame, (1 << 20) if kept else (1 << 30))) > 1 << 20
    return False


@against("a message may have any number of parts")
def half_a_million_values(kept: bool, stack: ExitStack) -> bool:
    payload = messages.value_reply(1, (None,) * 500_000)[HEADER.size : -1]
    with contextlib.suppress(MalformedError):
        messages.load(payload, messages.MAX_REQUEST_READS if kept else 1 << 30)
        return True
    return False


# -- a timeout bounds neither receive, send nor close ------------------------------------------


@against("a connection may be silent for ever")
def silence(kept: bool, stack: ExitStack) -> bool:
    return stays(connected(stack, opened(stack, Limits(first_byte=SHORT if kept else LONG))), kept)


@against("half a header holds a thread for ever")
def half_a_header(kept: bool, stack: ExitStack) -> bool:
    limits = Limits(first_byte=LONG, frame=SHORT if kept else LONG)
    peer = connected(stack, opened(stack, limits))
    peer.send(b"\x00\x00")
    return stays(peer, kept)


@against("a connection may rest for ever after a request")
def silence_after_a_request(kept: bool, stack: ExitStack) -> bool:
    peer = connected(stack, opened(stack, Limits(first_byte=LONG, idle=SHORT if kept else LONG)))
    peer.send(messages.root_request(0))
    return stays(peer, kept)


@against("a peer that reads nothing holds a thread for ever")
def a_peer_that_does_not_read(kept: bool, stack: ExitStack) -> bool:
    running = opened(stack, Limits(frame=2 * SHORT if kept else LONG))
    connected(stack, running, receive_buffer=4096).call("big")
    # As in `stays`
    end = time.monotonic() + (PATIENCE if kept else 10 * SHORT)
    while not running.services or (running.server.connections and time.monotonic() < end):
        threading.Event().wait(SHORT / 5)
    return running.server.connections == 1


@against("a byte now and then buys time without end")
def a_byte_now_and_then(kept: bool, stack: ExitStack) -> bool:
    ours, theirs = socket_pair(stack)
    lane = stack.enter_context(Lane(ours, stream=None if kept else RenewedWaitStream(ours)))
    done = threading.Event()

    def dribble() -> None:
        with contextlib.suppress(OSError):
            theirs.sendall(HEADER.pack(20, 0))
            for _ in range(20):
                if done.wait(SHORT / 2):
                    return
                theirs.sendall(b"x")

    thread = threading.Thread(target=dribble)
    thread.start()
    began = time.monotonic()
    with pytest.raises((CallTimeout, LinkLost)):
        lane.call("verb", timeout=2 * SHORT)
    took = time.monotonic() - began
    done.set()
    thread.join()
    return took > 5 * SHORT


def socket_pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = stack.enter_context(socket.create_connection(listener.getsockname()))
        theirs = stack.enter_context(listener.accept()[0])
    return ours, theirs


# -- nothing bounds the connections -------------------------------------------------------------


@against("nothing bounds the connections")
def silent_connections(kept: bool, stack: ExitStack) -> bool:
    running = opened(stack, Limits(connections=3 if kept else 64, first_byte=LONG))
    peers = [connected(stack, running) for _ in range(12)]
    end = time.monotonic() + 6 * SHORT
    while len(still_open(peers)) > 3 and time.monotonic() < end:
        threading.Event().wait(SHORT / 5)
    return len(still_open(peers)) > 3


# -- close wakes nobody ---------------------------------------------------------------------


@against("closing from another thread does not wake who waits")
def a_call_that_is_not_woken(kept: bool, stack: ExitStack) -> bool:
    ours, _theirs = socket_pair(stack)
    lane = stack.enter_context((Lane if kept else UnwokenLane)(ours))

    def call() -> None:
        with contextlib.suppress(LinkLost):
            lane.call("verb", timeout=PATIENCE)

    thread = threading.Thread(target=call)
    thread.start()
    while lane.idle:
        threading.Event().wait(0.001)
    lane.abort()
    thread.join(6 * SHORT)
    asleep = thread.is_alive()
    Lane.abort(lane)
    thread.join(PATIENCE)
    return asleep
