"""`rollcall-nodes bench` as a person and a script use it, on a real cluster."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.kit import PATIENCE, Node, poll_for, run_nodes


@pytest.fixture(scope="module")
def master() -> Iterator[str]:
    """A cluster of two workers."""
    with Node("up", "--workers", "2", "--port", "0", "--json") as node:
        yield str(node.ready["master"])


def bench(master: str, *args: str) -> dict[str, Any]:
    """The report of a run that went well."""
    done = run_nodes("bench", "--master", master, "--json", *args)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["failed"] == 0
    assert sum(bar["calls"] for bar in report["histogram"]) * report["batch"] == report["lookups"]
    assert set(report["latency_ms"]) == {"mean", "p50", "p90", "p99", "p99.9", "max"}
    return report


def test_a_count_of_lookups_in_a_closed_loop(master: str) -> None:
    report = bench(master, "--clients", "3", "--count", "100")
    assert (report["loop"], report["clients"], report["processes"]) == ("closed", 3, 3)
    assert report["lookups"] == sum(report["workers"].values()) == 100
    assert set(report["workers"]) <= {"w1", "w2"}, "who answers is the balancer's to say"


def test_straight_to_the_workers(master: str) -> None:
    report = bench(master, "--clients", "2", "--count", "100", "--direct")
    assert report["direct"]
    assert report["lookups"] == sum(report["workers"].values()) == 100


def test_batches_are_whole(master: str) -> None:
    report = bench(master, "--clients", "1", "--count", "250", "--batch", "100")
    assert (report["batch"], report["lookups"], report["workers"]) == (100, 300, {})


def test_a_rate_of_lookups_in_an_open_loop(master: str) -> None:
    report = bench(master, "--clients", "2", "--rate", "100", "--seconds", "0.5")
    assert (report["loop"], report["wanted_per_s"]) == ("open", 100.0)
    assert report["lookups"] + report["unsent"] == 50


def test_only_that_lookup_for_people(master: str) -> None:
    args = ["--master", master, "--clients", "1", "--count", "20", "--lookup", "getbyname"]
    done = run_nodes("bench", *args)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 client in 1 process, closed loop\n20 lookups in ")
    assert "latency: mean " in done.stdout


def test_what_cannot_be_is_explained(master: str) -> None:
    refused = run_nodes("bench", "--master", master, "--lookup", "getbyshoe")
    assert refused.returncode == 2
    assert "there is no lookup getbyshoe; there are getbyname" in refused.stderr
    nobody = run_nodes("bench", "--master", "127.0.0.1:1", "--json")
    assert nobody.returncode == 2
    assert json.loads(nobody.stdout)["code"] == "master_lost"


def a_minute_of(master: str) -> list[str]:
    """The command by which two clients ask that master for a minute."""
    options = ("--master", master, "--clients", "2", "--seconds", "60")
    return [sys.executable, "-P", "-m", "nodes.cli", "bench", *options]


def test_ctrl_c_ends_it_and_it_still_reports(master: str) -> None:
    """In a terminal: the progress is seen, and the clients are not hit by the signal."""
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [*a_minute_of(master), "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(terminal)
    try:
        shown = b""
        while b"lookups/s" not in shown:
            shown += os.read(screen, 4096)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        report = json.loads(out)
        assert report["lookups"] > 0
        assert report["seconds"] < 30
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def test_killed_it_leaves_no_client_behind(master: str) -> None:
    process = subprocess.Popen(
        a_minute_of(master),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    parent = psutil.Process(process.pid)
    poll_for(lambda: len(parent.children()) == 2)
    children = parent.children()
    process.kill()
    process.wait()
    poll_for(lambda: not any(child.is_running() for child in children), what="they left")
