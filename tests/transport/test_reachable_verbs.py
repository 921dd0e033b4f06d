"""A client of the real library reaches the verbs and nothing else, whatever it asks for."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import rpyc
from rpyc.core import consts

from nodes.transport import Lane, Service
from nodes.transport.responder import MAX_VERBS, ROOT
from tests.kit import poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import FIRST_VERB, RecordingService, RunningServer, Verb, defect

Connects = Callable[[RunningServer], Any]


@pytest.mark.parametrize("name", ["nope", "verb", "hang_up", "on_close", "get_service_name", ""])
def test_an_unknown_name_is_an_attribute_error(
    start_server: StartServer, connect: Connects, name: str
) -> None:
    root = connect(start_server()).root
    with pytest.raises(AttributeError, match="no such verb"):
        root.__getattr__(name)
    assert root.echo(1) == (1,)


@pytest.mark.parametrize(
    ("name", "repeated"),
    [
        ("lookup", True),
        ("Look_up9", True),
        ("x" * 80, True),
        ("x" * 81, False),
        ("lookup 1a55", False),
        ("lookup\n", False),
        ("1a55", False),
        ("é", False),
    ],
)
def test_a_name_that_could_be_no_verb_is_not_repeated(
    start_server: StartServer, connect: Connects, name: str, repeated: bool
) -> None:
    with pytest.raises(AttributeError, match="no such verb") as caught:
        connect(start_server()).root.__getattr__(name)
    assert (repr(name) in str(caught.value)) is repeated
    assert repeated or "1a55" not in str(caught.value)


class GetattrService(RecordingService):
    """Finds a verb by `getattr`, as one should not."""

    def verb(self, name: str) -> Verb | None:
        found = getattr(self, name, None)
        return found if callable(found) else None


@pytest.mark.parametrize("name", ["__class__", "__init__", "_private", "__reduce_ex__", "__dict__"])
def test_private_names_are_never_verbs(
    start_server: StartServer, connect: Connects, name: str
) -> None:
    connection = connect(start_server(kind=GetattrService))
    with pytest.raises(AttributeError):
        connection.sync_request(consts.HANDLE_GETATTR, connection.root, name)
    with pytest.raises(AttributeError):
        connection.sync_request(consts.HANDLE_CALLATTR, connection.root, name, (), ())


def test_a_verb_has_no_attributes(start_server: StartServer, connect: Connects) -> None:
    connection = connect(start_server())
    for name in (
        "__func__",
        "__globals__",
        "__self__",
        "__module__",
        "__class__",
        "__dict__",
        "echo",
    ):
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
    consts.HANDLE_DIR,
    consts.HANDLE_REPR,
    consts.HANDLE_STR,
    consts.HANDLE_HASH,
    consts.HANDLE_CMP,
}


def test_no_other_request_is_served(start_server: StartServer, connect: Connects) -> None:
    connection = connect(start_server())
    target = connection.root.echo
    others = set(range(40)) - SERVED
    assert others >= {
        consts.HANDLE_PICKLE,
        consts.HANDLE_SETATTR,
        consts.HANDLE_DELATTR,
        consts.HANDLE_BUFFITER,
        consts.HANDLE_OLDSLICING,
        consts.HANDLE_CTXEXIT,
        consts.HANDLE_INSTANCECHECK,
    }
    for handler in others:
        for about in (target, connection.root):
            with pytest.raises(ValueError, match="not served"):
                connection.sync_request(handler, about, 2)
    assert target(1) == (1,)


def test_the_root_itself_cannot_be_called(start_server: StartServer, connect: Connects) -> None:
    connection = connect(start_server())
    with pytest.raises(TypeError, match="only verbs"):
        connection.sync_request(consts.HANDLE_CALL, connection.root, (), ())


def test_a_value_has_no_methods_here(start_server: StartServer, connect: Connects) -> None:
    connection = connect(start_server())
    huge = 10**4000
    for method, args in (("__pow__", (huge,)), ("__mul__", (huge,)), ("bit_length", ())):
        with pytest.raises(AttributeError):
            connection.sync_request(consts.HANDLE_CALLATTR, huge, method, args, ())
    with pytest.raises(AttributeError):
        connection.sync_request(consts.HANDLE_GETATTR, "text", "format")


def test_nothing_is_told_about_objects(start_server: StartServer, connect: Connects) -> None:
    connection = connect(start_server())
    connection.root.echo()
    for ref in (ROOT, FIRST_VERB, ("builtins.int", 1, 1), None, ()):
        assert connection.sync_request(consts.HANDLE_INSPECT, ref) == ()


@pytest.mark.parametrize(
    "handler",
    [
        consts.HANDLE_DIR,
        consts.HANDLE_REPR,
        consts.HANDLE_STR,
        consts.HANDLE_HASH,
        consts.HANDLE_CMP,
    ],
)
def test_only_the_root_and_verbs_can_be_looked_at(
    start_server: StartServer, connect: Connects, handler: int
) -> None:
    connection = connect(start_server())
    others = (1, "__eq__") if handler == consts.HANDLE_CMP else ()
    for value in ("text", 10**4000, (), [1]):
        with pytest.raises(TypeError, match="only the root and its verbs"):
            connection.sync_request(handler, value, *others)


@pytest.mark.parametrize("operation", ["__cmp__", "__lt__", "__ge__", "__class__", "__reduce__", 1])
def test_verbs_are_compared_and_no_more(
    start_server: StartServer, connect: Connects, operation: object
) -> None:
    """RPyC calls whatever method a peer names."""
    connection = connect(start_server())
    with pytest.raises(TypeError, match="no order"):
        connection.sync_request(consts.HANDLE_CMP, connection.root, 1, operation)


class TalkativeService(RecordingService):
    """Names more than there is, and what is no name of a verb."""

    def verbs(self) -> list[str]:
        return ["zeta", "echo", "_private", "__class__", "two words", "", "x" * 81, "echo"]


def test_a_name_that_could_be_no_verb_is_not_told(
    start_server: StartServer, connect: Connects
) -> None:
    root = connect(start_server(kind=TalkativeService)).root
    assert dir(root) == ["echo", "zeta"]
    with pytest.raises(AttributeError, match="no such verb"):
        root.__getattr__("zeta")


class SilentService(RecordingService):
    """Names nothing, as a service does by default."""

    def verbs(self) -> Iterable[str]:
        return Service.verbs(self)


def test_a_service_may_name_none(start_server: StartServer, connect: Connects) -> None:
    root = connect(start_server(kind=SilentService)).root
    assert dir(root) == []
    assert root.echo(1) == (1,)


def test_what_is_not_by_value_is_remote(start_server: StartServer, connect: Connects) -> None:
    shapes = connect(start_server()).root.shapes
    assert shapes([1], {2: 3}, {4}, print, object(), "text") == " ".join(
        ["RemoteReference"] * 5 + ["str"]
    )


def test_foreign_values_inside_a_tuple_and_by_name(
    start_server: StartServer, connect: Connects
) -> None:
    running = start_server({"deep": lambda pair, *, key: repr((pair, key))})
    foreign = "<an argument not passed by value>"
    found = connect(running).root.deep((1, ([2], "x")), key=[3])
    assert found == f"((1, ({foreign}, 'x')), {foreign})"


def test_a_foreign_value_is_never_followed(start_server: StartServer, connect: Connects) -> None:
    """A verb that tries gets no further than the stand-in; the peer is asked nothing."""
    called = []
    running = start_server({"call": lambda back: back()})
    root = connect(running).root
    assert "TypeError" in defect(lambda: root.call(lambda: called.append(1)))
    assert called == []


def test_our_own_objects_given_back_are_a_remote_reference(
    start_server: StartServer, connect: Connects
) -> None:
    root = connect(start_server()).root
    kept = root.echo
    assert root.shapes(root, kept, (kept, [root])) == "RemoteReference RemoteReference tuple"


def test_keywords_are_told_apart_before_they_are_gathered(
    start_server: StartServer, connect: Connects
) -> None:
    """Numbers can be chosen so that a dict of them takes for ever; texts cannot."""
    connection = connect(start_server())
    for pairs in (((1, 2),), (("name",),), ("ab",), ((b"name", 1),)):
        with pytest.raises(TypeError, match="pairs of a name and a value"):
            connection.sync_request(consts.HANDLE_CALL, connection.root.echo, (), pairs)


def test_forgetting_a_verb_does_not_end_it(start_server: StartServer, connect: Connects) -> None:
    connection = connect(start_server())
    kept = connection.root.echo
    twin = connection.root.echo
    del twin
    gc.collect()
    connection.sync_request(consts.HANDLE_DEL, kept, 1000)
    assert kept(1) == (1,)


def test_a_reference_nobody_was_given_leads_nowhere(start_server: StartServer, dial: Any) -> None:
    lane: Lane = dial(start_server())
    lane.call("echo", timeout=10)
    connection = rpyc.connect(*lane.address)
    try:
        stranger = connection.root  # "echo" was asked for on another connection
        object.__setattr__(stranger, "____id_pack__", FIRST_VERB)
        with pytest.raises(LookupError, match="no such object"):
            connection.sync_request(consts.HANDLE_CALL, stranger, (), ())
    finally:
        connection.close()


class OnDemandService(RecordingService):
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
    start_server: StartServer, connect: Connects
) -> None:
    running = start_server(kind=OnDemandService)
    connection = connect(running)
    kept = {f"verb{n}": getattr(connection.root, f"verb{n}") for n in range(100)}
    gc.collect()
    assert all(verb(1) == (name, 1) for name, verb in kept.items())
    (service,) = running.services
    assert isinstance(service, OnDemandService)
    made = list(service.made.values())
    assert all(verb() is not None for verb in made)
    connection.close()
    poll_for(lambda: running.server.connections == 0)
    poll_for(lambda: all(verb() is None for verb in made))


def test_verbs_of_one_connection_are_bounded(start_server: StartServer, connect: Connects) -> None:
    root = connect(start_server(kind=OnDemandService)).root
    for number in range(MAX_VERBS):
        root.__getattr__(f"verb{number}")
    with pytest.raises(AttributeError, match="too many"):
        root.one_more()
    assert root.verb0(1) == ("verb0", 1)


def test_a_verb_that_returns_itself_does_not_leak(
    start_server: StartServer, connect: Connects
) -> None:
    """Only asking for the root or for a verb gives a reference; no value turns into one."""
    verbs: dict[str, Verb] = {}
    verbs["me"] = lambda: verbs["me"]
    root = connect(start_server(verbs)).root
    assert "TypeError" in defect(root.me)
