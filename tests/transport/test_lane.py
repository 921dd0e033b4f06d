"""Lanes: one call in flight, one deadline, and an honest word on how it ended."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import rpyc
from hypothesis import given, settings
from hypothesis import strategies as st
from rpyc.core import brine, consts
from rpyc.utils.server import ThreadedServer

from nodes.transport import (
    Lane,
    Limits,
    LinkLost,
    RemoteFailure,
    Utf8,
    messages,
)
from nodes.transport.frames import FrameReader, frame
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import (
    LOOKED_UP,
    Gate,
    RunningServer,
    ScriptedServer,
    after_resolving,
    ask,
    calling,
    lane_to,
    value,
    values,
)

Dials = Callable[[RunningServer], Lane]


# -- calls that succeed ---------------------------------------------------------


def test_values_come_back_as_they_went(start_server: StartServer, dial: Dials) -> None:
    lane = dial(start_server())

    @settings(max_examples=50)
    @given(st.lists(values, max_size=4).map(tuple))
    def check(sent: tuple[object, ...]) -> None:
        assert ask(lane, "echo", *sent) == sent

    check()


def test_arguments_by_name(start_server: StartServer, dial: Dials) -> None:
    lane = dial(start_server())
    assert ask(lane, "named", 1, second="é") == (1, "é")
    assert ask(lane, "named", first=None, second=(1, b"2")) == (None, (1, b"2"))
    assert lane.call("named", 1, timeout=PATIENCE, named={}) == (1, None)
    assert lane.call("named", 1, timeout=PATIENCE, named=None) == (1, None)


def test_finished_text_arrives_as_str(start_server: StartServer, dial: Dials) -> None:
    lane = dial(start_server({"text": lambda: Utf8("é".encode())}))
    assert ask(lane, "text") == "é"


def test_a_large_value_in_many_pieces(start_server: StartServer, dial: Dials) -> None:
    big = bytes(range(256)) * 12_000
    assert ask(dial(start_server()), "echo", big) == (big,)


def test_a_verb_is_looked_up_once() -> None:
    scripted = ScriptedServer(after_resolving(value(1), value(2), value(3)))
    try:
        with Lane.dial(*scripted.address) as lane:
            assert [ask(lane, "verb") for _ in range(3)] == [1, 2, 3]
        assert scripted.handlers() == [*LOOKED_UP, consts.HANDLE_CALL, consts.HANDLE_CALL]
    finally:
        scripted.close()


def test_each_lane_numbers_its_calls_from_a_place_of_its_own() -> None:
    first = set()
    for _ in range(10):
        scripted = ScriptedServer(after_resolving(value(1)))
        try:
            with Lane.dial(*scripted.address) as lane:
                assert ask(lane, "verb") == 1
        finally:
            scripted.close()
        numbers = [request.seq for request in scripted.requests]
        assert all(after == before % 99 + 1 for before, after in itertools.pairwise(numbers))
        first.add(numbers[0])
    assert len(first) > 1


def test_an_answer_in_the_smallest_pieces() -> None:
    class Dribble:
        """A server whose every byte is a packet of its own."""

        def __init__(self) -> None:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.thread = threading.Thread(target=self.run)
            self.thread.start()

        def run(self) -> None:
            sock, _ = self.listener.accept()
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                reader = FrameReader(10_000)
                for line in after_resolving(value("in pieces")):
                    request = messages.load(reader.take(sock.recv(10_000)) or b"", 100)
                    for byte in line(request.seq):
                        sock.sendall(bytes([byte]))

    server = Dribble()
    with server.listener, Lane.dial(*server.listener.getsockname()) as lane:
        assert ask(lane, "verb") == "in pieces"
        server.thread.join(PATIENCE)


def test_a_value_encoded_in_another_way_is_still_one() -> None:
    """RPyC writes small integers as one byte; an integer of any size may be written as text."""

    def wordy(number: int) -> bytes:
        digits = str(number).encode()
        return bytes([*brine.TAG_INT_L1, len(digits)]) + digits

    def reply(seq: int) -> bytes:
        label = wordy(consts.LABEL_VALUE)
        return frame(
            brine.I1.pack(consts.MSG_REPLY),
            brine.TAG_TUP2,
            wordy(seq),
            brine.TAG_TUP2,
            label,
            brine.dump("value"),
        )

    with lane_to(after_resolving(reply)) as lane:
        assert ask(lane, "verb") == "value"


def test_a_slow_answer_holds_up_no_other_lane(start_server: StartServer, dial: Dials) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait})
    slow, fast = dial(running), dial(running)
    with calling(slow, "wait") as answer:
        poll_for(lambda: gate.entered)
        assert ask(fast, "echo", "first") == ("first",)
        assert not answer.done()
        gate.open(running)
        assert answer.result() == 1


# -- a server of the real library ---------------------------------------------------


class StockService(rpyc.Service):  # type: ignore[misc] # RPyC has no types
    def exposed_echo(self, *args: object, **named: object) -> object:
        return (args, tuple(named.items()))

    def exposed_fail(self) -> None:
        raise ValueError("it says why", 7)

    def exposed_things(self) -> list[int]:
        return [1, 2]


@pytest.fixture
def stock(ended: ExitStack) -> tuple[str, int]:
    server = ThreadedServer(StockService, hostname="127.0.0.1", port=0)
    server._listen()
    thread = threading.Thread(target=server.start)
    thread.start()
    ended.callback(thread.join, PATIENCE)
    ended.callback(server.close)
    # Closed while it serves, it prints what went wrong with that.
    ended.callback(poll_for, lambda: not server.clients)
    return ("127.0.0.1", server.port)


def test_a_lane_asks_a_stock_server(stock: tuple[str, int]) -> None:
    with Lane.dial(*stock) as lane:
        assert ask(lane, "echo", 1, "é", key=b"x") == ((1, "é"), (("key", b"x"),))
        assert ask(lane, "echo", "a" * 100_000) == (("a" * 100_000,), ())  # compressed
        for _ in range(2):
            with pytest.raises(RemoteFailure, match="ValueError: it says why") as raised:
                ask(lane, "fail")
            assert (raised.value.kind, raised.value.message) == ("ValueError", "it says why")
        with pytest.raises(RemoteFailure, match="AttributeError"):
            ask(lane, "missing")
        assert ask(lane, "echo") == ((), ())


def test_a_list_of_a_stock_server_is_no_answer(stock: tuple[str, int]) -> None:
    with Lane.dial(*stock) as lane:
        with pytest.raises(LinkLost, match="not by value"):
            ask(lane, "things")
        assert lane.closed


# -- one at a time ------------------------------------------------------------------


def test_one_call_in_flight(start_server: StartServer, dial: Dials) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait})
    lane = dial(running)
    with calling(lane, "wait") as answer:
        poll_for(lambda: gate.entered)
        assert not lane.idle
        with pytest.raises(RuntimeError, match="in flight"):
            ask(lane, "echo")
        gate.open(running)
        assert answer.result() == 1
    assert ask(lane, "echo", 1) == (1,)
    assert lane.idle


@pytest.mark.parametrize(
    ("verb", "args", "named", "error"),
    [
        ("echo", ([1],), {}, TypeError),
        ("echo", (1,), {"key": {}}, TypeError),
        ("echo", ("\ud800",), {}, ValueError),
        ("echo", (), {"\ud800": 1}, ValueError),
        ("\ud800", (), {}, ValueError),
        ("echo", (b"x" * (4 << 20),), {}, ValueError),
        ("echo", (), {"key": b"x" * (4 << 20)}, ValueError),
    ],
    ids=["list", "dict by name", "surrogate", "name", "verb", "too large", "too large by name"],
)
def test_what_cannot_cross_is_not_sent(
    start_server: StartServer,
    dial: Dials,
    verb: str,
    args: tuple[Any, ...],
    named: dict[str, Any],
    error: type[Exception],
) -> None:
    lane = dial(start_server())
    with pytest.raises(error):
        ask(lane, verb, *args, **named)
    assert lane.idle
    assert ask(lane, "echo", 1) == (1,)


def test_the_largest_arguments_that_are_sent_are_taken(
    start_server: StartServer, dial: Dials
) -> None:
    limits = Limits()
    lane = dial(start_server({"size": len}))
    for room in range(2000, 2100):
        text = b"x" * (limits.frame_in - room)
        with contextlib.suppress(ValueError):
            assert ask(lane, "size", text) == len(text)
            break
    else:
        pytest.fail("none of them was sent")
    assert room > 2000, "and the first was too large"


# -- failures of the verb ---------------------------------------------------------------


def test_an_exception_leaves_the_lane_idle(start_server: StartServer, dial: Dials) -> None:
    def fail() -> None:
        raise KeyError("secret")

    lane = dial(start_server({"fail": fail}))
    for verb, kind in (("fail", "InternalError"), ("nope", "AttributeError")):
        for _ in range(2):
            with pytest.raises(RemoteFailure) as raised:
                ask(lane, verb)
            assert raised.value.kind == kind
            assert "secret" not in raised.value.message
            assert lane.idle
    with pytest.raises(RemoteFailure, match="TypeError"):
        ask(lane, "named")
    assert ask(lane, "echo", 1) == (1,)


@pytest.mark.parametrize(
    "body",
    [
        None,
        consts.EXC_STOP_ITERATION,
        "text",
        (),
        (("m", "Kind"), ("x" * 10_000, 5), (), ""),
        (("m", 5), (), (), ""),
        (("m", "K" * 10_000), (), (), ""),
    ],
)
def test_an_exception_of_any_shape_is_one(body: object) -> None:
    def raise_it(seq: int) -> bytes:
        return frame(brine.I1.pack(consts.MSG_EXCEPTION), brine.dump((seq, body)))

    with lane_to(after_resolving(raise_it, value("sound"))) as lane:
        with pytest.raises(RemoteFailure) as raised:
            ask(lane, "verb")
        assert len(str(raised.value)) < 700
        assert ask(lane, "verb") == "sound"
