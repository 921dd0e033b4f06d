"""Crowds at a master's port: who is there is served, who comes is served, and it passes."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from nodes.client.blocking import Client
from nodes.support.addresses import parse_address
from tests.crowd import ConnectionFlood, IdleConnections, ProvenConnections, SlowConnections
from tests.fuzz.run import LANES, GoodClient
from tests.kit import Node, poll_for

LOOKUPS = 30


class FloodedMaster:
    """A master that has so many descriptors, a worker, and a client that is there already."""

    def __init__(self, stack: ExitStack, said: Path, descriptors: int) -> None:
        self._said = said
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
        try:
            node = stack.enter_context(Node("master", "0", "--json", said=said))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.address: str = node.ready["master"]
        stack.enter_context(Node("worker", "--master", self.address, "--json"))
        self.good = stack.enter_context(GoodClient(self.address))
        self._process = psutil.Process(node.process.pid)
        self.served()
        self._threads = self._process.num_threads()

    def served(self) -> None:
        """The one that is there goes on to be answered, and so is one that comes."""
        before = self.good.lookups
        with Client(self.address, timeout=10.0) as newcomer:
            assert len(newcomer.getbyname("xander")) == 1
        poll_for(lambda: self.good.lookups >= before + LOOKUPS, 30.0, "lookups go on")
        assert self.good.findings == []

    def recovers(self) -> None:
        """Once the crowd has left, nothing is kept of it."""
        poll_for(lambda: self._process.num_threads() <= self._threads + LANES)
        self.served()
        assert "Traceback" not in self._said.read_text()


@pytest.fixture
def ended() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_500_silent_ones_then_500_slow_ones(ended: ExitStack, tmp_path: Path) -> None:
    """Each fewer than there is room for; together, more: some are let go for others."""
    flooded = FloodedMaster(ended, tmp_path / "said", 1024)
    place = parse_address(flooded.address)
    with IdleConnections(place, 500):
        flooded.served()
        with SlowConnections(place, 500):
            flooded.served()
    flooded.recovers()


def test_a_flood_and_descriptors_run_out(ended: ExitStack, tmp_path: Path) -> None:
    """More come, and stay, than the master has descriptors."""
    flooded = FloodedMaster(ended, tmp_path / "said", 128)
    place = parse_address(flooded.address)
    with IdleConnections(place, 300), ConnectionFlood(place, 100) as flood:
        poll_for(lambda: flood.rounds > 200, 30.0)
        flooded.served()
    flooded.recovers()


def test_those_who_have_just_asked_fill_the_house_for_a_while(
    ended: ExitStack, tmp_path: Path
) -> None:
    """A newcomer is told to come again, and is served when it does: see `Limits.settled`."""
    flooded = FloodedMaster(ended, tmp_path / "said", 48)
    with ProvenConnections(parse_address(flooded.address), 60):
        before = flooded.good.lookups
        poll_for(lambda: flooded.good.lookups >= before + LOOKUPS, 30.0, "lookups go on")
        assert flooded.good.findings == []
    flooded.recovers()
