"""Whatever answers in a master's place: a client says what is wrong, in time, and nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.client.asynchronous import AsyncClient
from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.errors import BadReply, DeadlineExceeded, LookupFailed, RollcallError
from nodes.transport import Service, Value
from nodes.wire import MAX_MESSAGE_CHARS, error_envelope
from tests.kit import PATIENCE, ServerThread

TIMEOUT_S = 0.3
"""Seconds that a client of these tests has."""


class Liar:
    """A server that answers every verb with what it is told to."""

    def __init__(self) -> None:
        self.reply: Callable[[], object] = lambda: None
        self.asked = 0

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Its address."""

        def answer(*_args: object, **_named: object) -> object:
            self.asked += 1
            return self.reply()

        class Answers(Service):
            def verb(self, _name: str) -> Callable[..., object]:
                return answer

        with ServerThread(Answers) as server:
            yield "{}:{}".format(*server.address)


def blocking(address: str, *, direct: bool = False) -> list[Callable[[], object]]:
    """All that a blocking client can be asked; each with a connection of its own."""

    def each(ask: Callable[[Client], object]) -> Callable[[], object]:
        def call() -> object:
            with Client(address, timeout=TIMEOUT_S, direct=direct, token="t") as client:
                return ask(client)

        return call

    return [
        each(lambda client: client.getbyname("xander")),
        each(lambda client: client.page("getbyname", "xander", limit=3)),
        each(lambda client: list(client.pages("getbyname", "xander"))),
        each(lambda client: client.lookup_many([("getbyname", "xander"), ("getbyname", "y")])),
        each(lambda client: client.describe()),
        each(lambda client: client.suggest("name")),
    ]


def asynchronous(address: str) -> list[Callable[[], object]]:
    """The same of an asyncio client."""

    def each(ask: Callable[[AsyncClient], Any]) -> Callable[[], object]:
        async def call() -> object:
            async with AsyncClient(address, timeout=TIMEOUT_S, token="t") as client:
                return await ask(client)

        return lambda: asyncio.run(call())

    async def pages(client: AsyncClient) -> object:
        return [page async for page in client.pages("getbyname", "xander")]

    return [
        each(lambda client: client.getbyname("xander")),
        each(pages),
        each(lambda client: client.lookup_many([("getbyname", "xander"), ("getbyname", "y")])),
        each(lambda client: client.describe()),
        each(lambda client: client.suggest("name")),
    ]


def steering(address: str) -> list[Callable[[], object]]:
    """What the commands and the console ask."""
    names = ("snapshot", "events", "history", "recording", "scale", "reload", "describe")

    def ask(name: str) -> object:
        with AttachedCluster(address, timeout=TIMEOUT_S) as cluster:
            return getattr(cluster, name)(*(["w1"] if name == "scale" else []))

    return [lambda name=name: ask(name) for name in names]  # type: ignore[misc]


def nothing_but_ours(calls: list[Callable[[], object]]) -> list[object]:
    """What those calls come to: a result, or an error of ours, each in time."""
    outcomes: list[object] = []
    for call in calls:
        began = time.monotonic()
        try:
            outcomes.append(call())
        except RollcallError as error:
            outcomes.append(error)
        assert time.monotonic() - began < PATIENCE / 2
    return outcomes


HOSTILE: list[object] = [
    None,
    True,
    -1,
    2**70,
    1.5,
    b"\xff",
    (),
    ("ok", (1, 2)),
    "",
    "no JSON",
    "[" * 100_000,
    "[]",
    '"text"',
    "{}",
    '{"error": 1}',
    '{"error": false}',
    '{"error": false, "result": 7}',
    '{"error": false, "result": {"a": 1}}',
    '{"error": false, "result": [1, "x", null]}',
    '{"error": false, "result": [[{}]]}',
    '{"error": false, "result": [{}], "after": "same"}',
    '{"error": false, "result": [], "after": "same"}',
    '{"error": false, "result": [], "count": -1}',
    '{"error": false, "result": [], "after": 7}',
    json.dumps({"error": False, "result": [{}] * 1001}),
    json.dumps({"error": False, "result": [{"error": False, "result": [{}]}]}),
    json.dumps({"error": False, "result": [{"error": False}, {"error": False}]}),
    json.dumps({"error": False, "result": [{"error": True}, {"error": True, "code": "?"}]}),
    '{"error": true}',
    '{"error": true, "code": "unheard_of", "error_message": "x"}',
    '{"error": true, "code": "overloaded", "retry_after_ms": 1' + "0" * 300 + "}",
    '{"error": true, "code": "overloaded", "retry_after_ms": -5}',
    '{"error": true, "code": "forbidden"}',
    '{"error": true, "code": "stopping"}',
    json.dumps({"error": True, "code": "bad_request", "error_message": "x" * 10**6}),
    *(
        json.dumps({"error": False, "result": members})
        for members in (
            {"master": 1},
            {"master": "m", "balance": "?", "expecting": False, "members": 7},
            {"master": "m", "balance": "?", "expecting": False, "members": [{"id": "w1"}]},
        )
    ),
]


