"""How lanes end: by a deadline, a peer that leaves or talks nonsense, or by being closed."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpyc.core import brine, consts

from nodes.transport import (
    CallTimeout,
    DialFailed,
    Lane,
    Limits,
    LinkLost,
    TransportError,
    messages,
)
from nodes.transport.frames import HEADER, frame
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import (
    Gate,
    RunningServer,
    Script,
    after_resolving,
    ask,
    calling,
    descriptor,
    lane_to,
    lost,
    squeezed,
    value,
)

pytestmark = pytest.mark.usefixtures("quiet")
Dials = Callable[[RunningServer], Lane]
SHORT = 0.05


# -- failures of the link ----------------------------------------------------------------


def test_a_late_answer_closes_the_lane(start_server: StartServer, dial: Dials) -> None:
    lane = dial(start_server({"wait": Gate().wait}))
    with pytest.raises(CallTimeout, match="no answer within"):
        lane.call("wait", timeout=SHORT)
    assert lane.closed
    assert not lane.idle
    assert lane.stale
    assert descriptor(lane) == -1
    with pytest.raises(LinkLost, match="closed"):
        ask(lane, "echo")


def test_the_deadline_is_over_all_of_a_call() -> None:
    """Each piece comes in time; the whole does not. The peer never stops on its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def dribble() -> None:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):
                sock.sendall(HEADER.pack(1 << 20, 0))
                sock.settimeout(SHORT / 2)
                while True:
                    with contextlib.suppress(TimeoutError):
                        if not sock.recv(1000):
                            return
                    sock.sendall(b"x")

        thread = threading.Thread(target=dribble)
        thread.start()
        with Lane.dial(*listener.getsockname()) as lane, pytest.raises(CallTimeout):
            lane.call("verb", timeout=4 * SHORT)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_peer_that_never_accepts_nor_reads_is_seen_by_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with Lane.dial(*listener.getsockname()) as lane, pytest.raises(CallTimeout):
            lane.call("verb", b"x" * 4_000_000, timeout=SHORT)
        assert lane.closed


def test_no_time_at_all() -> None:
    with lane_to(after_resolving()) as lane, pytest.raises(CallTimeout):
        lane.call("verb", timeout=0)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(after_resolving()[:1], id="after the first look-up"),
        pytest.param(after_resolving(), id="after both look-ups"),
        pytest.param(after_resolving(lambda _: b""), id="without an answer"),
        pytest.param(after_resolving(lambda _: b"\x00\x00"), id="in the middle of an answer"),
        pytest.param(
            after_resolving(lambda seq: messages.value_reply(seq, 1)[:-1]), id="before the end mark"
        ),
    ],
)
def test_a_peer_that_leaves(script: Script) -> None:
    with lane_to(script, linger=False) as lane:
        said = lost(lane)
        assert "closed by the peer" in said or "reset" in said or "Broken pipe" in said


def answer(kind: int, body: object, *, ahead: int = 0) -> Callable[[int], bytes]:
    return lambda seq: frame(brine.I1.pack(kind), brine.dump((seq + ahead, body)))


