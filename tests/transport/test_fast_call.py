"""The fast path of a call comes to the same as the general one, or leaves the call alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpyc.core import brine

from nodes.transport import LanePool, Limits, TransportError, fast_call, messages
from nodes.transport.frames import HEADER
from tests.kit import PATIENCE
from tests.transport.conftest import StartServer
from tests.transport.kit import ScriptedServer, after_resolving, squeezed, value, values

pytestmark = pytest.mark.usefixtures("quiet")
Line = Callable[[int], bytes]
MAX_REPLY_BYTES = 4000
SHORT_TEXT = messages.BY_VALUE + brine.TAG_UNICODE + brine.TAG_STR_L1


def made(payload: bytes) -> Line:
    """A frame around a reply whose value begins as given."""

    def line(seq: int) -> bytes:
        whole: bytes = messages.REPLY + brine.dump(seq) + payload
        return HEADER.pack(len(whole), 0) + whole + b"\n"

    return line


ANSWERS: dict[str, Line] = {
    "text": value("an answer of more than four letters"),
    "long text": value("é" * 1000),
    "bytes": value(b"12345"),
    "long bytes": value(b"1" * 300),
    "tiny text": value("abcd"),
    "nothing": value(None),
    "a tuple": value((1, "two")),
    "too long": value("x" * MAX_REPLY_BYTES),
    "squeezed": lambda seq: squeezed(messages.value_reply(seq, "x" * 500)[HEADER.size : -1]),
    "of another request": lambda seq: messages.value_reply(seq + 1, "an answer"),
    "an exception": lambda seq: messages.exception_reply(seq, "builtins", "ValueError", "no"),
    "a reference": lambda seq: messages.reference_reply(seq, ("x", 1, 2)),
    "two": lambda seq: messages.value_reply(seq, "an answer") * 2,
    "one and a half": lambda seq: messages.value_reply(seq, "an answer") + b"\0",
    "half of one, then the end": lambda seq: messages.value_reply(seq, "an answer")[:-4],
    "without an end mark": lambda seq: messages.value_reply(seq, "an answer")[:-1] + b"x",
    "no text": made(SHORT_TEXT + b"\5\xff\xff\xff\xff\xff"),
    "a size too large": made(SHORT_TEXT + b"\xf012345"),
    "a size too small": made(SHORT_TEXT + b"\x0212345"),
    "by no value": made(brine.TAG_TUP2 + brine.dump(7) + brine.dump("an answer")),
    "no frame": lambda _seq: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "cut off": lambda _seq: b"",
}


def outcome(line: Line, *, fast: bool) -> tuple[object, ...]:
    """What becomes of a call over a lane at rest, and of the lane."""
    scripted = ScriptedServer(after_resolving(value("first"), line), linger=False)
    pool = LanePool(*scripted.address, limits=Limits(frame_reply=MAX_REPLY_BYTES), fresh_s=PATIENCE)
    try:
        lane = pool.take(timeout=PATIENCE)
        assert lane.call("verb", timeout=PATIENCE) == "first"
        pool.give(lane)
        try:
            if fast:
                found: Any = fast_call(pool, "verb", ("xander",), PATIENCE, time.monotonic())
            else:
                assert pool.take(timeout=PATIENCE) is lane
                try:
                    found = lane.call("verb", "xander", timeout=PATIENCE)
                finally:
                    pool.give(lane)
        except TransportError as error:
            found = (type(error), str(error).replace(f":{scripted.address[1]}", ""))
        return found, lane.closed, lane.idle, len(pool.idle), scripted.requests[-1].body
    finally:
        pool.close()
        scripted.close()


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_comes_to_the_same(answer: str) -> None:
    assert outcome(ANSWERS[answer], fast=True) == outcome(ANSWERS[answer], fast=False)


def test_arguments_arrive_as_they_were_given_or_are_left_to_the_general_path(
    start_server: StartServer,
) -> None:
    pool = LanePool(*start_server().address, fresh_s=PATIENCE)
    lane = pool.take(timeout=PATIENCE)
    lane.call("echo", timeout=PATIENCE)
    lane.call("shapes", timeout=PATIENCE)
    pool.give(lane)

    @settings(max_examples=200)
    @given(st.lists(st.text(max_size=300) | values, max_size=6).map(tuple))
    def check(args: tuple[Any, ...]) -> None:
        texts = all(type(arg) is str and len(arg.encode()) < 256 for arg in args)
        found = fast_call(pool, "echo", args, PATIENCE, time.monotonic())
        assert found == (args if texts and len(args) < 5 else None)
        assert pool.idle == [lane]

    check()
    pool.close()


def test_what_is_no_case_for_it_is_left_alone(start_server: StartServer) -> None:
    running = start_server()
    pool = LanePool(*running.address, fresh_s=PATIENCE)
    assert fast_call(pool, "echo", ("x",), PATIENCE, time.monotonic()) is None, "there is no lane"
    lane = pool.take(timeout=PATIENCE)
    pool.give(lane)
    assert fast_call(pool, "echo", ("x",), PATIENCE, time.monotonic()) is None, (
        "the verb is not known there"
    )
    assert lane.call("echo", "x", timeout=PATIENCE) == ("x",)
    assert fast_call(pool, "echo", ("x",), PATIENCE / 100, time.monotonic()) is None, (
        "the kernel's time is another"
    )
    lane.used_at -= 60
    assert fast_call(pool, "echo", ("x",), PATIENCE, time.monotonic()) is None, (
        "it has rested for long"
    )
    assert pool.idle == [lane]
    pool.close()
    assert fast_call(pool, "echo", ("x",), PATIENCE, time.monotonic()) is None, "it is closed"
