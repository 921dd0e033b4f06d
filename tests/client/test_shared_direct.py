"""The direct clients of one process: one subscription for all, which ends with its last holder."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from nodes.errors import BadRequest, MasterLost
from nodes.transport import Connection
from tests.kit import PATIENCE, FrozenProcess, SilentServer, hosted, poll_for


@pytest.fixture
def cluster() -> Iterator[HostedCluster]:
    """One worker."""
    with hosted(1) as running:
        yield running


def threads() -> int:
    """Event loops of direct clients in this process."""
    return [thread.name for thread in threading.enumerate()].count("direct")


def sockets() -> int:
    """Connections that this process has made."""
    made = [one for one in gc.get_objects() if isinstance(one, Connection)]
    return sum(one._owner is None and not one.ended for one in made)


def direct(cluster: HostedCluster, **options: Any) -> Client:
    """A direct client that has asked."""
    client = Client(cluster.address, direct=True, timeout=PATIENCE, **options)
    assert client.getbyname("xander")
    return client


def test_all_of_a_process_share_one_subscription(cluster: HostedCluster) -> None:
    before = sockets(), threads()
    clients = [direct(cluster) for _ in range(20)]
    assert (sockets(), threads()) == (before[0] + 1, before[1] + 1)
    for client in clients[:-1]:
        client.close()
        client.close()  # harmless
        with pytest.raises(MasterLost, match="this client is closed"):
            client.getbyname("xander")
    assert clients[-1].getbyname("xander"), "another goes on when one is closed"
    clients[-1].close()
    poll_for(lambda: (sockets(), threads()) == before)
    with direct(cluster):  # and anew
        assert threads() == before[1] + 1


def test_those_with_another_token_share_nothing(cluster: HostedCluster) -> None:
    before = threads()
    with direct(cluster), direct(cluster, token="mine"):
        assert threads() == before + 2


def test_one_that_is_forgotten_is_collected_at_once_and_so_is_what_it_had_open(
    cluster: HostedCluster,
) -> None:
    before = sockets(), threads()
    gc.collect()
    gc.disable()  # no cycle leads to it: the last reference is enough
    try:
        one, other = direct(cluster), direct(cluster)
        forgotten = weakref.ref(one)
        del one
        assert forgotten() is None
        assert other.getbyname("xander")
        del other
        # Not more than before: what a test before this one had may end meanwhile.
        poll_for(lambda: sockets() <= before[0] and threads() <= before[1])
    finally:
        gc.enable()


def test_a_closed_client_ends_what_it_waits_for_and_nobody_else_s(cluster: HostedCluster) -> None:
    [worker] = cluster.snapshot().workers
    with (
        direct(cluster) as staying,
        direct(cluster) as closed,
        ThreadPoolExecutor(2) as pool,
    ):
        with FrozenProcess(worker.pid):
            stays = pool.submit(staying.getbyname, "xander")
            ends = pool.submit(closed.getbyname, "xander")
            share = closed._direct
            assert share is not None
            poll_for(lambda: share.direct._dispatcher.under_way == 2)
            closed.close()
            with pytest.raises(MasterLost, match="this client is closed"):
                ends.result(PATIENCE)
            assert not stays.done()
        assert stays.result(PATIENCE)


def test_each_waits_for_the_first_list_for_as_long_as_it_has_itself() -> None:
    with SilentServer() as silent, ThreadPoolExecutor(1) as pool:
        address = f"127.0.0.1:{silent.port}"
        with (
            Client(address, direct=True, timeout=PATIENCE) as patient,
            Client(address, direct=True, timeout=0.2) as hasty,
        ):
            waits = pool.submit(patient.getbyname, "x")
            share = patient._direct
            assert share is not None
            poll_for(share.direct._beginning.locked)
            with pytest.raises(MasterLost, match=r"within 0\.2 s"):
                hasty.getbyname("x")
            assert not waits.done()
            patient.close()
            hasty.close()
            with pytest.raises(MasterLost):
                waits.result(PATIENCE)


def test_what_cannot_be_sent_is_refused_by_every_way(cluster: HostedCluster) -> None:
    arguments: list[Any] = ["x" * 5_000_000, 10**30, None, True, [1], "\ud800"]
    with direct(cluster) as past, Client(cluster.address, timeout=PATIENCE) as through:
        for client, argument, limit in itertools.product((past, through), arguments, (1000, 5)):
            with pytest.raises(BadRequest):
                client.page("getbyname", argument, limit=limit)
        for client in (past, through):
            with pytest.raises(BadRequest):
                client.lookup_many([("getbyname", arguments[0])])


def test_options_that_none_can_have_are_refused_in_the_same_words(cluster: HostedCluster) -> None:
    wrong: list[dict[str, Any]] = [
        *({"limit": limit} for limit in (-1, 0, 10**30, 10_001, None, True, "1")),
        *({"after": after} for after in (5, b"x", "", "no cursor")),
    ]
    with direct(cluster) as past, Client(cluster.address, timeout=PATIENCE) as through:
        for options in wrong:
            said = set()
            for client in (past, through):
                with pytest.raises(BadRequest) as raised:
                    client.page("getbyname", "xander", **options)
                said.add(str(raised.value))
            assert len(said) == 1, options
