"""How long a worker takes to be ready."""

from __future__ import annotations

import statistics
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
    """Prints how long a worker takes to be ready, beside the import it cannot do without."""

    def imports() -> None:
        subprocess.run([sys.executable, "-c", "import rpyc, sqlite3"], check=True)

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
        taken: dict[str, list[float]] = {k: [] for k in ("import rpyc, sqlite3", *sizes)}
        for _ in range(rounds):
            began = time.perf_counter()
            imports()
            taken["import rpyc, sqlite3"].append(time.perf_counter() - began)
            for name, catalog in sizes.items():
                start(catalog)
                taken[name].append(stopped.pop())
    base = statistics.median(taken["import rpyc, sqlite3"])
    print(f"\n{'worker ready, with':38} {'ms':>9}   limit {1.5 * base * 1000 + 100:.0f} ms")
    for name, times in taken.items():
        print(f"{name:38} {statistics.median(times) * 1000:9.0f}")
