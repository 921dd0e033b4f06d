"""The real library's client works against our server, and reaches the verbs only."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import rpyc
from hypothesis import given, settings
from hypothesis import strategies as st
from rpyc.core import consts
from rpyc.core.vinegar import GenericException

from nodes.transport import Lane, Limits, Utf8
from nodes.transport.connection import MOST_VERBS, ROOT
from tests.kit import poll_for
from tests.transport.conftest import Opens
from tests.transport.kit import Desk, Office, Verb, values

Connects = Callable[[Office], Any]


def defect(call: Callable[[], object]) -> str:
    """What a client is told of a defect: a class of its own, and which exception it was."""
    with pytest.raises(GenericException) as raised:
        call()
    assert type(raised.value).__name__ == "rollcall.InternalError"
    (text,) = raised.value.args
    assert "<traceback denied>" in str(raised.value)
    return str(text)


def test_a_verb_is_called_in_one_line(open_office: Opens, connect: Connects) -> None:
    assert connect(open_office()).root.echo(1, "two", b"three") == (1, "two", b"three")


def test_a_kept_verb_is_called_again_and_again(open_office: Opens, connect: Connects) -> None:
    kept = connect(open_office()).root.echo
    assert [kept(n) for n in range(50)] == [(n,) for n in range(50)]


def test_values_come_back_as_they_went(open_office: Opens, connect: Connects) -> None:
    kept = connect(open_office()).root.echo

    @settings(max_examples=50)
    @given(st.lists(values, max_size=4).map(tuple))
    def check(sent: tuple[object, ...]) -> None:
        assert kept(*sent) == sent

    check()


def test_arguments_by_name(open_office: Opens, connect: Connects) -> None:
    root = connect(open_office()).root
    assert root.named(1, second="é") == (1, "é")
    assert root.named(first=2) == (2, None)


def test_finished_text_arrives_as_str(open_office: Opens, connect: Connects) -> None:
    root = connect(open_office({"text": lambda: Utf8('{"é": 1}'.encode())})).root
    assert root.text() == '{"é": 1}'
    assert type(root.text()) is str


def test_a_large_request_is_compressed_on_its_way(open_office: Opens, connect: Connects) -> None:
    text = "abc" * 300_000
    assert connect(open_office()).root.echo(text) == (text,)


def test_calls_without_waiting(open_office: Opens, connect: Connects) -> None:
    later = rpyc.async_(connect(open_office()).root.echo)
    asked = [later(n) for n in range(20)]
    assert [answer.value for answer in reversed(asked)] == [(n,) for n in reversed(range(20))]


def test_calls_inside_calls(open_office: Opens, connect: Connects) -> None:
    root = connect(open_office()).root
    assert root.echo(root.echo(root.echo(1))) == (((1,),),)


def test_threads_share_one_connection(open_office: Opens, connect: Connects) -> None:
    kept = connect(open_office()).root.echo
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(kept, range(200))) == [(n,) for n in range(200)]


def test_connections_do_not_wait_for_each_other(open_office: Opens, connect: Connects) -> None:
    go = threading.Event()
    office = open_office({"wait": lambda: go.wait(10)})
    waiting = rpyc.async_(connect(office).root.wait)()
    assert connect(office).root.echo("meanwhile") == ("meanwhile",)
    go.set()
    assert waiting.value is True


def test_ping(open_office: Opens, connect: Connects) -> None:
    connection = connect(open_office())
    connection.ping()
    connection.ping("x" * 10_000)
    assert not connection.closed


def test_goodbye_is_heard_once(open_office: Opens, connect: Connects) -> None:
    office = open_office()
    connection = connect(office)
    connection.root.echo()
    host, port = connection._channel.stream.sock.getsockname()
    connection.close()
    poll_for(lambda: office.server.connections == 0)
    (desk,) = office.desks
    assert [(peer.host, peer.port) for peer in desk.opened] == [(host, port)]
    assert desk.closed == 1


@pytest.mark.parametrize("name", ["nope", "verb", "hang_up", "on_close", "get_service_name", ""])
def test_an_unknown_name_is_an_attribute_error(
    open_office: Opens, connect: Connects, name: str
) -> None:
    root = connect(open_office()).root
    with pytest.raises(AttributeError, match="no such verb"):
        root.__getattr__(name)
    assert root.echo(1) == (1,)


class Careless(Desk):
    """Finds a verb by `getattr`, as one should not."""

    def verb(self, name: str) -> Verb | None:
        found = getattr(self, name, None)
        return found if callable(found) else None


@pytest.mark.parametrize("name", ["__class__", "__init__", "_private", "__reduce_ex__", "__dict__"])
def test_private_names_are_never_verbs(open_office: Opens, connect: Connects, name: str) -> None:
    connection = connect(open_office(kind=Careless))
    with pytest.raises(AttributeError):
        connection.sync_request(consts.HANDLE_GETATTR, connection.root, name)
    with pytest.raises(AttributeError):
        connection.sync_request(consts.HANDLE_CALLATTR, connection.root, name, (), ())


def test_a_verb_has_no_attributes(open_office: Opens, connect: Connects) -> None:
    connection = connect(open_office())
    for name in ("__func__", "__globals__", "__self__", "echo"):
        with pytest.raises(AttributeError, match="only verbs"):
            connection.sync_request(consts.HANDLE_GETATTR, connection.root.echo, name)


SERVED = {
    consts.HANDLE_PING,
    consts.HANDLE_CLOSE,
    consts.HANDLE_GETROOT,
    consts.HANDLE_GETATTR,
    consts.HANDLE_CALL,
    consts.HANDLE_CALLATTR,
    consts.HANDLE_DEL,
    consts.HANDLE_INSPECT,
}


def test_no_other_request_is_served(open_office: Opens, connect: Connects) -> None:
    connection = connect(open_office())
    target = connection.root.echo
    others = set(range(40)) - SERVED
    assert {consts.HANDLE_PICKLE, consts.HANDLE_DIR, consts.HANDLE_SETATTR} < others
    for handler in others:
        for about in (target, connection.root):
            with pytest.raises(ValueError, match="not served"):
                connection.sync_request(handler, about, 2)
    assert target(1) == (1,)


def test_the_root_itself_cannot_be_called(open_office: Opens, connect: Connects) -> None:
    connection = connect(open_office())
    with pytest.raises(TypeError, match="only verbs"):
        connection.sync_request(consts.HANDLE_CALL, connection.root, (), ())


def test_a_value_has_no_methods_here(open_office: Opens, connect: Connects) -> None:
    connection = connect(open_office())
    huge = 10**4000
    for method, args in (("__pow__", (huge,)), ("__mul__", (huge,)), ("bit_length", ())):
        with pytest.raises(AttributeError):
            connection.sync_request(consts.HANDLE_CALLATTR, huge, method, args, ())
    with pytest.raises(AttributeError):
        connection.sync_request(consts.HANDLE_GETATTR, "text", "format")


def test_nothing_is_told_about_objects(open_office: Opens, connect: Connects) -> None:
    connection = connect(open_office())
    connection.root.echo()
    for ref in (ROOT, ("builtins.method", 2, 1), ("builtins.int", 1, 1), None, ()):
        assert connection.sync_request(consts.HANDLE_INSPECT, ref) == ()


def test_what_is_not_by_value_is_foreign(open_office: Opens, connect: Connects) -> None:
    shapes = connect(open_office()).root.shapes
    assert shapes([1], {2: 3}, {4}, print, object(), "text") == " ".join(["Foreign"] * 5 + ["str"])


def test_foreign_values_inside_a_tuple_and_by_name(open_office: Opens, connect: Connects) -> None:
    office = open_office({"deep": lambda pair, *, key: repr((pair, key))})
    foreign = "<an argument not passed by value>"
    found = connect(office).root.deep((1, ([2], "x")), key=[3])
    assert found == f"((1, ({foreign}, 'x')), {foreign})"


def test_a_foreign_value_is_never_followed(open_office: Opens, connect: Connects) -> None:
    """A verb that tries gets no further than the stand-in; the peer is asked nothing."""
    called = []
    office = open_office({"call": lambda back: back()})
    root = connect(office).root
    assert "TypeError" in defect(lambda: root.call(lambda: called.append(1)))
    assert called == []


def test_our_own_objects_given_back_are_foreign(open_office: Opens, connect: Connects) -> None:
    root = connect(open_office()).root
    kept = root.echo
    assert root.shapes(root, kept, (kept, [root])) == "Foreign Foreign tuple"


def test_what_a_verb_raises_is_not_told(
    open_office: Opens, connect: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("a secret of ours")

    connection = connect(open_office({"fail": fail}))
    told = defect(connection.root.fail)
    assert told == "ValueError; the log of the process that answered has more"
    assert "a secret of ours" in caplog.text
    assert connection.root.echo(1) == (1,)


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration])
def test_a_verb_ends_neither_process(
    open_office: Opens, connect: Connects, end: type[BaseException]
) -> None:
    def leave() -> None:
        raise end

    root = connect(open_office({"leave": leave})).root
    assert end.__name__ in defect(root.leave)
    assert root.echo(1) == (1,)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param(10**4300, id="a huge integer"),
        pytest.param([1], id="a list"),
        pytest.param(Utf8, id="a class"),
    ],
)
def test_a_reply_that_cannot_cross_costs_one_call(
    open_office: Opens, connect: Connects, answer: object
) -> None:
    root = connect(open_office({"odd": lambda: answer})).root
    assert "Error" in defect(root.odd)
    assert root.echo(1) == (1,)


def test_a_reply_too_large_costs_one_call(open_office: Opens, connect: Connects) -> None:
    office = open_office({"big": lambda: bytes(1001)}, limits=Limits(frame_reply=1000))
    root = connect(office).root
    assert "OverflowError" in defect(root.big)
    assert root.echo(1) == (1,)


def test_arguments_that_do_not_fit_are_the_callers_mistake(
    open_office: Opens, connect: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect(open_office())
    root = connection.root
    for ask in (
        root.named,
        lambda: root.named(1, 2),
        lambda: root.named(1, third=3),
        lambda: connection.sync_request(consts.HANDLE_CALL, root.echo, "text", ()),
        lambda: connection.sync_request(consts.HANDLE_CALL, root.echo, (), "text"),
        lambda: connection.sync_request(consts.HANDLE_CALL, root.echo),
        lambda: connection.sync_request(consts.HANDLE_PING),
    ):
        with pytest.raises(TypeError):
            ask()
    assert root.echo(1) == (1,)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_keywords_are_told_apart_before_they_are_gathered(
    open_office: Opens, connect: Connects
) -> None:
    """Numbers can be chosen so that a dict of them takes for ever; texts cannot."""
    connection = connect(open_office())
    for pairs in (((1, 2),), (("name",),), ("ab",), ((b"name", 1),)):
        with pytest.raises(TypeError, match="pairs of a name and a value"):
            connection.sync_request(consts.HANDLE_CALL, connection.root.echo, (), pairs)


def test_forgetting_a_verb_does_not_end_it(open_office: Opens, connect: Connects) -> None:
    connection = connect(open_office())
    kept = connection.root.echo
    twin = connection.root.echo
    del twin
    gc.collect()
    connection.sync_request(consts.HANDLE_DEL, kept, 1000)
    assert kept(1) == (1,)


def test_a_reference_nobody_was_given_leads_nowhere(open_office: Opens, dial: Any) -> None:
    lane: Lane = dial(open_office())
    lane.call("echo", timeout=10)
    connection = rpyc.connect(*lane.address)
    try:
        stranger = connection.root  # "echo" was asked for on another connection
        object.__setattr__(stranger, "____id_pack__", ("builtins.method", 2, 1))
        with pytest.raises(LookupError, match="no such object"):
            connection.sync_request(consts.HANDLE_CALL, stranger, (), ())
    finally:
        connection.close()


class Fleeting(Desk):
    """Makes each verb on demand and keeps none of them."""

    def __init__(self, verbs: dict[str, Verb]) -> None:
        super().__init__(verbs)
        self.made: dict[str, weakref.ref[Verb]] = {}

    def verb(self, name: str) -> Verb | None:
        def answer(*args: object) -> object:
            return (name, *args)

        self.made[name] = weakref.ref(answer)
        return answer


def test_verbs_made_on_demand_live_as_long_as_their_connection(
    open_office: Opens, connect: Connects
) -> None:
    office = open_office(kind=Fleeting)
    connection = connect(office)
    kept = {f"verb{n}": getattr(connection.root, f"verb{n}") for n in range(100)}
    gc.collect()
    assert all(verb(1) == (name, 1) for name, verb in kept.items())
    (desk,) = office.desks
    assert isinstance(desk, Fleeting)
    made = list(desk.made.values())
    assert all(verb() is not None for verb in made)
    connection.close()
    poll_for(lambda: office.server.connections == 0)
    poll_for(lambda: all(verb() is None for verb in made))


def test_verbs_of_one_connection_are_bounded(open_office: Opens, connect: Connects) -> None:
    root = connect(open_office(kind=Fleeting)).root
    for number in range(MOST_VERBS):
        root.__getattr__(f"verb{number}")
    with pytest.raises(AttributeError, match="too many"):
        root.one_more()
    assert root.verb0(1) == ("verb0", 1)


def test_a_verb_that_returns_itself_does_not_leak(open_office: Opens, connect: Connects) -> None:
    """Only asking for the root or for a verb gives a reference; no value turns into one."""
    verbs: dict[str, Verb] = {}
    verbs["me"] = lambda: verbs["me"]
    root = connect(open_office(verbs)).root
    assert "TypeError" in defect(root.me)


def test_hanging_up_ends_one_connection(open_office: Opens, connect: Connects) -> None:
    office = open_office()
    first, second = connect(office), connect(office)
    first.root.echo()
    second.root.echo()
    desk = office.desks[0]
    desk.hang_up()
    desk.hang_up()
    poll_for(lambda: office.server.connections == 1)
    with pytest.raises(EOFError):
        first.root.echo()
    assert desk.closed == 1
    third = connect(office)  # it may well have the descriptor of the first
    assert third.root.echo(3) == (3,)
    desk.hang_up()
    assert third.root.echo(3) == (3,)
    assert second.root.echo(2) == (2,)


class Unwilling(Desk):
    def on_open(self, peer: object) -> None:
        self.hang_up()


def test_hanging_up_at_once(open_office: Opens, connect: Connects) -> None:
    office = open_office(kind=Unwilling)
    with pytest.raises(EOFError):
        connect(office).root.echo()
    poll_for(lambda: office.server.connections == 0)
    assert office.desks[0].closed == 1


class Broken(Desk):
    def on_open(self, peer: object) -> None:
        raise RuntimeError("cannot open")

    def on_close(self) -> None:
        super().on_close()
        raise RuntimeError("cannot close")


def test_a_desk_that_fails_is_logged_and_ends(
    open_office: Opens, connect: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    office = open_office(kind=Broken)
    with pytest.raises(EOFError):
        connect(office).root.echo()
    poll_for(lambda: office.server.connections == 0)
    assert office.desks[0].closed == 1
    assert "cannot open" in caplog.text
    assert "cannot close" in caplog.text
