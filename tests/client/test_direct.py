"""Clients that ask the workers themselves: the same answers, the same promises, true counts."""

from __future__ import annotations

import functools
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from nodes.client.async_connection import AsyncMasterConnection
from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.client.direct import DirectClient
from nodes.cluster import HostedCluster
from nodes.errors import BadRequest, Forbidden, LookupFailed, MasterLost, NoWorkers
from nodes.routing import RoutingLimits
from nodes.security.credentials import client_token
from nodes.security.tokens import TokenRole, ensure_token, token_file
from nodes.transport import Lane, Value, dial
from nodes.wire import PAGE_RECORDS, Envelope, LookupRequest, Member, Members, encode_request
from tests.kit import (
    PATIENCE,
    FrozenProcess,
    Node,
    SilentServer,
    hosted,
    kill_process,
    kill_storm,
    load_from_threads,
    master_alone,
    poll_for,
    same_records,
    scan,
    shipped_records,
    up,
    wait_up,
)

RECORDS = shipped_records()


def load(address: str, **options: Any) -> None:
    """Four direct clients that check every answer, and get every one."""
    results = load_from_threads(address, clients=4, records=RECORDS, direct=True, **options)
    assert [result.errors for result in results] == [[]] * 4
    assert [result.wrong for result in results] == [[]] * 4


def served(cluster: HostedCluster) -> dict[str, int]:
    """The tasks of each worker, as the master shows them."""
    return {worker.id: worker.served for worker in cluster.snapshot().workers}


@contextmanager
def patient_client(address: str) -> Iterator[DirectClient]:
    """Asks no second worker: on a busy machine a lookup may be late, and two would perform it."""
    limits = RoutingLimits(hedge_floor_s=PATIENCE, attempt_timeout_s=PATIENCE)
    connect = functools.partial(AsyncMasterConnection, address, token=client_token)
    client = DirectClient(connect, limits=limits)
    try:
        yield client
    finally:
        client.close()


def test_what_workers_did_for_others_the_master_shows_too() -> None:
    with hosted(2) as cluster, patient_client(cluster.address) as direct:
        attempts = 0
        for number in range(300):
            name = RECORDS[number % len(RECORDS)]["name"]
            page = direct.page(
                "getbyname", (name,), limit=PAGE_RECORDS, after=None, timeout=PATIENCE
            )
            assert same_records(page.result, scan(RECORDS, name=name))
            assert page.catalog == cluster.snapshot().catalogs[0]
            attempts += page.attempts  # more than one where this machine has other things to do
        with Client(cluster.address) as through:
            through.getbyname("xander")
        poll_for(lambda: 301 <= sum(served(cluster).values()) <= attempts + 1)
        assert 301 <= cluster.snapshot().answered <= attempts + 1
        assert min(served(cluster).values()) > 50
        assert cluster.master.lookups.stats.answered == 1
        before = sum(served(cluster).values())
        batch = json.dumps([["getbyname", "xander"]] * 500)
        direct.many(batch, limit=PAGE_RECORDS, timeout=PATIENCE)
        poll_for(lambda: sum(served(cluster).values()) >= before + 500)


def test_a_batch_and_its_mistakes_are_the_same() -> None:
    with hosted(2) as cluster, Client(cluster.address, direct=True) as client:
        good, bad = client.lookup_many([("getbyyear", "Kansas City", 1998), ("nosuch", "x")])
        assert not isinstance(good, Exception)
        assert same_records(good, scan(RECORDS, location="Kansas City", year=1998))
        assert isinstance(bad, BadRequest)
        wrong: tuple[tuple[Any, ...], ...] = (
            ("nosuch", "x"),
            ("getbyname",),
            ("getbyname", "\ud800"),
            ("getbyname", []),
        )
        for name, *args in wrong:
            with pytest.raises(BadRequest):
                client.lookup(name, *args)
        first = client.page("getbylocation", "Kansas City", limit=2)
        assert first.after is not None
        assert len(client.lookup("getbylocation", "Kansas City")) > 2


@pytest.mark.long
def test_kills_cost_no_answer() -> None:
    with hosted(3) as cluster, kill_storm(cluster, workers=3, every=0.5) as killed:
        load(cluster.address, lookups=200, more=lambda: len(killed) < 4)


def test_a_frozen_worker_costs_no_answer_and_is_found_out() -> None:
    with hosted(2) as cluster:
        victim = cluster.snapshot().workers[0]
        with FrozenProcess(victim.pid):
            load(cluster.address, lookups=100)
            poll_for(lambda: victim.id not in up(cluster))
            load(cluster.address, lookups=100)
        wait_up(cluster, 2)


