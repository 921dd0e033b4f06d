"""The asking end of the protocol, without a socket: which request comes next, what a reply is."""

from __future__ import annotations

import pytest
from rpyc.core import consts

from nodes.transport import RemoteFailure, Value, messages
from nodes.transport.caller import CALL_OVERHEAD_BYTES, Caller
from nodes.transport.frames import HEADER, MalformedError
from tests.transport.kit import ROOT_REF, VERB_REF

MAX_BYTES = 10_000


def asked(caller: Caller) -> messages.Message:
    """The next request, decoded."""
    return messages.load(caller.request()[HEADER.size : -1], messages.MAX_REQUEST_READS)


def payload(frame: bytes) -> bytes:
    return frame[HEADER.size : -1]


def resolved(verb: str = "verb", *args: Value) -> tuple[Caller, int]:
    """A caller that knows a verb and has just called it, and the number of that request."""
    caller = Caller(MAX_BYTES)
    caller.begin(verb, args)
    for ref in (ROOT_REF, VERB_REF):
        assert caller.receive(payload(messages.reference_reply(asked(caller).seq, ref))) is None
    return caller, asked(caller).seq


def test_a_verb_is_resolved_once_and_then_called() -> None:
    caller = Caller(MAX_BYTES)
    handlers = []
    caller.begin("verb", ("x",))
    for ref in (ROOT_REF, VERB_REF):
        request = asked(caller)
        handlers.append(request.body[0])  # type: ignore[index]
        caller.receive(payload(messages.reference_reply(request.seq, ref)))
    for _ in range(2):
        request = asked(caller)
        handlers.append(request.body[0])  # type: ignore[index]
        assert caller.receive(payload(messages.value_reply(request.seq, 7))) == (7,)
        assert not caller.verb
        caller.begin("verb", ("x",))
    assert handlers == [consts.HANDLE_GETROOT, consts.HANDLE_GETATTR, *[consts.HANDLE_CALL] * 2]


def test_one_call_at_a_time() -> None:
    caller, _ = resolved()
    with pytest.raises(RuntimeError, match="in flight"):
        caller.begin("verb", ())


def test_a_failure_ends_the_call() -> None:
    caller, seq = resolved()
    with pytest.raises(RemoteFailure, match="ValueError: no"):
        caller.receive(payload(messages.exception_reply(seq, "builtins", "ValueError", "no")))
    assert not caller.verb


@pytest.mark.parametrize("ahead", [-1, 1])
def test_the_answer_to_another_request_is_none(ahead: int) -> None:
    caller, seq = resolved()
    with pytest.raises(MalformedError, match="not the answer"):
        caller.receive(payload(messages.value_reply(seq + ahead, 7)))


def test_arguments_that_the_peer_would_not_take_begin_no_call() -> None:
    caller = Caller(MAX_BYTES)
    with pytest.raises(ValueError, match="too many"):
        caller.begin("verb", (bytes(MAX_BYTES - CALL_OVERHEAD_BYTES),))
    with pytest.raises(TypeError):
        caller.begin("verb", ([],))  # type: ignore[arg-type]
    assert not caller.verb
