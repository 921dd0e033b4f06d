"""Greedy peers at a real cluster: memory is bounded, nobody starves, few descriptors are enough."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.support.addresses import parse_address
from nodes.wire import encode_batch
from tests.crowd import NonReaders
from tests.kit import Node, shipped_records

MIB = 1 << 20
MOST_MIB = 400
"""Of a master or worker that greedy strangers are at: the process itself, what is held for all
peers, and work under way. Without a bound, these take a gigabyte, and six of a worker."""

NAMES = 300
RECORDS = 3600


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of 5 KB, a dozen of each name."""
    folder = tmp_path_factory.mktemp("large")
    filler = "x" * 4900
    rows = [
        {"record_id": n, "name": f"n{n % NAMES}", "location": "l", "year": 2000, "filler": filler}
        for n in range(RECORDS)
    ]
    (folder / "people.json").write_text(json.dumps(rows))
    (folder / "dataset.toml").write_text('name = "large"\n[lookups]\ngetbyname = ["name"]\n')
    return folder


@contextmanager
def cluster(*options: str, descriptors: int | None = None) -> Iterator[Node]:
    """All of it in processes of its own, each with so many descriptors."""
    with Node("up", "--port", "0", "--json", *options) as node:
        process = psutil.Process(node.process.pid)
        if descriptors is not None:
            for one in (process, *process.children(recursive=True)):
                one.rlimit(psutil.RLIMIT_NOFILE, (descriptors, descriptors))
        yield node


def batch(count: int = 500) -> list[list[str]]:
    """Lookups of a batch whose answers are 30 MB."""
    return [["getbyname", f"n{number % NAMES}"] for number in range(count)]


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.long
def test_answers_of_thirty_megabytes_come_whole(large: Path, direct: bool) -> None:
    with (
        cluster("--workers", "2", "--data", str(large)) as node,
        Client(node.ready["master"], timeout=10.0, direct=direct) as client,
    ):
        answers = client.lookup_many(batch())
        assert [len(one) for one in answers if isinstance(one, list)] == [RECORDS // NAMES] * 500


@pytest.mark.parametrize("whose", ["master", "worker"])
@pytest.mark.long
def test_strangers_that_do_not_read_take_no_more_than_is_theirs(large: Path, whose: str) -> None:
    with (
        cluster("--workers", "2", "--data", str(large)) as node,
        AttachedCluster(node.ready["master"]) as attached,
        Client(node.ready["master"], timeout=5.0) as client,
        ExitStack() as stack,
    ):
        worker = attached.snapshot().workers[0]
        address, pid = node.ready["master"], node.process.pid
        asked: str | bytes = json.dumps(batch())
        if whose == "worker":
            address, pid = worker.address, worker.pid
            lookups = str(asked)[1:-1].encode()
            asked = encode_batch(lookups, limit=1000, most=1 << 40, within=60.0)
        process = psutil.Process(pid)
        stack.enter_context(NonReaders(parse_address(address), 12, "lookup_many", asked))
        most, until = 0, time.monotonic() + 6.0
        while time.monotonic() < until:
            assert len(client.getbyname("n1")) == RECORDS // NAMES
            most = max(most, process.memory_info().rss)
        assert most < MOST_MIB * MIB
        assert most > 50 * MIB, "something was held"


@pytest.mark.long
def test_a_single_lookup_beside_bulk_waits_for_little(large: Path) -> None:
    with cluster("--workers", "2", "--data", str(large)) as node, ExitStack() as stack:
        over = threading.Event()

        def bulk() -> None:
            with Client(node.ready["master"], timeout=10.0) as client:
                while not over.is_set():
                    client.first_pages(batch())

        for _ in range(2):
            thread = threading.Thread(target=bulk)
            thread.start()
            stack.callback(thread.join)
        stack.callback(over.set)
        took = []
        with Client(node.ready["master"]) as single:
            for _ in range(200):
                began = time.perf_counter()
                single.getbyname("n7")
                took.append(time.perf_counter() - began)
        assert statistics.median(took) < 0.05


ASKING = """
import sys, time, random
from nodes import Client
from nodes.errors import LookupFailed
names = sys.argv[3].split(",")
with Client(sys.argv[1], timeout=8.0) as client:
    done, end = 0, None
    failed = []
    while end is None or time.monotonic() < end:
        try:
            client.getbyname(random.choice(names))
            done += 1
        except LookupFailed as error:
            failed.append(error.code)
        end = end or time.monotonic() + float(sys.argv[2])
print(done, *failed)
"""


@pytest.mark.long
def test_64_descriptors_8_workers_and_40_clients_are_slower_and_nobody_is_lost() -> None:
    names = ",".join(sorted({record["name"] for record in shipped_records()})[:50])
    with cluster("--workers", "8", descriptors=64) as node:
        process = psutil.Process(node.process.pid)
        asking = [
            subprocess.Popen(
                [sys.executable, "-c", ASKING, node.ready["master"], "6", names],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(40)
        ]
        said = [one.communicate()[0].split() for one in asking]
        failed = [code for _done, *codes in said for code in codes]
        assert not failed
        assert all(int(done) > 1 for done, *_ in said), "each has its turns"
        assert process.num_fds() < 64
        busy = process.cpu_percent(1.0)
        assert busy < 60, "nobody asks any more"


@pytest.mark.long
def test_560_who_wait_lock_no_operator_out() -> None:
    """Each waits for a change of the list of workers, as a direct client does."""
    with cluster("--workers", "1") as node, ExitStack() as stack:
        place = parse_address(node.ready["master"])
        stack.enter_context(NonReaders(place, 560, "members", "x", 10.0, rounds=1))
        with AttachedCluster(node.ready["master"]) as operator:
            assert operator.snapshot().workers[0].state == "up"
        stack.enter_context(NonReaders(place, 560, "lookup", "nothing", rounds=1))
        with AttachedCluster(node.ready["master"]) as operator:
            assert operator.snapshot().workers[0].state == "up"
