"""Calls on a shared connection, without one: what is sent, and what becomes of each call."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rpyc.core import consts

from nodes.transport import LinkLost, RemoteFailure, TransportError, Value, messages
from nodes.transport.frames import HEADER, MalformedError
from nodes.transport.requester import MAX_PENDING_CALLS, Requester
from tests.transport.kit import ROOT_REF

FIRST, SECOND = ("verb", 2, 1), ("verb", 2, 2)


class Told:
    """A call that keeps what it was told."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.all: list[Value | TransportError] = []
        self._then = then

    def replied(self, value: Value) -> None:
        self.all.append(value)
        self._then()

    def failed(self, error: TransportError) -> None:
        self.all.append(error)
        self._then()


class Talk:
    """A requester, and the peer's side of it."""

    def __init__(self, max_request_bytes: int = 1 << 20) -> None:
        self.sent: list[messages.Message] = []
        self.requester = Requester(self._send, max_request_bytes)

    def _send(self, data: bytes) -> None:
        payload = data[HEADER.size : -1]
        self.sent.append(messages.load(payload, messages.MAX_REQUEST_READS))

    def call(self, verb: str, *args: Value, then: Callable[[], object] = lambda: None) -> Told:
        told = Told(then)
        self.requester.call(verb, messages.arguments(args), told)
        return told

    def take(self, answer: bytes) -> None:
        self.requester.take(answer[HEADER.size : -1])

    def resolve(self, *refs: tuple[str, int, int]) -> None:
        """Answers the question for the root, and then that for each verb."""
        self.take(messages.reference_reply(self.sent[-1].seq, ROOT_REF))
        for question, ref in zip(self.sent[-len(refs) :], refs, strict=True):
            self.take(messages.reference_reply(question.seq, ref))

    def handlers(self) -> list[int]:
        """Which of RPyC's requests were sent."""
        found = []
        for request in self.sent:
            match request.body:
                case (int() as handler, _):
                    found.append(handler)
        return found


ROOT, VERB, CALL = consts.HANDLE_GETROOT, consts.HANDLE_GETATTR, consts.HANDLE_CALL


@pytest.fixture
def talk() -> Talk:
    return Talk()


def resolved() -> Talk:
    """One that has called `verb` before."""
    talk = Talk()
    told = talk.call("verb")
    talk.resolve(FIRST)
    talk.take(messages.value_reply(talk.sent[-1].seq, None))
    assert told.all == [None]
    talk.sent.clear()
    return talk


def test_a_verb_is_resolved_once(talk: Talk) -> None:
    """Calls of it wait meanwhile, and go out in their order."""
    calls = [talk.call("verb", number) for number in range(3)]
    assert talk.handlers() == [ROOT]
    talk.resolve(FIRST)
    assert talk.handlers() == [ROOT, VERB, CALL, CALL, CALL]
    for request, value in zip(talk.sent[-3:], "abc", strict=True):
        talk.take(messages.value_reply(request.seq, value))
    assert [told.all for told in calls] == [["a"], ["b"], ["c"]]
    talk.call("verb")
    assert talk.handlers()[5:] == [CALL]


def test_verbs_share_the_question_for_the_root(talk: Talk) -> None:
    first, second = talk.call("first"), talk.call("second")
    talk.resolve(FIRST, SECOND)
    assert talk.handlers() == [ROOT, VERB, VERB, CALL, CALL]
    talk.call("third")
    assert talk.handlers()[5:] == [VERB]
    for request, value in zip(talk.sent[3:5], (1, 2), strict=True):
        talk.take(messages.value_reply(request.seq, value))
    assert (first.all, second.all) == ([1], [2])


@pytest.mark.parametrize("value", ["text", b"bytes", None, 7, (1, ("é", b"")), 1.5])
def test_answers_come_in_any_order(value: Value) -> None:
    talk = resolved()
    calls = [talk.call("verb") for _ in range(300)]
    assert len({request.seq for request in talk.sent}) == 300
    for number in reversed(range(300)):
        talk.take(messages.value_reply(talk.sent[number].seq, (number, value)))
        assert calls[number].all == [(number, value)]
    talk.sent.clear()
    last = talk.call("verb")
    talk.take(messages.value_reply(talk.sent[0].seq, value))
    assert last.all == [value]


def test_an_exception_is_that_calls_alone() -> None:
    talk = resolved()
    bad, good = talk.call("verb"), talk.call("verb")
    talk.take(messages.exception_reply(talk.sent[0].seq, "builtins", "ValueError", "no"))
    talk.take(messages.value_reply(talk.sent[1].seq, 1))
    (error,) = bad.all
    assert isinstance(error, RemoteFailure)
    assert (error.kind, error.message) == ("ValueError", "no")
    assert good.all == [1]


