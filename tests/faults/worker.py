"""A worker that does its worst: `python -m tests.faults.worker BEHAVIOUR HOST:PORT [DATA]`.

It prints the port it listens on, and registers once it has read from its standard input the port
to advertise and the master's port: those of proxies, or the real ones. It ends with its standard
input.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from nodes.catalog import ensure_catalog, open_catalog
from nodes.security.credentials import worker_token
from nodes.support.addresses import parse_address
from nodes.support.paths import shipped_data
from nodes.worker.following import CatalogFollower
from nodes.worker.server import WorkerServer
from nodes.worker.service import Lookups, Operation

SLOW = 0.02
"""Seconds that the slow one adds to each lookup: some twenty times what one takes."""


def misbehave(behaviour: str) -> None:
    """Has every lookup go wrong that way; probes and registration are as they should be."""
    if behaviour == "stuck":

        async def refuse(*_args: object) -> tuple[str, str]:
            return ("not_possible", "there is no room here")

        CatalogFollower.prepare = CatalogFollower.switch = refuse  # type: ignore[method-assign, assignment]
        return

    def mute(_well: Operation, *_args: object) -> object:
        return asyncio.get_running_loop().create_future()

    def garbage(_well: Operation, *_args: object) -> object:
        return b"\x00garbage" * 100

    def failing(_well: Operation, *_args: object) -> object:
        return ("internal", "this one always fails")

    def slow(well: Operation, *args: object) -> object:
        time.sleep(SLOW)
        return well(*args)

    def deadly(well: Operation, *args: object) -> object:
        if any(
            b"deadly" in (arg.encode() if isinstance(arg, str) else arg)
            for arg in args
            if isinstance(arg, str | bytes)
        ):
            os._exit(1)
        return well(*args)

    ways: dict[str, Callable[..., object]] = {
        "well": lambda well, *args: well(*args),
        "mute": mute,
        "garbage": garbage,
        "failing": failing,
        "slow": slow,
        "deadly": deadly,
    }
    way = ways[behaviour]
    Lookups.ask_fast = lambda *_: None  # type: ignore[method-assign] # none takes the fast path
    for verb in ("ask", "lookup"):
        _replace(verb, way)


def _replace(verb: str, way: Callable[..., object]) -> None:
    well = getattr(Lookups, verb)

    def misbehaving(self: Lookups, *args: object) -> object:
        return way(functools.partial(well, self), *args)

    setattr(Lookups, verb, misbehaving)


def main() -> None:
    """Runs one."""
    behaviour, master, *data = sys.argv[1:]
    misbehave(behaviour)
    host, _port = parse_address(master)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    print(port, flush=True)
    advertised, master_port = map(int, sys.stdin.readline().split())
    worker = WorkerServer(
        catalog=open_catalog(ensure_catalog(Path(data[0]) if data else shipped_data()).path),
        master=(host, master_port),
        token=worker_token,
        port=port,
    )
    keeper = worker.registration
    keeper.request = msgspec.structs.replace(keeper.request, port=advertised)
    worker.start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
