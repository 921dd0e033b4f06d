"""The floors: what may import what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

EVERY_MODULE = """
import importlib, pkgutil, sys
import nodes
for module in pkgutil.walk_packages(nodes.__path__, "nodes."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
loaded = sorted(name for name in sys.modules if name.startswith("nodes."))
print(len(loaded))
print(*[name for name in sys.modules if name.partition(".")[0] in ("textual", "console")])
"""


def test_nodes_runs_without_a_screen() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE], capture_output=True, text=True, check=True
    )
    count, _, screen = done.stdout.partition("\n")
    assert int(count) > 30
    assert screen.strip() == ""


def test_a_worker_loads_nothing_that_it_does_not_need() -> None:
    code = "import sys, nodes.cli.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = {
        "textual",
        "rich.console",
        "nodes.master.master",
        "nodes.client.blocking",
        "nodes.fleet.supervisor",
    }
    assert unwanted.isdisjoint(done.stdout.split())


def test_no_import_runs_upward() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_first_screen_waits_for_nothing_that_only_a_cluster_needs() -> None:
    code = "import sys, console.app, console.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "textual.app" in loaded
    assert loaded.isdisjoint({"rpyc", "psutil", "sqlite3", "nodes.cluster", "nodes.catalog"})


def test_a_client_loads_nothing_that_only_some_need() -> None:
    code = "import sys; from nodes import Client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "nodes.client.blocking" in loaded
    assert loaded.isdisjoint(
        {
            "asyncio",
            "hashlib",
            "logging",
            "nodes.client.direct",
            "nodes.security.tls",
            "nodes.security.tokens",
            "pathlib",
            "psutil",
            "rpyc",
            "ssl",
        }
    )
