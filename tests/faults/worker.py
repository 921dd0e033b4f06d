"""A worker that does its worst: `python -m tests.faults.worker BEHAVIOUR HOST:PORT [DATA]`.

It prints the port it listens on, and registers the port that it then reads from its standard
input: a proxy's, or its own. It ends with its standard input.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from nodes.catalog import Catalog, ensure_catalog
from nodes.security.tokens import worker_token
from nodes.support.addresses import parse_address
from nodes.support.paths import shipped_data
from nodes.worker.server import WorkerServer
from nodes.worker.service import WorkerService

SLOW = 0.02
"""Seconds that the slow one adds to each lookup: some twenty times what one takes."""


def misbehave(behaviour: str) -> None:
    """Has every lookup go wrong that way; probes and registration are as they should be."""
    well = WorkerService.lookup

    def mute(_self: WorkerService, _request: object, **_how: bool) -> object:
        threading.Event().wait()
        return None

    def garbage(_self: WorkerService, _request: object, **_how: bool) -> object:
        return b"\x00garbage" * 100

    def failing(_self: WorkerService, _request: object, **_how: bool) -> object:
        return ("internal", "this one always fails")

    def slow(self: WorkerService, request: object, **how: bool) -> object:
        time.sleep(SLOW)
        return well(self, request, **how)

    def deadly(self: WorkerService, request: object, **how: bool) -> object:
        if type(request) is bytes and b"deadly" in request:
            os._exit(1)
        return well(self, request, **how)

    if behaviour == "stuck":
        WorkerServer._switch = lambda *_args: ("not_possible", "there is no room here")  # type: ignore[method-assign]
        return
    lookups: dict[str, Callable[..., object]] = {
        "well": well,
        "mute": mute,
        "garbage": garbage,
        "failing": failing,
        "slow": slow,
        "deadly": deadly,
    }
    WorkerService.lookup = lookups[behaviour]  # type: ignore[method-assign,assignment]


def main() -> None:
    """Runs one."""
    behaviour, master, *data = sys.argv[1:]
    misbehave(behaviour)
    worker = WorkerServer(
        catalog=Catalog.open(ensure_catalog(Path(data[0]) if data else shipped_data()).path),
        master=parse_address(master),
        token=worker_token,
    )
    print(worker.server.address[1], flush=True)
    advertised = int(sys.stdin.readline())
    keeper = worker.registration
    keeper.request = msgspec.structs.replace(keeper.request, port=advertised)
    worker.start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
