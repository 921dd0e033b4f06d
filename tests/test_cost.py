"""What a lookup costs where no clock is needed: frames, bytes and system calls.

Client, master and worker are threads of this process, and every socket counts. What they do
besides (a probe now and then) can only add: each figure is the least of some rounds.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import pytest
import rpyc

from nodes.client.blocking import Client
from nodes.errors import RollcallError
from tests.kit import master_alone, poll_for, worker_inside

ROUNDS = 20
LOOKUPS = 10
"""Lookups of a round: few, so that on any machine some rounds are over before the next probe."""

HEADER = struct.Struct("!LB")  # RPyC's frame: its length, whether it is compressed, and a newline
SYSTEM = {
    "send",
    "sendall",
    "sendmsg",
    "recv",
    "recv_into",
    "recvmsg",
    "setsockopt",
    "getsockopt",
    "poll",
    "select",
}
"""Builtins of `socket` and `select` that are a system call each."""


class Cost(NamedTuple):
    """What a lookup took: frames and bytes, both ways, on the lane between client and master and
    on all others; and system calls on sockets, in all threads.
    """

    frames_to_master: float
    frames_to_workers: float
    bytes_to_master: float
    bytes_to_workers: float
    calls: float


class Meter:
    """Counts what crosses the sockets of this process, and the calls that it took."""

    def __init__(self) -> None:
        self.master = 0
        """The master's port, once it is known."""
        self.frames: Counter[bool] = Counter()
        self.sent: Counter[bool] = Counter()
        self.calls: Counter[str] = Counter()

    def sending(self, sock: socket.socket, data: bytes) -> None:
        """Notes what was sent at once: whole frames, as nothing here is large."""
        if sock.family != socket.AF_INET:
            return  # a thread wakes another
        at_master = self.master in (sock.getsockname()[1], sock.getpeername()[1])
        self.sent[at_master] += len(data)
        rest = bytes(data)
        while rest:
            length, _ = HEADER.unpack_from(rest)
            rest = rest[HEADER.size + length + 1 :]
            self.frames[at_master] += 1

    def hook(self, _frame: FrameType, event: str, arg: Any) -> None:
        """Python's profiler: sees each call of a builtin, in each thread that was begun since."""
        if event == "c_call" and arg.__name__ in SYSTEM:
            owner = type(getattr(arg, "__self__", None))
            if issubclass(owner, socket.socket) or owner.__module__ == "select":
                self.calls[arg.__name__] += 1

    def cost(self, ask: Callable[[], object], lookups: int = 1) -> Cost:
        """That of `ask`, which makes so many lookups: the least of some rounds."""
        times = LOOKUPS if lookups == 1 else 2
        found: list[Cost] = []
        for _ in range(ROUNDS):
            for counter in (self.frames, self.sent, self.calls):
                counter.clear()
            try:
                for _ in range(times):
                    ask()
            except RollcallError:
                continue  # a machine so busy that a lookup is not answered: another round
            counted = (
                self.frames[True],
                self.frames[False],
                self.sent[True],
                self.sent[False],
                self.calls.total(),
            )
            found.append(Cost(*(count / times / lookups for count in counted)))
        return Cost(*map(min, zip(*found, strict=True)))


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    """Counts all that begins within the test."""
    counting = Meter()

    def counted(name: str) -> Callable[..., object]:
        plain = getattr(socket.socket, name)

        def send(sock: socket.socket, data: bytes, *args: Any) -> object:
            counting.sending(sock, data)
            return plain(sock, data, *args)

        return send

    for name in ("send", "sendall"):
        monkeypatch.setattr(socket.socket, name, counted(name), raising=False)
    threading.setprofile(counting.hook)
    sys.setprofile(counting.hook)
    try:
        yield counting
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@contextmanager
def cluster(meter: Meter) -> Iterator[str]:
    """A master and its worker; yields its address.

    One worker: on a machine so busy that a lookup is late, a second would be asked as well.
    """
    with master_alone() as master, worker_inside(master):
        meter.master = master.address.port
        poll_for(lambda: [w.state for w in master.snapshot().workers] == ["up"])
        yield str(master.address)


def check(cost: Cost, *, most: Cost) -> None:
    """Frames are as written, to the last; the others may be less."""
    assert (cost.frames_to_master, cost.frames_to_workers) == most[:2]
    assert cost.bytes_to_master <= most.bytes_to_master
    assert cost.bytes_to_workers <= most.bytes_to_workers
    assert cost.calls <= most.calls


def test_a_lookup_crosses_each_lane_once_each_way(meter: Meter) -> None:
    """Nine calls: send and receive, four times each, and a look of the worker whether who asked
    is still there. A lane that was used just now is not looked at.
    """
    with cluster(meter) as address, Client(address) as client:
        cost = meter.cost(lambda: client.getbyname("xander"))
    check(cost, most=Cost(2, 2, 320, 270, 9))


def test_plain_rpyc_costs_the_same_frames(meter: Meter) -> None:
    """Two calls more: RPyC waits for a frame, then reads it in two."""
    with cluster(meter) as address:
        host, _, port = address.rpartition(":")
        with rpyc.connect(host, int(port)) as connection:
            verb = connection.root.getbyname
            cost = meter.cost(lambda: verb("xander"))
    check(cost, most=Cost(2, 2, 310, 270, 11))


def test_past_the_master_a_lookup_crosses_one_lane(meter: Meter) -> None:
    with cluster(meter) as address, Client(address, direct=True) as client:
        cost = meter.cost(lambda: client.getbyname("xander"))
    check(cost, most=Cost(0, 2, 0, 270, 5))


def test_a_page_of_many_records_costs_no_more_frames(meter: Meter) -> None:
    with cluster(meter) as address, Client(address) as client:
        assert len(client.getbylocation("Kansas City")) > 1
        cost = meter.cost(lambda: client.getbylocation("Kansas City"))
    assert (cost.frames_to_master, cost.frames_to_workers) == (2, 2)
    assert cost.calls <= 9


def test_a_batch_costs_one_question_for_all(meter: Meter) -> None:
    """A hundred lookups: nine calls for all of them, and 90 bytes less for each."""
    batch = [("getbyname", "xander")] * 100
    with cluster(meter) as address, Client(address) as client:
        cost = meter.cost(lambda: client.lookup_many(batch), lookups=len(batch))
    check(cost, most=Cost(0.02, 0.02, 220, 220, 0.09))
