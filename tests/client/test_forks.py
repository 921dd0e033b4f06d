"""Clients on both sides of a fork, and in other processes: each gets its own answers, and all."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count, takewhile
from pathlib import Path

import pytest

from nodes.client.blocking import Client
from nodes.errors import BadRequest, Forbidden, MasterLost
from tests.kit import (
    FORK_WARNING,
    ClientResults,
    ForkedChild,
    Node,
    SilentServer,
    ask_each,
    hosted,
    kill_process,
    make_tls,
    master_alone,
    poll_for,
    shipped_records,
    up,
    wait_up,
)

pytestmark = pytest.mark.filterwarnings(FORK_WARNING)

RECORDS = shipped_records()
START = ("up", "--port", "0", "--workers", "2", "--json")
TIMEOUT = 5.0

CHILDREN = 4
SIDES = CHILDREN + 1
"""Processes that ask at the same time, a parent and its children."""

LOOKUPS = pytest.mark.parametrize(
    "lookups", [400, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(300)])]
)


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    """The address of a cluster."""
    with Node(*START) as node:
        yield node.ready["master"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of them."""
    return make_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(certificates: Path) -> Iterator[str]:
    """The address of a cluster with TLS."""
    with Node(*START, "--tls", str(certificates)) as node:
        yield node.ready["master"]


@pytest.fixture(params=["through the master", "direct", "through the master, TLS", "direct, TLS"])
def client(
    request: pytest.FixtureRequest, plain: str, secure: str, certificates: Path
) -> Iterator[Client]:
    """A client with several connections that wait to be used again."""
    tls = certificates if "TLS" in request.param else None
    address = plain if tls is None else secure
    with Client(address, timeout=TIMEOUT, direct="direct" in request.param, tls=tls) as client:
        use(client)
        yield client


def use(client: Client) -> None:
    """Asks from several threads, each on a connection of its own."""
    with ThreadPoolExecutor(4) as threads:
        check(threads.map(lambda side: ask(client, side, 40), range(4)), 160)


def ask(client: Client, side: int, lookups: int) -> ClientResults:
    """One side asks, for others than those beside it do at the same time."""
    return ask_each(client, RECORDS, range(7 * side, 7 * side + lookups))


def check(results: Iterable[ClientResults], lookups: int | None = None) -> None:
    """No answer is wrong, and none is missing."""
    told = list(results)
    assert [result.wrong for result in told] == [[]] * len(told)
    assert [result.errors for result in told] == [[]] * len(told)
    assert lookups in (None, sum(result.answers for result in told))


# -- a parent and its children -----------------------------------------------------


@LOOKUPS
def test_a_server_that_forks_its_children(client: Client, lookups: int) -> None:
    share = lookups // SIDES
    children = [ForkedChild(partial(ask, client, side, share)) for side in range(CHILDREN)]
    own = ask(client, CHILDREN, share)
    check([own, *(child.result() for child in children)], lookups)
    check([ask(client, 0, 40)])


