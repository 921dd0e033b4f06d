"""One id for all that is said of a lookup: in its error, in the figures, and in the logs."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import re
import signal
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import rpyc

from nodes.catalog import ensure_catalog
from nodes.catalog.sqlite_file import IN_MEMORY_BYTES
from nodes.client.asynchronous import AsyncClient
from nodes.client.blocking import Client
from nodes.errors import BadRequest, DeadlineExceeded, InternalError, LookupFailed
from nodes.support.request_ids import find_request_id, new_request_id
from nodes.worker.server import WorkerServer
from tests.kit import PATIENCE, Node, master_alone, poll_for, worker_inside

TIMEOUT_S = 0.4


def breaks(worker: WorkerServer) -> None:
    """Its catalog cannot be read from now on."""

    def answer(*_args: object, **_named: object) -> Any:
        raise sqlite3.DatabaseError("malformed")

    present = worker._versions.present
    present.answer = present.answer_item = answer  # type: ignore[method-assign]
    vars(present)["answer_fast"] = lambda _asked: None


def failure(ask: Callable[[], object]) -> LookupFailed:
    """The error that this raises."""
    with pytest.raises(LookupFailed) as raised:
        ask()
    return raised.value


def asked_async(address: str) -> object:
    async def ask() -> object:
        async with AsyncClient(address, timeout=TIMEOUT_S) as client:
            return await client.getbyname("xander")

    return asyncio.run(ask())


def asked_plainly(address: str) -> object:
    host, _, port = address.rpartition(":")
    connection = rpyc.connect(host, int(port))
    try:
        reply = json.loads(connection.root.lookup("getbyname", "xander", timeout_s=TIMEOUT_S))
    finally:
        connection.close()
    raise LookupFailed(reply["error_message"], request_id=reply["request_id"])


def asked_by(address: str, *, direct: bool) -> object:
    with Client(address, timeout=TIMEOUT_S, direct=direct) as client:
        return client.getbyname("xander")


WAYS: dict[str, Callable[[str], object]] = {
    "blocking": lambda address: asked_by(address, direct=False),
    "direct": lambda address: asked_by(address, direct=True),
    "async": asked_async,
    "plain": asked_plainly,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_id_of_a_failed_lookup_is_in_its_error_and_in_the_logs_of_both_ends(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "rollcall")
    with master_alone() as master, worker_inside(master) as worker:
        poll_for(lambda: [one.state for one in master.snapshot().workers] == ["up"])
        breaks(worker)
        error = failure(lambda: WAYS[way](str(master.address)))
        known = error.request_id
        assert re.fullmatch("[0-9a-f]{12}", known)
        assert str(error).endswith(f"(request {known})")
        lines = [(record.name, record.getMessage()) for record in caplog.records]
        about = {name for name, text in lines if f"request {known}" in text}
        assert about == {"rollcall.worker", "rollcall.dispatch"}
        if way != "direct":
            [seen] = [one for one in master.snapshot().slow if one.code]
            assert seen.request_id == known


@pytest.mark.long
def test_one_id_is_in_a_client_s_error_and_in_the_logs_of_master_and_worker(
    tmp_path: Path,
) -> None:
    # Nobody else has these, and they are too many for memory: who loses them cannot be helped.
    records = tmp_path / "people.json"
    people = [
        {"name": name, "location": "here", "year": 1, "note": "x" * 50_000}
        for name in ("ann", *map(str, range(IN_MEMORY_BYTES // 40_000)))
    ]
    records.write_text(json.dumps(people))
    catalog = Path(ensure_catalog(records).path)
    options = ("--log-format", "json", "--log-level", "info", "--json")
    with Node("master", "0", *options) as master:
        address = str(master.ready["master"])
        served = ("--master", address, "--catalog", str(catalog))
        with Node("worker", "0", *served, *options) as worker:
            with Client(address) as client:
                poll_for(lambda: client.getbyname("ann"))
                catalog.write_bytes(b"no catalog")
                error = failure(lambda: client.getbyname("ann"))
            logs = [ended(worker), ended(master)]
    for log in logs:
        lines = [json.loads(line) for line in log.splitlines()]
        about = [line for line in lines if line.get("request_id") == error.request_id]
        assert about
        assert all(error.request_id in line["message"] for line in about)
        assert all(datetime.fromisoformat(line["time"]).utcoffset() is not None for line in lines)
    events = [json.loads(line) for line in logs[1].splitlines() if "rollcall.events" in line]
    [came] = [line for line in events if line["event"] == "registered"]
    assert (came["worker"], came["level"]) == ("w1", "INFO")


def ended(node: Node) -> str:
    """What a node that is told to end has logged."""
    node.signal(signal.SIGTERM)
    _out, log = node.process.communicate(timeout=PATIENCE)
    return log


def test_each_lookup_of_a_batch_has_an_id_of_its_own() -> None:
    with master_alone() as master, worker_inside(master) as worker:
        poll_for(lambda: [one.state for one in master.snapshot().workers] == ["up"])
        breaks(worker)
        with Client(str(master.address), timeout=TIMEOUT_S) as client:
            answers = client.lookup_many([("getbyname", "xander")] * 300)
        ids = [one.request_id for one in answers if isinstance(one, LookupFailed)]
        assert len(set(ids)) == 300
        numbers = [int(one.partition("#")[2]) for one in ids]
        assert numbers == list(range(300))


def test_a_slow_lookup_has_one_as_well_and_a_wrong_one_none() -> None:
    with master_alone() as master, worker_inside(master):
        poll_for(lambda: [one.state for one in master.snapshot().workers] == ["up"])
        with Client(str(master.address), timeout=PATIENCE) as client:
            assert client.getbyname("xander")
            wrong = failure(lambda: client.lookup("nosuch", "x"))
        assert (type(wrong), wrong.request_id) == (BadRequest, "")
        [slow] = master.snapshot().slow
        assert re.fullmatch("[0-9a-f]{12}", slow.request_id)


def test_an_error_keeps_its_id_in_a_pickle() -> None:
    error = DeadlineExceeded("late", retry_after_ms=5).identified("0123456789ab")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert type(again) is DeadlineExceeded
    assert (str(again), again.request_id) == ("late (request 0123456789ab)", "0123456789ab")
    assert again.retry_after_ms == 5


def test_an_id_is_found_where_it_was_said_and_nowhere_else() -> None:
    known = new_request_id()
    assert find_request_id(InternalError("x").identified(known).message) == known
    for other in ("", "request 0123456789ab", f"(request {known}) x", "(request ../../../etc)"):
        assert find_request_id(other) == ""
