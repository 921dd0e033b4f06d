"""A catalog is fetched from the master: resumed, shared, verified, whatever comes in between."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from nodes.catalog import CatalogInfo, cached_catalog
from nodes.cluster import HostedCluster
from nodes.errors import DataError, Forbidden, NotPossible, Overloaded
from nodes.security.credentials import worker_token
from nodes.security.tokens import TokenRole, ensure_token, token_file
from nodes.support.addresses import parse_address
from nodes.transport import Service, Verb
from nodes.wire import result_envelope
from nodes.worker.fetching import MAX_DAMAGED, CatalogFetcher, FetchCancelled
from tests.faults.proxy import FaultProxy, Network
from tests.kit import ServerThread, hosted, master_alone
from tests.worker.kit import PART_BYTES, WatchedParts, people


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[HostedCluster]:
    """A launcher's, with records and no workers."""
    with hosted(0, data=people(tmp_path / "data")) as cluster:
        yield cluster


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Another machine's."""
    return tmp_path / "there"


def fetcher(address: str, cache: Path, port: int = 0) -> CatalogFetcher:
    """What fetches from there into that cache."""
    host, own = parse_address(address)
    return CatalogFetcher(master=(host, port or own), token=worker_token, cache=cache)


@contextlib.contextmanager
def fetching(*fetchers: CatalogFetcher) -> Iterator[list[Future[CatalogInfo]]]:
    """They fetch what the master serves, each in a thread; cancelled at the end."""
    with ThreadPoolExecutor(len(fetchers)) as threads:
        try:
            yield [threads.submit(one.fetch) for one in fetchers]
        finally:
            for one in fetchers:
                one.cancel()


def same(found: CatalogInfo, cluster: HostedCluster) -> bool:
    """Whether that is the catalog that the cluster serves, byte for byte."""
    served = cluster.fleet.catalog.info
    there = Path(found.path).read_bytes() == Path(served.path).read_bytes()
    return there and found.version == served.version and found.path != served.path


def test_what_the_master_serves_is_fetched_once(cluster: HostedCluster, cache: Path) -> None:
    parts = WatchedParts(cluster)
    first = fetcher(cluster.address, cache)
    found = first.fetch()
    assert same(found, cluster)
    assert first.progress == (found.bytes, found.bytes)
    assert parts.asked == parts.each_once
    assert len(parts.asked) > 5
    assert fetcher(cluster.address, cache).fetch() == found
    assert parts.asked == parts.each_once


def test_workers_of_one_machine_share_a_download(cluster: HostedCluster, cache: Path) -> None:
    parts = WatchedParts(cluster, held_from=5 * PART_BYTES)
    fetchers = [fetcher(cluster.address, cache) for _ in range(3)]
    with fetching(*fetchers) as fetched:
        parts.wait_held()
        parts.release()
        assert all(same(one.result(), cluster) for one in fetched)
    assert parts.asked == parts.each_once


def test_it_goes_on_after_its_connection_is_lost(cluster: HostedCluster, cache: Path) -> None:
    parts = WatchedParts(cluster, held_from=5 * PART_BYTES)
    host, port = parse_address(cluster.address)
    with FaultProxy(port, Random(1)) as proxy:
        with fetching(fetcher(f"{host}:{proxy.port}", cache)) as [fetched]:
            parts.wait_held()
            proxy.reset_all()
            parts.release()
            assert same(fetched.result(), cluster)
    assert sorted(set(parts.asked)) == parts.each_once
    assert len(parts.asked) == len(parts.each_once) + 1


def test_where_the_folder_is_removed_meanwhile_it_begins_anew(
    cluster: HostedCluster, cache: Path
) -> None:
    parts = WatchedParts(cluster, held_from=5 * PART_BYTES)
    with fetching(fetcher(cluster.address, cache)) as [fetched]:
        parts.wait_held()
        shutil.rmtree(cache)
        parts.release()
        assert same(fetched.result(), cluster)
    assert parts.asked[-len(parts.each_once) :] == parts.each_once


