"""How long a client takes to be imported, and a worker to be ready."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nodes.catalog import ensure_catalog
from nodes.support.paths import shipped_data
from tests.bench import peers
from tests.kit import Node


def start_times(rounds: int) -> None:
    """Prints how long a client takes to be imported and a worker to be ready, beside what each
    cannot do without: the bare interpreter, and the worker's own imports.
    """
    bare, client, worker = "pass", "from nodes import Client", "import nodes.cli.worker"

    with tempfile.TemporaryDirectory() as folder:
        peers.write(Path(folder), 1_000_000)
        sizes = {
            "264 records": ensure_catalog(shipped_data()).path,
            "a million records": ensure_catalog(Path(folder)).path,
        }

        def start(catalog: str) -> None:
            # A dataset has its own cluster; these two only share the file's form.
            with Node("master", "0", "--json") as master:
                address = master.ready["master"]
                began = time.perf_counter()
                with Node("worker", "--master", address, "--catalog", catalog, "--json"):
                    stopped.append(time.perf_counter() - began)

        stopped: list[float] = []
        taken: dict[str, list[float]] = {k: [] for k in (bare, client, worker, *sizes)}
        for _ in range(rounds):
            for code in (bare, client, worker):
                began = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], check=True)
                taken[code].append(time.perf_counter() - began)
            for name, catalog in sizes.items():
                start(catalog)
                taken[name].append(stopped.pop())
    least = {name: min(times) * 1000 for name, times in taken.items()}
    limits = {client: least[bare] + 70, **dict.fromkeys(sizes, least[worker] + 100)}
    print(f"\n{'start, at best':38} {'ms':>9} {'limit':>9}")
    for name, ms in least.items():
        limit = f" {limits[name]:9.0f}" if name in limits else ""
        print(f"{name:38} {ms:9.0f}{limit}")
