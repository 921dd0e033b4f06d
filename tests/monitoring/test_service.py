"""Commands as services: what a supervisor, a probe and a service manager hear of real processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nodes.cli.health import health
from nodes.cli.service import StartProgress, serve_until
from nodes.client.attached import AttachedCluster
from nodes.support.service_manager import ServiceManager
from nodes.transport import LoopThread
from tests.kit import PATIENCE, Node, master_alone, poll_for, worker_inside
from tests.monitoring.kit import fetch

SIGN_OF_LIFE = "WATCHDOG=1"


class FakeManager:
    """A service manager's socket, and what came to it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.heard: list[str] = []

    def hears(self, text: str) -> bool:
        """Whether it has heard that by now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self._sock.recv(1000).decode())
        return any(text in one for one in self.heard)

    def waits_for(self, text: str) -> None:
        """Waits until it hears that from now on."""
        self.hears("")
        self.heard.clear()
        poll_for(lambda: self.hears(text), what=text)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[FakeManager]:
    """One that listens at `notify` in the test's folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(0.0)
        yield FakeManager(sock)


def ask_health(address: str, *options: str) -> Result:
    """`rollcall-nodes health`."""
    return CliRunner().invoke(health, ["--master", address, *options])


@pytest.mark.long
def test_a_cluster_tells_whoever_watches_it_how_it_is(manager: FakeManager, tmp_path: Path) -> None:
    given = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    up = ("up", "--workers", "1", "--port", "0", "--metrics", "127.0.0.1:0", "--json")
    with Node(*up, env=given) as node:
        address, watched = node.ready["master"], node.ready["metrics"]
        poll_for(lambda: manager.hears("READY=1\nSTATUS=HEALTHY"))
        manager.waits_for(SIGN_OF_LIFE)
        assert fetch(watched, "/readyz").status == 200
        assert 'rollcall_workers{state="up"} 1' in fetch(watched, "/metrics").body
        assert ask_health(address).exit_code == 0
        deep = json.loads(ask_health(address, "--deep", "--json").stdout)
        assert deep["ready"] is True
        assert deep["lookup_ms"] > 0

        with AttachedCluster(address) as cluster:
            manager.heard.clear()
            cluster.kill("w1")
        poll_for(lambda: fetch(watched, "/readyz").status == 503)
        poll_for(lambda: manager.hears("STATUS=OUTAGE no workers"))
        assert fetch(watched, "/readyz").body.startswith("OUTAGE  no workers")
        assert fetch(watched, "/healthz").status == 200
        assert (ask_health(address).exit_code, ask_health(address, "--deep").exit_code) == (1, 1)

        node.signal(signal.SIGTERM)
        assert node.wait() == 0
        assert manager.hears("STOPPING=1")
    assert ask_health(address, "--timeout", "0.5").exit_code == 2


@pytest.mark.long
def test_master_and_worker_are_ready_when_they_are(manager: FakeManager, tmp_path: Path) -> None:
    given = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with Node("master", "0", "--metrics", "127.0.0.1:0", "--json", env=given) as master:
        poll_for(lambda: manager.hears("READY=1\nSTATUS="))
        assert fetch(master.ready["metrics"], "/readyz").status == 503
        manager.heard.clear()
        worker = ("worker", "--master", master.ready["master"], "--json")
        with Node(*worker, env=given) as node:
            poll_for(lambda: manager.hears("READY=1\nSTATUS=ready: w1, registered with"))
            poll_for(lambda: fetch(master.ready["metrics"], "/readyz").status == 200)
            manager.heard.clear()
            master.signal(signal.SIGTERM)
            poll_for(lambda: manager.hears("STATUS=not registered: "))
            node.signal(signal.SIGTERM)
            assert node.wait() == 0
            assert manager.hears("STOPPING=1")


def test_a_deep_look_counts_only_a_lookup_that_is_answered() -> None:
    with master_alone() as master:
        address = str(master.address)
        alone = ask_health(address, "--deep", "--json")
        assert (alone.exit_code, json.loads(alone.stdout)["ready"]) == (1, False)
        with worker_inside(master):
            assert ask_health(address, "--deep").exit_code == 0
    assert ask_health(address, "--timeout", "0.5").exit_code == 2


