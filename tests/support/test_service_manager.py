"""What a service manager hears, at a socket of its kind."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.support.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager_socket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that a service manager listens at, of either kind."""
    name = str(tmp_path / "notify") if request.param == "path" else f"\0rollcall {os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        sock.settimeout(5.0)
        yield sock


def environment(manager_socket: socket.socket, **more: str) -> dict[str, str]:
    """What it gives to a process."""
    name = manager_socket.getsockname()
    named = f"@{name[1:].decode()}" if isinstance(name, bytes) else name
    return {"NOTIFY_SOCKET": named, **more}


def test_it_hears_that_a_process_is_ready_how_it_is_and_that_it_stops(
    manager_socket: socket.socket,
) -> None:
    manager = ServiceManager(environment(manager_socket))
    manager.starting("starting: read\n40 %", 1.5)
    manager.ready("HEALTHY")
    manager.starting("starting: read 50 %", 1.5)
    manager.status("HEALTHY")
    manager.status("DEGRADED\nw1 slow")
    manager.alive()
    manager.stopping()
    heard = [manager_socket.recv(1000).decode() for _ in range(5)]
    assert heard == [
        "EXTEND_TIMEOUT_USEC=1500000\nSTATUS=starting: read 40 %",
        "READY=1\nSTATUS=HEALTHY",
        "STATUS=DEGRADED w1 slow",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_what_this_process_starts_does_not_speak_for_it(manager_socket: socket.socket) -> None:
    given = environment(manager_socket, WATCHDOG_USEC="1", WATCHDOG_PID="1", HOME="/")
    assert ServiceManager(given).listens
    assert given == {"HOME": "/"}
    assert not ServiceManager(given).listens


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_signs_of_life_are_due_where_it_says_so(
    manager_socket: socket.socket, more: dict[str, str], seconds: float | None
) -> None:
    assert ServiceManager(environment(manager_socket, **more)).watchdog_s == seconds


def test_one_that_is_gone_or_was_never_there_is_no_trouble(tmp_path: Path) -> None:
    for given in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}, {"NOTIFY_SOCKET": "vsock:2:1"}):
        manager = ServiceManager(given)
        manager.ready("HEALTHY")
        manager.alive()
        manager.stopping()