@LOOKUPS
def test_a_fork_in_the_middle_of_the_lookups_of_other_threads(client: Client, lookups: int) -> None:
    over = threading.Event()

    def go_on(side: int) -> ClientResults:
        return ask_each(client, RECORDS, takewhile(lambda _: not over.is_set(), count(7 * side)))

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(go_on, side) for side in range(4)]
        try:
            told = [ForkedChild(lambda: ask(client, 0, 50)).result() for _ in range(lookups // 50)]
        finally:
            over.set()
        check(told, lookups)
        check(one.result() for one in asking)


def test_a_child_waits_for_no_thread_that_was_not_forked() -> None:
    with (
        SilentServer() as mute,
        Client(f"127.0.0.1:{mute.port}", direct=True, timeout=0.5) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        asking = threads.submit(client.getbyname, "xander")
        with mute.listener.accept()[0]:
            child = ForkedChild(lambda: ask(client, 0, 1))
            assert "MasterLost" in child.result().errors[0]
            assert isinstance(asking.exception(), MasterLost)


def test_a_child_that_closes_its_client_closes_no_other(client: Client) -> None:
    ForkedChild(client.close).result()
    check([ask(client, 0, 40)])


def test_a_child_learns_by_itself_who_comes_and_goes() -> None:
    with hosted(2) as cluster, Client(cluster.address, direct=True) as client:
        use(client)
        here, there = multiprocessing.Pipe()

        def work() -> ClientResults:
            check([ask(client, 0, 20)])
            there.send("asked")
            there.recv()
            return ask(client, 0, 20)

        with here, there:
            child = ForkedChild(work)
            assert here.recv() == "asked"
            before = {worker.pid for worker in cluster.snapshot().workers}
            for pid in before:
                kill_process(pid)
            poll_for(lambda: before.isdisjoint(one.pid for one in cluster.snapshot().workers))
            wait_up(cluster, 2)
            here.send("there are others")
            check([child.result()], 20)


def test_a_client_that_is_closed_is_closed_in_a_child(plain: str) -> None:
    with Client(plain, direct=True) as client:
        use(client)
    result = ForkedChild(lambda: ask(client, 0, 1)).result()
    assert "this client is closed" in result.errors[0]


def test_a_child_does_not_stop_the_cluster_of_its_parent() -> None:
    with hosted(1) as cluster, Client(cluster.address) as client:
        ForkedChild(cluster.close).result()
        assert up(cluster) == ["w1"]
        check([ask(client, 0, 10)], 10)


# -- pools of processes ------------------------------------------------------------

GIVEN: list[Client] = []
"""The client of this process, if it is one of a pool."""


def begin(client: Client) -> None:
    """Begins a process of a pool with a client that is inherited or unpickled."""
    GIVEN.append(client)


def begin_anew(address: str) -> None:
    """Begins a process of a pool with a client of its own."""
    GIVEN.append(Client(address, timeout=TIMEOUT, direct=True))


def ask_given(side: int, lookups: int) -> ClientResults:
    """What a process of a pool is told to do."""
    return ask(GIVEN[0], side, lookups)


def look_up_given(name: str) -> int:
    """The same, where it may fail."""
    return len(GIVEN[0].lookup(name, "xander"))


@LOOKUPS
def test_a_pool_by_fork(client: Client, lookups: int) -> None:
    share = lookups // SIDES
    with multiprocessing.get_context("fork").Pool(CHILDREN, begin, (client,)) as pool:
        parts = [(side, share // 10) for side in range(10 * CHILDREN)]
        asked = pool.starmap_async(ask_given, parts, chunksize=1)
        own = ask(client, CHILDREN, share)
        check([own, *asked.get()], lookups)
        with pytest.raises(BadRequest, match=r"there are getbyname\b"):
            pool.apply(look_up_given, ("nosuch",))
        pool.close()
        pool.join()


def ask_by_forkserver(address: str, lookups: int) -> None:
    """Asks in two pools: the client of one was used here before, in the other each makes its own.
    Prints how many answers there are, and what was wrong.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    parts = [(side, lookups // 40) for side in range(20)]
    results: list[ClientResults] = []
    with Client(address, timeout=TIMEOUT) as client:
        use(client)
        with context.Pool(2, begin, (client,)) as pool:
            results += pool.starmap(ask_given, parts)
    with context.Pool(2, begin_anew, (address,)) as pool:
        results += pool.starmap(ask_given, parts)
    faults = [fault for result in results for fault in result.wrong + result.errors]
    json.dump([sum(result.answers for result in results), faults], sys.stdout)


@LOOKUPS
def test_pools_by_forkserver(plain: str, lookups: int) -> None:
    # In a process of its own, with which the server of forks ends.
    code = f"from {__name__} import *; ask_by_forkserver({plain!r}, {lookups})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [lookups, []]


# -- in a pickle ------------------------------------------------------------------------


def test_a_client_in_a_pickle_is_what_it_was_made_of(client: Client) -> None:
    with pickle.loads(pickle.dumps(client)) as again:  # noqa: S301 - made here
        check([ask(again, 0, 20)], 20)
        assert again.timeout == TIMEOUT
        assert (again._direct is None) == (client._direct is None)


def test_a_token_that_was_given_is_in_the_pickle() -> None:
    with master_alone(require_token=True) as master:
        stranger = pickle.dumps(Client(str(master.address), token="wrong"))
        with pickle.loads(stranger) as client, pytest.raises(Forbidden):  # noqa: S301 - made here
            client.getbyname("xander")
