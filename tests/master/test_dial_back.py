"""A worker registers only where it is found, and only from networks that it may be in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from nodes.catalog import ensure_catalog, open_catalog
from nodes.errors import Conflict, Forbidden, StartError
from nodes.master.master import Master
from nodes.security.tokens import read_token
from nodes.support.addresses import Address
from nodes.support.event_kinds import EventKind
from nodes.support.listening import check_worker_network, parse_networks
from nodes.support.paths import shipped_data
from nodes.transport import Lane
from nodes.wire import Registration, decode_envelope, describe
from tests.kit import (
    PATIENCE,
    Door,
    FakeWorker,
    ServerThread,
    master_alone,
    poll_for,
    worker_inside,
)

INSTANCE = "1" * 32


@pytest.fixture
def master() -> Iterator[Master]:
    with master_alone() as master:
        yield master


def said(port: int) -> Registration:
    """What a worker says whose port is that one."""
    catalog = open_catalog(ensure_catalog(shipped_data()).path)
    try:
        return Registration(
            instance=INSTANCE,
            wanted_id="",
            host="127.0.0.1",
            port=port,
            pid=1,
            catalog=describe(catalog.info),
        )
    finally:
        catalog.close()


def register(master: Master, port: int) -> None:
    """Registers a worker at that port; raises why it is refused."""
    with Lane.dial(*master.address) as lane:
        lane.call("login", read_token() or "", timeout=PATIENCE)
        text = msgspec.json.encode(said(port)).decode()
        reply = lane.call("register", text, timeout=PATIENCE)
        assert type(reply) is str
        decode_envelope(reply).checked()


@contextmanager
def nobody() -> Iterator[int]:
    """A port where nobody listens, and nobody will."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_its_own_address_is_taken(master: Master) -> None:
    with FakeWorker(master.address, said(1)) as worker:
        assert worker.reply.checked().result["id"] == "w1"


def test_an_address_of_nobody_is_refused_in_words(master: Master) -> None:
    with nobody() as port:
        for _ in range(3):
            with pytest.raises(Conflict, match=r"connection refused.*--advertise HOST:PORT"):
                register(master, port)
    [event] = [one for one in master.events.after(0) if one.kind == EventKind.NOT_REGISTERED]
    assert "a worker at 127.0.0.1 was not registered: the master cannot reach" in event.text


def test_a_worker_that_advertises_what_leads_nowhere_ends_and_says_why(master: Master) -> None:
    with nobody() as port, worker_inside(master, advertise=Address("127.0.0.1", port)) as worker:
        poll_for(worker.registration.settled.is_set)
        refusal = worker.registration.refusal
        assert refusal is not None
        assert f"127.0.0.1:{port}: connection refused" in refusal.message


def test_another_worker_s_address_is_refused_in_words(master: Master) -> None:
    with (
        ServerThread(lambda: Door("2" * 32)) as door,
        pytest.raises(Conflict, match="is another's"),
    ):
        register(master, door.address[1])


def test_so_is_that_of_what_is_no_worker(master: Master) -> None:
    with pytest.raises(Conflict, match="does not answer as a worker"):
        register(master, master.address.port)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.0.2.1", True),
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("fd00:1::5", True),
        ("fd00:2::5", False),
    ],
)
def test_where_workers_may_be(address: str, allowed: bool) -> None:
    networks = parse_networks(["10.1.0.0/16", "fd00:1::/64"])
    check_worker_network(address, "192.0.2.1", ())
    if allowed:
        check_worker_network(address, "192.0.2.1", networks)
    else:
        with pytest.raises(Forbidden, match=r"--workers-from 10\.1\.0\.0/16, fd00:1::/64"):
            check_worker_network(address, "192.0.2.1", networks)


@pytest.mark.parametrize("text", ["", "10.1.0.0/33", "10.1.2.3/16", "everywhere"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(StartError, match="no network such as"):
        parse_networks([text])


def test_workers_of_the_master_s_machine_may_register_anyway() -> None:
    with master_alone(workers_from=["10.1.0.0/16"]) as master, worker_inside(master) as worker:
        assert worker.registration.ready
