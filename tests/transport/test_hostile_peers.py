"""A peer that means harm, or is only lost, costs its own connection and nothing else."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rpyc.core import brine, consts

from nodes.transport import Lane, Limits, messages
from nodes.transport.frames import HEADER, frame
from nodes.transport.responder import ROOT
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import FIRST_VERB, RawPeer, RunningServer, hello, serves, squeezed, values

pytestmark = pytest.mark.usefixtures("quiet")
ConnectRaw = Callable[[RunningServer], RawPeer]
SHORT = 0.05
RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""Lingers (struct linger) for 0 s, so that closing resets the connection."""

LONG = Limits(first_byte=600.0, frame=600.0, idle=600.0)
"""Under these, only what is said can end a connection within a test."""


def ping(value: object) -> bytes:
    """A request that is answered with `value`, whatever it is."""
    body = (consts.HANDLE_PING, (consts.LABEL_TUPLE, ((consts.LABEL_VALUE, value),)))
    encoded: bytes = brine.dump((1, body))
    return encoded


REQUEST = brine.I1.pack(consts.MSG_REQUEST)
REPLY = brine.I1.pack(consts.MSG_REPLY)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(HEADER.pack(2**32 - 1, 0), id="a frame of 4 GB"),
        pytest.param(squeezed(bytes(64 << 20)), id="a compressed bomb"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="HTTP"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(hello(), id="TLS"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="SSH"),
        pytest.param(bytes(range(256)), id="every byte"),
        pytest.param(bytes(64), id="zeros"),
        pytest.param(b"\xff" * 64, id="ones"),
        pytest.param(frame(b"\x00"), id="an empty message"),
        pytest.param(frame(REQUEST, brine.dump((1, 2))), id="a request of nothing"),
        pytest.param(frame(REQUEST, brine.dump((1, (7, 7)))), id="a request on nothing boxed"),
        pytest.param(frame(REPLY, brine.dump((1, (1, 1)))), id="an answer"),
        pytest.param(frame(b"\x09", brine.dump((1, (1, (1, ()))))), id="no kind of message"),
    ],
)
def test_nonsense_is_hung_up_on_at_once(
    start_server: StartServer, raw: ConnectRaw, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """With one line for whoever looks for it, and no deadline awaited."""
    running = start_server(limits=LONG)
    peer = raw(running)
    host, port = peer.sock.getsockname()
    peer.send(said)
    assert peer.rest() == b""
    poll_for(lambda: caplog.records)
    (line,) = caplog.records
    assert line.levelno == logging.DEBUG
    assert line.exc_info is None
    assert line.getMessage().startswith(f"{host}:{port} dropped: ")
    assert line.getMessage().isprintable()
    assert len(line.getMessage()) < 200
    assert serves(running)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        pytest.param(
            frame(REQUEST, ping(bytes(Limits().frame_in))), "at most 4194304 bytes", id="too large"
        ),
        pytest.param(
            squeezed(REQUEST + ping(bytes(Limits().frame_in))),
            "at most 4194304 bytes",
            id="inflates too far",
        ),
        pytest.param(
            frame(REQUEST, brine.TAG_TUP2, brine.dump(1), brine.TAG_TUP1 * 100_000),
            "nested too deep",
            id="deep nesting",
        ),
        pytest.param(
            frame(REQUEST, ping((None,) * 500_000)), "too many parts", id="half a million values"
        ),
    ],
)
def test_a_request_that_is_too_much_is_refused_and_the_next_is_answered(
    start_server: StartServer, raw: ConnectRaw, said: bytes, why: str
) -> None:
    """However it comes: at once, in pieces, with the next behind it."""
    running = start_server(limits=LONG)
    peer = raw(running)
    for start in range(0, len(said), 1 << 20):
        peer.send(said[start : start + (1 << 20)])
    peer.send(said + messages.root_request(7))
    peer.finish()
    refused, again, root = peer.answers()
    assert refused.seq == again.seq == 1
    assert "ValueError" in str(refused.body)
    assert why in str(refused.body)
    assert root.seq == 7
    assert serves(running)


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        pytest.param(b"\x00\x00", 0, id="half a header"),
        pytest.param(HEADER.pack(10, 0) + b"12345", 0, id="half a frame"),
        pytest.param(HEADER.pack(1, 0) + b"1", 0, id="a frame without its end mark"),
        pytest.param(messages.root_request(0) + b"\x00", 1, id="a request and a byte"),
    ],
)
def test_half_a_frame_has_an_end(
    start_server: StartServer, raw: ConnectRaw, said: bytes, answers: int
) -> None:
    running = start_server(limits=Limits(first_byte=600.0, frame=SHORT))
    peer = raw(running)
    peer.send(said)
    assert len(peer.answers()) == answers
    assert serves(running)