def test_a_verb_that_is_refused_is_asked_for_anew(talk: Talk) -> None:
    calls = [talk.call("verb"), talk.call("verb")]
    talk.take(messages.reference_reply(talk.sent[-1].seq, ROOT_REF))
    talk.take(messages.exception_reply(talk.sent[-1].seq, "builtins", "AttributeError", "none"))
    assert all(isinstance(told.all[0], RemoteFailure) for told in calls)
    talk.call("verb")
    assert talk.handlers() == [ROOT, VERB, VERB]


def test_a_root_that_is_refused_fails_all_calls_and_is_asked_for_anew(talk: Talk) -> None:
    calls = [talk.call("first"), talk.call("second")]
    talk.take(messages.exception_reply(talk.sent[-1].seq, "rollcall", "Overloaded", "later"))
    for told in calls:
        (error,) = told.all
        assert isinstance(error, RemoteFailure)
        assert error.kind == "Overloaded"
    talk.call("first")
    assert talk.handlers() == [ROOT, ROOT]


def test_who_calls_again_at_once_is_not_forgotten(talk: Talk) -> None:
    again: list[Told] = []

    def call_again() -> None:
        again.append(talk.call(f"other{len(again)}"))

    talk.call("first", then=call_again)
    talk.call("second", then=call_again)
    talk.take(messages.exception_reply(talk.sent[-1].seq, "rollcall", "Overloaded", "later"))
    assert talk.handlers() == [ROOT, ROOT]
    talk.resolve(FIRST, SECOND)
    for request, value in zip(talk.sent[-2:], (1, 2), strict=True):
        talk.take(messages.value_reply(request.seq, value))
    assert [told.all for told in again] == [[1], [2]]


def test_the_end_of_the_connection_is_told_to_every_call_once() -> None:
    talk = resolved()
    calls = [talk.call("verb"), talk.call("verb"), talk.call("other"), talk.call("other")]
    error = LinkLost("gone")
    talk.requester.lose(error)
    talk.requester.lose(LinkLost("again"))
    late = talk.call("verb")
    assert [told.all for told in (*calls, late)] == [[error]] * 5
    with pytest.raises(MalformedError):
        talk.take(messages.value_reply(talk.sent[0].seq, 1))


def nonsense(seq: int) -> list[bytes]:
    """Answers that are none, to one who waits for the answer to `seq`."""
    return [
        messages.value_reply(seq + 1, "an answer to nothing"),
        messages.value_reply(seq + 1, 7),
        messages.exception_reply(seq + 1, "builtins", "ValueError", "an answer to nothing"),
        messages.reference_reply(seq + 1, FIRST),
        messages.reference_reply(seq, FIRST),
        messages.value_reply(-seq, "text"),
        messages.value_reply(2**70, "text"),
        messages.root_request(seq),
    ]


@pytest.mark.parametrize("number", range(len(nonsense(1))))
def test_nonsense_is_told_apart_and_the_call_is_told_of_the_end(number: int) -> None:
    talk = resolved()
    told = talk.call("verb")
    with pytest.raises(MalformedError):
        talk.take(nonsense(talk.sent[0].seq)[number])
    assert told.all == []
    error = LinkLost("hung up on")
    talk.requester.lose(error)
    assert told.all == [error]


@pytest.mark.parametrize("answer", ["text", 7, None])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_value_in_the_place_of_a_verb(talk: Talk, steps: int, answer: Value) -> None:
    told = talk.call("verb")
    if steps:
        talk.take(messages.reference_reply(talk.sent[-1].seq, ROOT_REF))
    with pytest.raises(MalformedError):
        talk.take(messages.value_reply(talk.sent[-1].seq, answer))
    error = LinkLost("hung up on")
    talk.requester.lose(error)
    assert told.all == [error]


def test_an_answer_that_comes_twice_is_nonsense() -> None:
    talk = resolved()
    told = talk.call("verb")
    answer = messages.value_reply(talk.sent[0].seq, "text")
    talk.take(answer)
    with pytest.raises(MalformedError):
        talk.take(answer)
    assert told.all == ["text"]


def test_arguments_that_are_too_many_bytes_are_not_sent() -> None:
    talk = Talk(max_request_bytes=10_000)
    with pytest.raises(ValueError, match="too many"):
        talk.call("verb", bytes(10_000))
    assert talk.sent == []


def test_calls_that_wait_are_bounded() -> None:
    talk = resolved()
    calls = [talk.call("verb") for _ in range(MAX_PENDING_CALLS)]
    (error,) = talk.call("verb").all
    assert isinstance(error, LinkLost)
    assert all(told.all == [] for told in calls)
    talk.take(messages.value_reply(talk.sent[0].seq, 1))
    assert talk.call("verb").all == []