@pytest.mark.parametrize("ways", [blocking, asynchronous, steering])
def test_hostile_replies_come_to_errors_of_ours(ways: Callable[[str], list[Any]]) -> None:
    liar = Liar()
    with liar.listening() as address:
        calls = ways(address)
        for reply in HOSTILE:
            liar.reply = lambda reply=reply: reply  # type: ignore[misc]
            nothing_but_ours(calls[:1] if "stopping" in str(reply) else calls)


def member(**changes: object) -> dict[str, object]:
    """A worker of a list, as a master would say it."""
    known = {"id": "w1", "generation": 1, "host": "127.0.0.1", "port": 9, "state": "up"}
    return {**known, "version": "v", "probes_answered": 1, "key": "", **changes}


MEMBERS: list[list[object]] = [
    [member(port=0)],
    [member(port=-1)],
    [member(port=70_000)],
    [member(port="x")],
    [member(host="")],
    [member(host="no such host.invalid")],
    [member(host="\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"))],
    [member(host="x" * 100_000)],
    [member(state="?")],
    [member(version="\n")],
    [member(generation=-1)],
    [member(generation=2**70)],
    [member(probes_answered=-1)],
    [member(id="\x1b[2J")],
    [member(), member()],
    [member(key="\ud7ff" * 10_000)],
    [member(id=f"w{n}", generation=n) for n in range(20_000)],
]


@pytest.mark.parametrize("members", MEMBERS)
def test_a_list_of_workers_that_are_none_comes_to_an_error_of_ours(members: list[object]) -> None:
    liar = Liar()
    said = {"master": "m", "balance": "load", "expecting": False, "members": members}
    liar.reply = lambda: json.dumps({"error": False, "result": said})
    with liar.listening() as address:
        (outcome,) = nothing_but_ours(blocking(address, direct=True)[:1])
        assert isinstance(outcome, RollcallError)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda some: st.lists(some, max_size=3).map(tuple),
    max_leaves=8,
)
"""What can cross the wire."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "result", "count", "after", "members", "code", "a"]), some
        )
    ),
    max_leaves=12,
)
ENVELOPES = st.fixed_dictionaries(
    {"error": st.booleans(), "result": JSON},
    optional={
        "after": JSON,
        "code": st.sampled_from(["overloaded", "bad_request", "forbidden", "?"]) | JSON,
        "retry_after_ms": st.integers() | JSON,
        "error_message": JSON,
    },
)


def test_whatever_a_master_replies_nothing_is_raised_but_errors_of_ours() -> None:
    liar = Liar()
    with liar.listening() as address:

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(reply=VALUES | JSON.map(json.dumps) | ENVELOPES.map(json.dumps))
        def ask_all(reply: Value) -> None:
            liar.reply = lambda: reply
            nothing_but_ours(blocking(address) + asynchronous(address) + steering(address)[:1])

        ask_all()


def cursors() -> Callable[[], object]:
    """Pages that never end, each with another cursor."""
    count = 0

    def page() -> str:
        nonlocal count
        count += 1
        return json.dumps({"error": False, "result": [{"n": count}], "after": str(count)})

    return page


def test_pages_without_an_end_have_one_all_the_same() -> None:
    liar = Liar()
    liar.reply = cursors()
    with liar.listening() as address:
        for call in (blocking(address)[0], blocking(address)[2], asynchronous(address)[1]):
            with pytest.raises(DeadlineExceeded, match=r"not all of it came within 0\.3 s"):
                call()


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        ('{"error": false, "result": [{}], "after": "x"}', "a page that leads to no other"),
        (json.dumps({"error": False, "result": [{}] * 1001}), "1001 records on a page of 1000"),
        ('{"error": false, "result": null}', "an answer without records"),
        ('{"error": false, "result": 7}', "no envelope in its reply"),
        (b"bytes", "no envelope in its reply"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(reply: object, what: str) -> None:
    liar = Liar()
    liar.reply = lambda: reply
    with liar.listening() as address:
        for call in (blocking(address)[0], asynchronous(address)[0]):
            with pytest.raises(BadReply) as raised:
                call()
            said = str(raised.value)
            assert what in said
            assert said.startswith(f"what is at {address} does not answer as a master does: ")
            assert "rollcall-nodes --version" in said
        assert liar.asked < 6, "it is not asked again and again"


def test_answers_to_more_lookups_than_were_asked_are_none() -> None:
    liar = Liar()
    liar.reply = lambda: json.dumps({"error": False, "result": [{"error": False}] * 3})
    with liar.listening() as address:
        for call in (blocking(address)[3], asynchronous(address)[2]):
            with pytest.raises(BadReply, match="3 answers to 2 lookups"):
                call()


def test_what_a_master_says_of_an_error_is_bounded() -> None:
    failed = LookupFailed("x" * 10**6)
    reply = msgspec.json.decode(error_envelope(failed))
    liar = Liar()
    liar.reply = lambda: json.dumps(reply)
    with liar.listening() as address, pytest.raises(LookupFailed) as raised:
        blocking(address)[0]()
    assert len(str(raised.value)) <= MAX_MESSAGE_CHARS