def test_silence_has_an_end(start_server: StartServer, raw: ConnectRaw) -> None:
    assert raw(start_server(limits=Limits(first_byte=SHORT))).rest() == b""


def test_silence_after_a_request_has_an_end_too(start_server: StartServer, raw: ConnectRaw) -> None:
    peer = raw(start_server(limits=Limits(first_byte=600.0, idle=SHORT)))
    peer.send(messages.root_request(0))
    assert len(peer.answers()) == 1


def test_a_peer_that_asks_may_take_its_time_between(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    peer = raw(start_server(limits=Limits(first_byte=600.0, frame=SHORT, idle=600.0)))
    peer.send(messages.root_request(0))
    assert peer.sock.recv(1000)
    peer.sock.settimeout(3 * SHORT)
    with pytest.raises(TimeoutError):
        peer.sock.recv(1000)
    peer.sock.settimeout(PATIENCE)
    peer.send(messages.root_request(1))
    assert peer.sock.recv(1000)


def test_a_byte_now_and_then_does_not_buy_time(start_server: StartServer, raw: ConnectRaw) -> None:
    running = start_server(limits=Limits(first_byte=600.0, frame=4 * SHORT))
    peer = raw(running)
    peer.sock.settimeout(SHORT / 2)
    peer.send(HEADER.pack(1000, 0))
    for _ in range(500):
        try:
            assert peer.sock.recv(1) == b""
            break
        except TimeoutError:
            peer.send(b"x")
        except ConnectionError:
            break
    else:
        pytest.fail("500 bytes later it is still listened to")
    assert serves(running)


def test_a_peer_that_does_not_read_is_cut_off(start_server: StartServer, ended: ExitStack) -> None:
    """Its connection ends though it never closes it; the answer is larger than all buffers."""
    running = start_server({"big": lambda: bytes(24 << 20)}, limits=Limits(frame=2 * SHORT))
    peer = RawPeer(running.address, receive_buffer=4096)
    ended.callback(peer.sock.close)
    peer.call("big")
    poll_for(lambda: running.services)
    poll_for(lambda: running.server.connections == 0)
    assert serves(running)


@pytest.mark.parametrize("depth", [328, 400])
def test_a_ping_too_deep_to_be_sent_back_is_no_defect(
    start_server: StartServer, raw: ConnectRaw, depth: int
) -> None:
    """Found by fuzzing: to encode it takes a deeper stack than to decode it."""
    nested: tuple[object, ...] = ()
    for _ in range(depth):
        nested = (nested,)
    running = start_server(limits=LONG)
    peer = raw(running)
    peer.ask(REQUEST + ping(nested))
    peer.finish()
    assert len(peer.answers()) <= 1
    assert serves(running)


def test_a_ping_with_what_does_not_cross_is_no_defect(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    """Found by fuzzing."""
    peer = raw(start_server(limits=LONG))
    foreign = (consts.LABEL_REMOTE_REF, ("builtins.list", 1, 2))
    body = (consts.HANDLE_PING, (consts.LABEL_TUPLE, (foreign,)))
    peer.ask(REQUEST + brine.dump((1, body)))
    peer.finish()
    (answer,) = peer.answers()
    assert answer.kind == consts.MSG_EXCEPTION
    assert "TypeError" in str(answer.body)


def test_closing_from_both_ends_at_once(start_server: StartServer, ended: ExitStack) -> None:
    """RPyC raises AttributeError in nearly every such case."""
    running = start_server()
    for number in range(50):
        lane = ended.enter_context(Lane.dial(*running.address))
        lane.call("echo", timeout=PATIENCE)
        service = running.services[-1]
        ends = [
            threading.Thread(target=end)
            for end in (service.connection.abort, lane.close, lane.close)
        ]
        for thread in ends:
            thread.start()
        for thread in ends:
            thread.join()
        poll_for(lambda: running.services[-1].closed == 1)
        assert len(running.services) == number + 1
    poll_for(lambda: running.server.connections == 0)


def test_many_requests_at_once_are_answered_in_order(
    start_server: StartServer, raw: ConnectRaw
) -> None:
    peer = raw(start_server(limits=LONG))
    peer.send(b"".join(messages.root_request(seq) for seq in range(1000)))
    peer.finish()
    assert [answer.seq for answer in peer.answers()] == list(range(1000))


def test_a_port_scan_is_not_heard(
    start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs no service, and a line that nobody sees who does not look for it."""
    running = start_server()
    for number in range(100):
        with socket.create_connection(running.address) as sock:
            if number % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    poll_for(lambda: caplog.text.count("dropped: left without a word") == 100)
    assert running.services == []
    assert serves(running)
    assert running.server.refused == 0


def test_peers_that_reset_their_connection_are_not_heard(start_server: StartServer) -> None:
    running = start_server()
    for _ in range(50):
        with socket.create_connection(running.address) as sock:
            sock.sendall(messages.root_request(0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert serves(running)
    poll_for(lambda: running.server.connections == 0)


def boxed() -> st.SearchStrategy[object]:
    """What a request may look like that was made to confuse: labels on anything."""
    labels = st.sampled_from([consts.LABEL_VALUE, consts.LABEL_TUPLE, consts.LABEL_LOCAL_REF, 4, 9])
    refs = st.sampled_from([ROOT, FIRST_VERB])
    names = st.sampled_from(["echo", "named", "shapes", "__class__", "nope"])
    leaves = values | refs | names
    inner = st.recursive(
        st.tuples(labels, leaves),
        lambda deeper: st.tuples(labels, st.lists(deeper, max_size=4).map(tuple)),
        max_leaves=8,
    )
    target = st.tuples(st.just(consts.LABEL_LOCAL_REF), refs)
    aimed = st.tuples(target, *[inner] * 2).map(lambda parts: (consts.LABEL_TUPLE, parts))
    return inner | aimed | leaves


requests = st.lists(
    st.tuples(st.integers(-1, 24) | values, boxed()) | values, min_size=1, max_size=4
)


def test_no_request_at_all_does_harm(start_server: StartServer) -> None:
    running = start_server(limits=LONG)

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(requests)
    def check(bodies: list[object]) -> None:
        peer = RawPeer(running.address)
        try:
            for seq, body in enumerate(bodies):
                peer.ask(REQUEST + brine.dump((seq, body)))
            peer.finish()
            answers = peer.answers()
        finally:
            peer.sock.close()
        # One answer each, up to the request that ended it, if one did.
        assert [answer.seq for answer in answers] == list(range(len(answers)))
        assert len(answers) <= len(bodies)
        for answer in answers:
            assert answer.kind in {consts.MSG_REPLY, consts.MSG_EXCEPTION}
            match answer.body:
                case (("rollcall", kind), *_):
                    pytest.fail(f"a defect: {kind} from {bodies}")

    check()
    assert serves(running)


def test_random_bytes_do_no_harm(start_server: StartServer) -> None:
    running = start_server(limits=LONG)

    @settings(max_examples=100)
    @given(st.lists(st.binary(max_size=100) | st.binary(max_size=100).map(frame), max_size=4))
    def check(chunks: list[bytes]) -> None:
        peer = RawPeer(running.address)
        try:
            for chunk in chunks:
                peer.send(chunk)
            peer.finish()
            peer.answers()
        finally:
            peer.sock.close()

    check()
    assert serves(running)


def test_nothing_of_ours_is_told_to_a_stranger(
    start_server: StartServer, raw: ConnectRaw, loud: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("secret")

    peer = raw(start_server({"fail": fail}, limits=LONG))
    peer.call("fail")
    peer.call("fail", "an argument too many")
    peer.call("__dict__")
    peer.finish()
    told = peer.rest()
    assert b"the log of the process" in told
    for word in (b"secret", b"Traceback (", b".py", b"nodes", b"RecordingService", b"6.0"):
        assert word not in told
    assert "secret" in loud.text, "the operator is told all of it"
