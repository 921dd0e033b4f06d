"""What a lookup costs where no clock is needed: frames and bytes, system calls, switches.

Frames and bytes are counted by relays on the two ways, client to master and worker to master;
system calls and context switches by the kernel, for each process.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import psutil
import pytest
import rpyc

from nodes.client.blocking import Client
from nodes.errors import RollcallError
from nodes.transport.frames import FrameReader
from tests.kit import Node, master_alone, poll_for, worker_inside

ROUNDS = 20
LOOKUPS = 10
"""Lookups of a round: few, so that on any machine some rounds are over before the next probe."""


class Relay:
    """Forwards connections to a port, and counts what crosses. Frames are whole in what it reads
    together, or their rest is in what it reads next.
    """

    def __init__(self, port: int) -> None:
        self.frames = 0
        self.bytes = 0
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="relay")]
        self._sockets: list[socket.socket] = []
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._behind))
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [near, far]
            for ends in ((near, far), (far, near)):
                self._threads.append(threading.Thread(target=self._forward, args=ends))
                self._threads[-1].start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        reader = FrameReader(1 << 26)
        try:
            while data := source.recv(1 << 16):
                self.frames += len(reader.split(data))
                self.bytes += len(data)
                target.sendall(data)
        except OSError:
            return
        finally:
            _shut(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        _shut(self._listener)
        self._listener.close()
        for sock in self._sockets:
            _shut(sock)
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class Cost(NamedTuple):
    """What a lookup took: frames and bytes, both ways, between client and master and between
    master and worker.
    """

    frames_to_master: float
    frames_to_worker: float
    bytes_to_master: float
    bytes_to_worker: float


class Meter:
    """A master and its worker, each behind a relay.

    One worker: on a machine so busy that a lookup is late, a second would be asked as well.
    """

    def __init__(self, stack: ExitStack) -> None:
        master = stack.enter_context(master_alone())
        self._to_worker = stack.enter_context(Relay(master.address.port))
        self._to_master = stack.enter_context(Relay(master.address.port))
        stack.enter_context(worker_inside(master, port_of_master=self._to_worker.port))
        poll_for(lambda: [w.state for w in master.snapshot().workers] == ["up"])
        self.address = f"127.0.0.1:{self._to_master.port}"

    def cost(self, ask: Callable[[], object], lookups: int = 1) -> Cost:
        """That of `ask`, which makes so many lookups: the least of some rounds."""
        relays = (self._to_master, self._to_worker)
        times = LOOKUPS if lookups == 1 else 2
        found: list[Cost] = []
        for _ in range(ROUNDS):
            before = [(relay.frames, relay.bytes) for relay in relays]
            try:
                for _ in range(times):
                    ask()
            except RollcallError:
                continue  # a machine so busy that a lookup is not answered: another round
            spent = [
                (relay.frames - frames, relay.bytes - size)
                for relay, (frames, size) in zip(relays, before, strict=True)
            ]
            counted = (*(frames for frames, _ in spent), *(size for _, size in spent))
            found.append(Cost(*(count / times / lookups for count in counted)))
        return Cost(*map(min, zip(*found, strict=True)))


@pytest.fixture
def meter() -> Iterator[Meter]:
    with ExitStack() as stack:
        yield Meter(stack)


def check(cost: Cost, *, most: Cost) -> None:
    """Frames are as written, to the last; bytes may be less."""
    assert cost[:2] == most[:2]
    assert cost.bytes_to_master <= most.bytes_to_master
    assert cost.bytes_to_worker <= most.bytes_to_worker


def test_a_lookup_crosses_each_connection_once_each_way(meter: Meter) -> None:
    with Client(meter.address) as client:
        cost = meter.cost(lambda: client.getbyname("xander"))
    check(cost, most=Cost(2, 2, 320, 280))


def test_plain_rpyc_costs_the_same_frames(meter: Meter) -> None:
    host, _, port = meter.address.rpartition(":")
    with rpyc.connect(host, int(port)) as connection:
        verb = connection.root.getbyname
        cost = meter.cost(lambda: verb("xander"))
    check(cost, most=Cost(2, 2, 310, 280))


def test_past_the_master_a_lookup_does_not_cross_it(meter: Meter) -> None:
    with Client(meter.address, direct=True) as client:
        client.getbyname("xander")
        assert meter.cost(lambda: client.getbyname("xander"))[:2] == (0, 0)


def test_a_page_of_many_records_costs_no_more_frames(meter: Meter) -> None:
    with Client(meter.address) as client:
        assert len(client.getbylocation("Kansas City")) > 1
        assert meter.cost(lambda: client.getbylocation("Kansas City"))[:2] == (2, 2)


def test_a_batch_costs_one_question_for_all(meter: Meter) -> None:
    """A hundred lookups: 90 bytes less for each."""
    batch = [("getbyname", "xander")] * 100
    with Client(meter.address) as client:
        cost = meter.cost(lambda: client.lookup_many(batch), lookups=len(batch))
    check(cost, most=Cost(0.02, 0.02, 220, 220))


# -- what the kernel counts ----------------------------------------------------------------


def counted(pids: list[int]) -> Counter[str]:
    """Reads, writes and context switches of those processes so far."""
    found: Counter[str] = Counter()
    for pid in pids:
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            name, value = line.split(": ")
            if name in ("syscr", "syscw"):
                found["calls"] += int(value)
        for task in Path(f"/proc/{pid}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    found["switches"] += int(line.split()[1])
    return found


@contextmanager
def clients(address: str, count: int) -> Iterator[Callable[[], None]]:
    """So many clients in threads, and what has each of them ask a hundred times."""
    with ExitStack() as stack:
        made = [stack.enter_context(Client(address, timeout=10.0)) for _ in range(count)]
        threads = stack.enter_context(ThreadPoolExecutor(count))

        def ask(client: Client) -> None:
            for _ in range(100):
                client.getbyname("xander")

        def ask_all() -> None:
            list(threads.map(ask, made))

        yield ask_all


@pytest.mark.parametrize(
    ("count", "calls", "switches"),
    [(1, 7.0, 5.0), (8, 7.0, 4.0), pytest.param(64, 7.0, 4.0, marks=pytest.mark.long)],
)
def test_a_lookup_takes_few_system_calls_and_switches_of_master_and_worker(
    count: int, calls: float, switches: float
) -> None:
    """Four reads and writes, and two waits, if each lookup comes alone; together, they share."""
    if not Path("/proc/self/io").exists():
        pytest.skip("this kernel does not count them")
    with Node("up", "--port", "0", "--workers", "1", "--json") as node:
        [worker] = psutil.Process(node.process.pid).children()
        pids = [node.process.pid, worker.pid]
        with clients(node.ready["master"], count) as ask:
            ask()
            before = counted(pids)
            ask()
            spent = counted(pids) - before
    lookups = 100 * count
    assert 0 < spent["calls"] / lookups <= calls
    assert spent["switches"] / lookups <= switches