@pytest.mark.long
def test_it_goes_on_at_the_master_that_takes_the_place_of_another(
    tmp_path: Path, cache: Path
) -> None:
    data = people(tmp_path / "data")
    with contextlib.ExitStack() as stack:
        with hosted(0, data=data) as first:
            address = first.address
            held = WatchedParts(first, held_from=5 * PART_BYTES)
            [fetched] = stack.enter_context(fetching(fetcher(address, cache)))
            held.wait_held()
        second = stack.enter_context(hosted(0, data=data, port=parse_address(address)[1]))
        parts = WatchedParts(second)
        assert same(fetched.result(), second)
    assert not parts.asked or parts.asked[0] == 5 * PART_BYTES
    assert parts.asked


@pytest.mark.parametrize("number", [1, 6])
def test_what_came_damaged_is_fetched_anew(
    cluster: HostedCluster, cache: Path, number: int
) -> None:
    def damage(this: int, data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] ^ 1]) if this == number else data

    parts = WatchedParts(cluster, change=damage)
    assert same(fetcher(cluster.address, cache).fetch(), cluster)
    assert parts.asked == 2 * parts.each_once


def test_one_that_always_comes_damaged_is_given_up(cluster: HostedCluster, cache: Path) -> None:
    parts = WatchedParts(cluster, change=lambda _number, data: bytes(len(data)))
    with pytest.raises(DataError, match=f"came damaged from .*, {MAX_DAMAGED} times"):
        fetcher(cluster.address, cache).fetch()
    assert len(parts.asked) == MAX_DAMAGED * len(parts.each_once)
    assert cached_catalog(cluster.fleet.catalog.info.version, cache=cache) is None


def test_a_master_with_too_much_to_do_is_asked_again(cluster: HostedCluster, cache: Path) -> None:
    def refuse(number: int, data: bytes) -> bytes:
        if number % 3 == 1:
            raise Overloaded("too much", retry_after_ms=1)
        return data

    WatchedParts(cluster, change=refuse)
    assert same(fetcher(cluster.address, cache).fetch(), cluster)


def test_what_is_no_part_is_not_taken(cluster: HostedCluster, cache: Path) -> None:
    def change(number: int, data: bytes) -> bytes:
        return {1: b"", 2: bytes(1 << 21)}.get(number, data)

    WatchedParts(cluster, change=change)
    assert same(fetcher(cluster.address, cache).fetch(), cluster)


def test_one_that_is_wanted_no_more_ends_at_once(cluster: HostedCluster, cache: Path) -> None:
    parts = WatchedParts(cluster, held_from=0)
    host, port = parse_address(cluster.address)
    with FaultProxy(port, Random(1)) as proxy:
        one = fetcher(f"{host}:{proxy.port}", cache)
        with fetching(one) as [fetched]:
            parts.wait_held()
            proxy.network = Network(hang=True)
            one.cancel()
            with pytest.raises(FetchCancelled):
                fetched.result(5.0)
            parts.release()


def test_without_the_right_token_nothing_is_given(
    cluster: HostedCluster, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_STATE", str(tmp_path / "state"))
    ensure_token()
    parts = WatchedParts(cluster)
    client = ensure_token(token_file(TokenRole.CLIENT))
    host, port = parse_address(cluster.address)
    one = CatalogFetcher(master=(host, port), token=lambda: client, cache=cache)
    with pytest.raises(Forbidden):
        one.fetch()
    assert parts.asked == []
    assert not list(cache.rglob("*.*"))


def test_a_master_without_records_says_so(cache: Path) -> None:
    with master_alone() as master, pytest.raises(NotPossible, match="has no records to give"):
        fetcher(str(master.address), cache).fetch()


def test_a_master_of_an_older_version_is_told_of(cache: Path) -> None:
    class Older(Service):
        def verb(self, name: str) -> Verb | None:
            return (lambda _token: result_envelope("worker").decode()) if name == "login" else None

    with ServerThread(Older) as server:
        host, port = server.address
        with pytest.raises(NotPossible, match="an older one, which gives its records to nobody"):
            fetcher(f"{host}:{port}", cache).fetch()