def test_who_comes_is_asked_and_who_leaves_is_not() -> None:
    with hosted(1) as cluster, Client(cluster.address, direct=True) as client:

        def answered_by() -> set[str]:
            return {client.page("getbyname", "xander").worker for _ in range(20)}

        assert answered_by() == {"w1"}
        cluster.spawn(1)
        poll_for(lambda: answered_by() == {"w1", "w2"})
        cluster.drain("w1")
        poll_for(lambda: answered_by() == {"w2"})
        cluster.kill("w2")
        poll_for(lambda: not up(cluster))
        with pytest.raises(NoWorkers):
            client.page("getbyname", "xander")


def test_lookups_go_on_while_the_master_is_away() -> None:
    with Node("master", "0", "--json") as first:
        address = first.ready["master"]
        with (
            Node("worker", "--master", address, "--json"),
            Client(address, direct=True) as client,
            AttachedCluster(address) as cluster,
        ):
            assert client.getbyname("xander")
            kill_process(first.process.pid)
            first.wait()
            for _ in range(100):
                assert client.getbyname("xander")
            with Node("master", address.rpartition(":")[2], "--json"):
                poll_for(lambda: [one.state for one in cluster.snapshot().workers] == ["up"])
                for _ in range(100):
                    assert client.getbyname("xander")


def test_without_a_master_there_is_nobody_to_ask() -> None:
    with master_alone() as master, Client(str(master.address), direct=True) as client:
        with pytest.raises(NoWorkers):
            client.getbyname("xander")
    with Client(str(master.address), direct=True, timeout=0.5) as client:
        with pytest.raises(MasterLost):
            client.getbyname("xander")


def test_where_lookups_need_a_token_workers_ask_for_what_the_master_gives_with_it() -> None:
    ensure_token(token_file(TokenRole.CLIENT))
    with Node("up", "--port", "0", "--workers", "1", "--require-token", "--json") as node:
        address = node.ready["master"]
        with Client(address, direct=True) as client:
            assert same_records(client.getbyname("xander"), scan(RECORDS, name="xander"))
            assert len(client.lookup_many([("getbyname", "xander")] * 3)) == 3
        with Client(address, direct=True, token="wrong") as stranger:
            with pytest.raises(Forbidden):
                stranger.getbyname("xander")
        with AttachedCluster(address) as cluster:
            [worker] = cluster.snapshot().workers
            poll_for(lambda: cluster.snapshot().workers[0].served == 4)
        host, _, port = worker.address.rpartition(":")
        request = encode_request(LookupRequest("getbyname", ("xander",)))
        with Lane.dial(host, int(port), timeout=PATIENCE) as lane:
            refused = lane.call("lookup", request, timeout=PATIENCE)
    assert json.dumps(refused).startswith('["forbidden"')


class ListedWorkers:
    """A master in name only, a version of Rollcall back: it says who is there, and nothing else."""

    where = "127.0.0.1:1"

    def __init__(self, members: Members) -> None:
        self.members = members

    async def call(
        self, _verb: str, *args: Value, timeout: float, patient: bool = True
    ) -> Envelope:
        del timeout, patient
        assert not args
        return Envelope(error=False, result=msgspec.to_builtins(self.members))

    def close(self) -> None:
        """Nothing is open."""


def listed(master: str, host: str, port: int) -> Members:
    """One worker, at that address."""
    member = Member(
        id="w1",
        generation=1,
        host=host,
        port=port,
        state="up",
        version="v",
        probes_answered=1,
        key="",
    )
    return Members(master=master, balance="load", expecting=False, members=(member,))


def test_when_all_workers_are_others_nobody_hears_that_there_are_none() -> None:
    with hosted(1) as cluster, SilentServer() as silent, ThreadPoolExecutor(1) as threads:
        [worker] = cluster.master.loop.call(cluster.master.membership.registry.live)
        master = ListedWorkers(listed("one", "127.0.0.1", silent.port))
        client = DirectClient(lambda: master, limits=RoutingLimits(attempt_timeout_s=PATIENCE))
        try:
            asked = threads.submit(
                client.page,
                "getbyname",
                ("xander",),
                limit=PAGE_RECORDS,
                after=None,
                timeout=PATIENCE,
            )
            poll_for(lambda: client._dispatcher.under_way == 1)
            master.members = listed("another", *worker.address)
            assert same_records(asked.result(PATIENCE).result, scan(RECORDS, name="xander"))
        finally:
            client.close()


def test_when_nobody_can_be_reached_few_connections_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dials = 0

    async def counted(*args: Any, **named: Any) -> Any:
        nonlocal dials
        dials += 1
        return await dial(*args, **named)

    monkeypatch.setattr("nodes.client.worker_link.dial", counted)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        master = ListedWorkers(listed("one", *gone.getsockname()))
    client = DirectClient(lambda: master)
    try:
        with pytest.raises(LookupFailed):
            client.page("getbyname", ("xander",), limit=PAGE_RECORDS, after=None, timeout=1.0)
    finally:
        client.close()
    assert 2 <= dials <= 40