BY_VALUE = (consts.LABEL_VALUE, 1)
GARBAGE: list[tuple[str, Callable[[int], bytes]]] = [
    ("HTTP", lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ("zeros", lambda _: bytes(100)),
    ("a frame of 4 GB", lambda _: HEADER.pack(2**32 - 1, 0)),
    ("no end mark", lambda seq: messages.value_reply(seq, 1)[:-1] + b"x"),
    ("no message", lambda _: frame(b"\x02garbage")),
    ("deep nesting", lambda _: frame(b"\x02" + brine.TAG_TUP1 * 50_000)),
    ("many parts", lambda seq: messages.value_reply(seq, (None,) * 200_000)),
    ("not boxed", answer(consts.MSG_REPLY, 7)),
    ("three", answer(consts.MSG_REPLY, (1, 2, 3))),
    ("a request", answer(consts.MSG_REQUEST, BY_VALUE)),
    ("no kind", answer(77, BY_VALUE)),
    ("the answer to another call", answer(consts.MSG_REPLY, BY_VALUE, ahead=1)),
    ("the answer to the call before", answer(consts.MSG_REPLY, BY_VALUE, ahead=-1)),
    ("two answers", lambda seq: messages.value_reply(seq, 1) * 2),
    ("an answer and a byte", lambda seq: messages.value_reply(seq, 1) + b"x"),
    ("a reference", lambda seq: messages.reference_reply(seq, ("a", 1, 2))),
    ("a boxed tuple", answer(consts.MSG_REPLY, (consts.LABEL_TUPLE, ((1, 2),)))),
    ("a bomb", lambda _: squeezed(bytes(100 << 20))),
]


@pytest.mark.parametrize(("name", "line"), GARBAGE, ids=[name for name, _ in GARBAGE])
def test_garbage_closes_the_lane(name: str, line: Callable[[int], bytes]) -> None:
    with lane_to(after_resolving(line)) as lane:
        assert "closed by the peer" not in lost(lane), "it is closed from here, at once"


@pytest.mark.parametrize("where", [0, 1])
def test_a_value_where_a_verb_should_be_closes_the_lane(where: int) -> None:
    script = list(after_resolving(value(1)))
    script[where] = value(1)
    with lane_to(script) as lane:
        assert "value" in lost(lane)


def test_a_reply_too_large_is_not_taken() -> None:
    limits = Limits(frame_reply=1000)
    with lane_to(after_resolving(value(bytes(800)), value(bytes(1000))), limits=limits) as lane:
        assert ask(lane, "verb") == bytes(800)
        assert "header" in lost(lane)


def test_an_answer_that_inflates_too_far_is_not_taken() -> None:
    def bomb(seq: int) -> bytes:
        return squeezed(messages.value_reply(seq, bytes(5000))[HEADER.size : -1])

    with lane_to(after_resolving(bomb), limits=Limits(frame_reply=6000)) as lane:
        assert ask(lane, "verb") == bytes(5000)
    with lane_to(after_resolving(bomb), limits=Limits(frame_reply=4000)) as lane:
        assert "more than 4000 bytes" in lost(lane)


def test_random_bytes_end_in_an_error_of_ours() -> None:
    @settings(max_examples=60)
    @given(st.binary(min_size=1, max_size=60), st.booleans(), st.integers(0, 2))
    def check(data: bytes, framed: bool, lines: int) -> None:
        said = frame(data) if framed else data
        with lane_to([*after_resolving()[:lines], lambda _: said], linger=False) as lane:
            with pytest.raises(TransportError):
                ask(lane, "verb")

    check()


# -- closing -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "abort"])
def test_another_thread_ends_a_call(start_server: StartServer, dial: Dials, how: str) -> None:
    gate = Gate()
    lane = dial(start_server({"wait": gate.wait}))
    with calling(lane, "wait") as answer:
        poll_for(lambda: gate.entered)
        getattr(lane, how)()
        assert type(answer.exception(PATIENCE)) is LinkLost
    assert lane.closed
    assert descriptor(lane) == -1


def test_a_lane_that_was_ended_keeps_its_descriptor_until_closed(
    start_server: StartServer, dial: Dials
) -> None:
    lane = dial(start_server())
    lane.abort()
    with pytest.raises(LinkLost):
        ask(lane, "echo")
    assert lane.closed
    assert descriptor(lane) >= 0
    lane.close()
    lane.close()
    lane.abort()
    assert descriptor(lane) == -1


def test_seeing_the_peer_leave(start_server: StartServer, dial: Dials) -> None:
    running = start_server()
    lane = dial(running)
    ask(lane, "echo")
    assert not lane.stale
    assert ask(lane, "echo", 1) == (1,), "looking changed nothing"
    running.services[0].connection.abort()
    poll_for(lambda: lane.stale)
    assert not lane.closed, "that is for who looks"
    lost(lane)
    assert lane.stale


def test_an_answer_to_nothing_asked_closes_the_lane() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lane = Lane.dial(*listener.getsockname())
        peer, _ = listener.accept()
        with peer, lane:
            assert not lane.stale
            peer.sendall(messages.value_reply(1, "early"))
            poll_for(lambda: lane.stale)
            assert "closed by the peer" not in lost(lane)


# -- dialling -------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("host", "port"),
    [
        pytest.param("127.0.0.1", 0, id="port 0"),
        pytest.param("127.0.0.1", 70_000, id="no such port"),
        pytest.param("127.0.0.1", -1, id="a negative port"),
        pytest.param("x" * 70, 80, id="a label too long"),
        pytest.param("..", 80, id="no labels"),
        pytest.param("a\x00b", 80, id="a NUL"),
        pytest.param("\ud800", 80, id="a surrogate"),
    ],
)
def test_what_cannot_be_dialled(host: str, port: int) -> None:
    with pytest.raises(DialFailed):
        Lane.dial(host, port, timeout=1.0)


def test_nobody_listens() -> None:
    with pytest.raises(DialFailed, match="refused"):
        Lane.dial("127.0.0.1", free_port())


def test_a_dial_that_nobody_takes_up_has_an_end() -> None:
    """A listener whose queue is full: the system answers no further connect."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        address = listener.getsockname()
        with pytest.raises(DialFailed, match="timed out"):
            for _ in range(10):
                stack.enter_context(Lane.dial(*address, timeout=SHORT))


def test_no_descriptor_to_dial_with() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            with pytest.raises(DialFailed, match="too many files are open"):
                Lane.dial(*listener.getsockname())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_socket_that_reached_itself_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux may give a dialled local port to the dialling socket itself."""

    def to_itself(_host: str, _port: int, _deadline: float) -> socket.socket:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        return sock

    monkeypatch.setattr("nodes.transport.lane._connect", to_itself)
    with pytest.raises(DialFailed, match="nobody"):
        Lane.dial("127.0.0.1", free_port())


def test_lanes_of_a_stopped_server_see_it(start_server: StartServer, dial: Dials) -> None:
    running = start_server()
    lane = dial(running)
    ask(lane, "echo")
    running.stop()
    poll_for(lambda: lane.stale)
    with pytest.raises(DialFailed):
        Lane.dial(*running.address)