def many_records(folder: Path) -> Path:
    """Records that it takes seconds to build a catalog of."""
    folder.mkdir()
    lines = (f'{{"name": "n{number}", "location": "L"}}\n' for number in range(800_000))
    (folder / "many.jsonl").write_text("".join(lines), encoding="utf-8")
    words = '[lookups]\nsearch = { any = ["name", "location"] }\n'
    (folder / "dataset.toml").write_text(words, encoding="utf-8")
    return folder


@pytest.mark.long
def test_a_long_start_is_given_time_for_as_long_as_it_gets_on(
    manager: FakeManager, tmp_path: Path
) -> None:
    given = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    data = many_records(tmp_path / "records")
    up = ("up", "--workers", "1", "--port", "0", "--data", str(data), "--json")
    with Node(*up, env=given) as node:
        poll_for(lambda: manager.hears("READY=1"))
        started, _, _ = "\n".join(manager.heard).partition("READY=1")
        building = re.findall(r"EXTEND_TIMEOUT_USEC=300000000\nSTATUS=starting: (\w+) ", started)
        assert building[0] == "digest"
        assert len(building) >= 2, "one each second"
        assert "STATUS=starting: workers come up" in started
        manager.heard.clear()
        worker = ("worker", "--from-master", "--master", node.ready["master"], "--json")
        with Node(*worker, env={**given, "ROLLCALL_CACHE": str(tmp_path / "elsewhere")}):
            poll_for(lambda: manager.hears("READY=1"))
            assert "EXTEND_TIMEOUT_USEC=300000000\nSTATUS=starting: fetch " in manager.heard[0]


@pytest.mark.long
def test_one_that_is_told_to_stop_while_it_reads_records_leaves(
    manager: FakeManager, tmp_path: Path
) -> None:
    given = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "ROLLCALL_CACHE": str(tmp_path / "cache")}
    data = many_records(tmp_path / "records")
    command = [sys.executable, "-P", "-m", "nodes.cli", "up", "--port", "0", "--data", str(data)]
    with subprocess.Popen(
        command,
        env={**os.environ, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        poll_for(lambda: manager.hears("starting: read "))
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, said) == (0, "", "")
    assert list((tmp_path / "cache" / "catalogs").iterdir()) == [], "it did not wait for its end"


def test_a_start_that_gets_on_is_told_each_second_and_one_that_is_stuck_is_not(
    manager: FakeManager, tmp_path: Path
) -> None:
    now = 100.0
    progress = StartProgress(
        ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")}), lambda: now
    )
    for moment, stage, done in (
        (100.0, "read", 0),
        (100.9, "read", 10),
        (101.1, "read", 20),
        (109.0, "read", 20),
        (109.1, "index", 0),
    ):
        now = moment
        progress(stage, done, 40)
    manager.hears("")
    told = [one.partition("STATUS=")[2] for one in manager.heard]
    assert told == ["starting: read 0 %", "starting: read 50 %", "starting: index 0 %"]


def test_signs_of_life_come_only_while_the_loop_runs(manager: FakeManager, tmp_path: Path) -> None:
    given = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "40000"}
    loop, ending, goes_on = LoopThread("served"), threading.Event(), threading.Event()
    loop.start()
    serving = threading.Thread(
        target=serve_until, args=(ending, ServiceManager(given), loop, lambda: "well")
    )
    serving.start()
    try:
        manager.waits_for(SIGN_OF_LIFE)
        loop.call(loop.post, goes_on.wait, 5.0)
        manager.hears("")
        manager.heard.clear()
        assert not ending.wait(0.2), "five times as long as one may take"
        assert not manager.hears(SIGN_OF_LIFE)
        goes_on.set()
        manager.waits_for(SIGN_OF_LIFE)
    finally:
        goes_on.set()
        ending.set()
        serving.join()
        loop.stop()
