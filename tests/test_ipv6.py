"""IPv6: every node listens on it and is found on it, by IPv4 as well where it listens on all."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from nodes.client.asynchronous import AsyncClient
from nodes.client.blocking import Client
from nodes.support.addresses import Address, bare_host, parse_address, peer_host
from nodes.transport import Lane
from tests.kit import PATIENCE, master_alone, poll_for, worker_inside


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 here")


def ask_all(address: str) -> None:
    """Asks at that address in every way."""
    for direct in (False, True):
        with Client(address, direct=direct, timeout=PATIENCE) as client:
            assert client.getbyname("xander")

    async def ask() -> None:
        async with AsyncClient(address, timeout=PATIENCE) as client:
            assert await client.getbyname("xander")

    asyncio.run(ask())


@needs_ipv6
def test_a_cluster_on_the_loopback_address_of_ipv6() -> None:
    with master_alone(host="::1") as master, worker_inside(master, host="::1") as worker:
        printed = str(master.address)
        assert printed == f"[::1]:{master.address.port}"
        ask_all(printed)
        poll_for(lambda: [one.state for one in master.snapshot().workers] == ["up"])
        [seen] = master.snapshot().workers
        assert seen.address == f"[::1]:{worker.server.address[1]}"
        assert master.snapshot().address == printed
        said = [event.text for event in master.events.after(0)]
        assert any(seen.address in text for text in said)


@needs_ipv6
def test_one_that_listens_on_all_addresses_is_found_by_both_kinds() -> None:
    with master_alone(host="::", insecure=True) as master:
        port = master.address.port
        with worker_inside(master, host="127.0.0.1") as worker:
            poll_for(lambda: [one.state for one in master.snapshot().workers] == ["up"])
            assert worker.registration.refusal is None
            for address in (f"[::1]:{port}", f"127.0.0.1:{port}", f"localhost:{port}"):
                ask_all(address)


@needs_ipv6
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_address_of_a_name_is_tried(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with master_alone(host=host) as master, worker_inside(master, host=host):
        port = master.address.port
        both = [
            entry
            for one in ("::1", "127.0.0.1")
            for entry in socket.getaddrinfo(one, port, type=socket.SOCK_STREAM)
        ]
        found = socket.getaddrinfo

        def resolve(name: str, *args: object, **named: object) -> object:
            return both if name == "both.test" else found(name, *args, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with Client(f"both.test:{port}", timeout=PATIENCE) as client:
            assert client.getbyname("xander")


def test_all_addresses_of_a_name_have_one_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(1)]
        entry = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: entry * 50)
        done = threading.Event()

        def dial() -> None:
            for _ in range(3):  # the queue takes one or two
                try:
                    held.append(Lane.dial("name.test", port, timeout=0.2).sock)
                except Exception:  # noqa: BLE001 - how it ends is not asked
                    break
            done.set()

        threading.Thread(target=dial, daemon=True).start()
        assert done.wait(PATIENCE / 2)
        for sock in held:
            sock.close()


@pytest.mark.parametrize(
    ("given", "host"),
    [("[::1]", "::1"), ("::1", "::1"), ("127.0.0.1", "127.0.0.1"), ("", ""), ("[x]", "[x]")],
)
def test_a_host_may_be_in_brackets(given: str, host: str) -> None:
    assert bare_host(given) == host


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("10.0.0.7", "10.0.0.7"),
    ],
)
def test_who_comes_over_ipv4_has_such_an_address(peer: str, host: str) -> None:
    assert peer_host(peer) == host
    assert parse_address(str(Address(host, 8))) == (host, 8)
