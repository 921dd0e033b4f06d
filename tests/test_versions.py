"""Nodes of other versions: what is new is ignored, who differs is named, others are refused."""

from __future__ import annotations

import inspect
import json
import logging
import socket
from random import Random
from typing import Any

import msgspec
import pytest

import nodes
import nodes.wire
from nodes.cli.steer import WORKER_COLUMNS, summary, worker_row
from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.errors import BadRequest, Forbidden, NotPossible
from nodes.master.master import Master
from nodes.support.addresses import Address
from nodes.support.event_kinds import EventKind
from nodes.support.listening import registered_host
from nodes.support.program import other_program
from nodes.support.version import VERSION
from nodes.transport import Service, Verb
from nodes.wire import (
    PROTOCOL,
    Description,
    Envelope,
    LookupRequest,
    Registered,
    Registration,
    decode_batch,
    decode_page,
    decode_request,
    error_envelope,
    result_envelope,
)
from tests.faults.proxy import FaultProxy
from tests.kit import (
    PATIENCE,
    FakeWorker,
    ServerThread,
    master_alone,
    never,
    poll_for,
    worker_inside,
)

MESSAGES = [
    kind
    for _, kind in inspect.getmembers(nodes.wire, inspect.isclass)
    if issubclass(kind, msgspec.Struct)
]
"""All that is said between nodes."""

DESCRIBED = Description(
    dataset="people", version="v1", records=1, fields=("name",), files=("a.json",), lookups=()
)
USUAL = Registration(
    instance="0" * 32, wanted_id="w7", host="127.0.0.1", port=9, pid=1, catalog=DESCRIBED
)


def said(**changes: object) -> dict[str, Any]:
    """A registration, as text would say it."""
    return {**msgspec.to_builtins(USUAL), **changes}


def registering(master: Master, **says: object) -> FakeWorker:
    """A worker that says so."""
    return FakeWorker(master.address, USUAL, {"probe": never}, says=says)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_no_message_is_refused_for_what_a_newer_node_adds(kind: type[msgspec.Struct]) -> None:
    assert MESSAGES
    assert not kind.__struct_config__.forbid_unknown_fields


def test_what_is_new_in_a_message_is_ignored() -> None:
    text = json.dumps(said(new={"a": [1]}, catalog={**said()["catalog"], "new": 1}))
    assert msgspec.json.decode(text, type=Registration).wanted_id == "w7"
    request = LookupRequest("getbyname", ("x",), 5, None, 1.0)
    longer = msgspec.msgpack.encode([*msgspec.to_builtins(request), "new", 7])
    assert decode_request(longer) == request
    assert decode_batch(b'[5,1000,1.0,[["getbyname","x"]],"new"]').limit == 5
    assert decode_page('{"error":false,"result":[],"new":[1]}').result == []
    assert msgspec.convert({"id": "w1", "generation": 1, "new": 1}, Registered).program == ""
    assert msgspec.convert({"error": False, "new": 1}, Envelope).error is False


@pytest.mark.parametrize("kind", [Registration, Registered, LookupRequest], ids=str)
def test_what_an_older_node_leaves_out_has_a_default(kind: type[msgspec.Struct]) -> None:
    since = {"advertised", "protocol", "program", "require_token", "unready", "serves"}
    for field in msgspec.structs.fields(kind):
        if field.name in since:
            assert field.default is not msgspec.NODEFAULT


def test_a_worker_of_another_version_is_named_at_the_master_and_shown() -> None:
    with master_alone() as master, registering(master, program="0.0.9") as worker:
        assert not worker.reply.error
        assert worker.reply.result["program"] == VERSION
        [event] = [one for one in master.events.after(0) if one.kind == EventKind.OTHER_VERSION]
        assert event.worker == "w7"
        assert event.text.startswith(f"worker w7 runs Rollcall 0.0.9, and this end {VERSION}:")
        snapshot = master.snapshot()
        row = dict(zip(WORKER_COLUMNS, worker_row(snapshot.workers[0], 0.0), strict=True))
        assert row["VERSION"] == "0.0.9"
        assert f"Rollcall {VERSION}" in summary(snapshot)[1]
    with master_alone() as master, worker_inside(master):
        assert not [one for one in master.events.after(0) if one.kind == EventKind.OTHER_VERSION]
        assert [one.program for one in master.snapshot().workers] == [VERSION]


