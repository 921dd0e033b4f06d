"""`rollcall` where there is no terminal: the same cluster, without a screen."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from nodes.client.blocking import Client
from tests.kit import Node


def test_the_cluster_runs_without_a_screen_and_says_so(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with Node("--port", "0", "--workers", "1", said=said, module="console") as node:
        assert node.ready_line.startswith("ready: 127.0.0.1:")
        address = node.ready_line.split()[1].rstrip(",")
        with Client(address) as client:
            assert client.getbyname("xander")
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
    [line] = said.read_text().splitlines()
    assert "no terminal" in line
    assert "rollcall-nodes up" in line


def test_a_screen_that_attaches_needs_a_terminal_and_says_what_does_not() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console", "--attach", "127.0.0.1:9"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith("rollcall-nodes ps --master 127.0.0.1:9\n")
