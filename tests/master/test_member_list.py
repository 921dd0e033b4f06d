"""The list of workers that direct clients follow: its version, and who waits for another."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import rpyc

from nodes.client.connection import MasterConnection
from nodes.errors import BadRequest, MasterLost
from nodes.master.master import Master
from nodes.master.member_list import MAX_WAITING
from nodes.wire import Envelope
from tests.kit import PATIENCE, master_alone, poll_for, worker_inside


def members(master: Master, *args: object) -> Envelope:
    """What the master answers."""
    connection = MasterConnection(str(master.address), token=lambda: None)
    try:
        return connection.call("members", *args, timeout=PATIENCE)  # type: ignore[arg-type]
    finally:
        connection.close()


def test_the_version_is_another_when_the_list_is_and_only_then() -> None:
    with master_alone() as master:
        first = members(master).result
        assert members(master).result == first
        assert first["version"].startswith(first["master"])
        with worker_inside(master):
            poll_for(lambda: [one["state"] for one in members(master).result["members"]] == ["up"])
            second = members(master).result
            poll_for(
                lambda: (
                    members(master).result["members"][0]["probes_answered"]
                    > second["members"][0]["probes_answered"]
                )
            )
            assert members(master).result["version"] == second["version"] != first["version"]


def test_who_knows_the_list_is_answered_when_there_is_another() -> None:
    with master_alone() as master, ThreadPoolExecutor(8) as threads:
        known = members(master).result["version"]
        assert members(master, "another", 10.0).result["version"] == known
        assert members(master, known, 0).result["version"] == known
        assert members(master, known, 0.05).result["version"] == known
        waiting = [threads.submit(members, master, known, 10.0) for _ in range(8)]
        poll_for(lambda: master.member_list._waiting == 8)
        assert not any(one.done() for one in waiting)
        with worker_inside(master):
            for one in waiting:
                assert len(one.result(PATIENCE).result["members"]) == 1
        poll_for(lambda: master.member_list._watching is None)


def test_too_many_are_not_kept_waiting() -> None:
    with master_alone() as master:
        known = members(master).result["version"]
        master.member_list._waiting = MAX_WAITING
        began = time.monotonic()
        assert members(master, known, 10.0).result["version"] == known
        assert time.monotonic() - began < 5.0
        master.member_list._waiting = 0


@pytest.mark.parametrize("args", [(1,), ("", "x"), ("", -1), ("", float("nan")), ("", 0, 0)])
def test_what_makes_no_sense_is_refused(args: tuple[object, ...]) -> None:
    with master_alone() as master, pytest.raises(BadRequest):
        members(master, *args)


def test_who_waits_hears_at_once_that_the_master_stops() -> None:
    with master_alone() as master, ThreadPoolExecutor(1) as threads:
        known = members(master).result["version"]
        waiting = threads.submit(members, master, known, 10.0)
        poll_for(lambda: master.member_list._waiting)
        began = time.monotonic()
        master.stop()
        with pytest.raises(MasterLost, match="stopping"):
            waiting.result(PATIENCE)
        assert time.monotonic() - began < 5.0


def test_a_client_of_before_is_answered_as_before() -> None:
    with master_alone() as master:
        with rpyc.connect(*master.address) as connection:
            reply = json.loads(connection.root.members())
    assert reply["error"] is False
    assert {"master", "balance", "expecting", "members", "died"} <= set(reply["result"])