def test_a_master_of_another_version_is_named_at_the_worker(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodes.master.membership.VERSION", "9.9.9")
    with caplog.at_level(logging.WARNING, "rollcall.worker"):
        with master_alone() as master, worker_inside(master):
            poll_for(lambda: "the master runs Rollcall 9.9.9" in caplog.text)


@pytest.mark.parametrize(
    ("program", "words"), [(VERSION, ""), ("0.0.9", "0.0.9"), ("", "older"), ("\x1b[2J", "x1b")]
)
def test_how_the_other_end_differs(program: str, words: str) -> None:
    told = other_program("w1", program)
    assert bool(told) is bool(words)
    assert words in told
    assert told.isprintable()


def test_another_protocol_is_refused_with_both_numbers_and_what_to_do() -> None:
    with master_alone() as master:
        for _ in range(3):
            # Nothing else of it needs to be as we know it.
            with registering(master, protocol=7, program="3.0", catalog="another form") as worker:
                told = worker.reply.error_message
                assert worker.reply.code == "conflict"
                assert (
                    f"speaks protocol 7 (Rollcall 3.0), and its master protocol {PROTOCOL}" in told
                )
                assert f"(Rollcall {VERSION}): install the same version at both ends" in told
        refused = [one for one in master.events.after(0) if one.kind == EventKind.OTHER_VERSION]
        assert [one.text for one in refused] == [f"refused: {told}"], "once, however often"


# -- masters that know no roles of a connection ----------------------------------------


class OlderMaster(Service):
    """One of before there were viewers: whoever shows the token may do everything."""

    def __init__(self) -> None:
        self._operates = False

    def verb(self, name: str) -> Verb | None:
        verbs: dict[str, Verb] = {"login": self._login, "history": self._history}
        return verbs.get(name)

    def _login(self, _token: str, *more: object) -> str:
        if more:
            return error_envelope(BadRequest("the arguments do not fit")).decode()
        self._operates = True
        return result_envelope("operator").decode()

    def _history(self, *_args: object) -> str:
        if not self._operates:
            return error_envelope(Forbidden("call login(token) first")).decode()
        return result_envelope([]).decode()


def test_an_older_master_is_not_asked_for_more_by_whoever_is_to_look_only() -> None:
    with ServerThread(OlderMaster) as server:
        address = str(Address(*server.address))
        with AttachedCluster(address, look_only=True) as cluster:
            for _ in range(2):
                with pytest.raises(NotPossible, match=r"older master.*attach without --read-only"):
                    cluster.history(1)
        with AttachedCluster(address) as cluster:
            assert cluster.history(1) == []
            assert not cluster.read_only


# -- workers behind published ports -----------------------------------------------------


def test_a_worker_behind_a_published_port_is_found_where_it_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        behind = free.getsockname()[1]
    with master_alone() as master, FaultProxy(behind, Random(1)) as proxy:
        place = Address("127.0.0.1", proxy.port)
        with worker_inside(master, advertise=place, port=behind) as worker:
            poll_for(lambda: [one.state for one in master.snapshot().workers] == ["up"])
            assert [one.address for one in master.snapshot().workers] == [str(place)]
            with Client(str(master.address), direct=True, timeout=PATIENCE) as client:
                assert client.getbyname("xander")
                assert worker.server.connections, "through the forwarder"


def test_what_is_advertised_is_taken_as_it_is_and_no_wildcard_is() -> None:
    assert registered_host("10.9.9.9", "10.0.0.1", "192.168.7.7", advertised=True) == "10.9.9.9"
    assert registered_host("::", "10.0.0.1", "192.168.7.7", advertised=True) == "10.0.0.1"
    with pytest.raises(BadRequest):
        registered_host("10.9.9.9", "10.0.0.1", "192.168.7.7")
