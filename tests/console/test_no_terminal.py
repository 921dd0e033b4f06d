"""`rollcall` where there is no terminal: the same cluster, without a screen."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from console.__main__ import rollcall
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


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ((), {"ROLLCALL_LOG_FORMAT": "json", "ROLLCALL_LOG_LEVEL": "info"}),
        (("--log-format", "json", "--log-level", "info"), {}),
    ],
)
def test_it_and_its_workers_log_as_the_headless_launcher_does(
    tmp_path: Path, options: tuple[str, ...], given: dict[str, str]
) -> None:
    said = tmp_path / "said"
    command = ("--port", "0", "--workers", "1", *options)
    with Node(*command, env=given, said=said, module="console") as node:
        [worker] = psutil.Process(node.process.pid).children()
        started = " ".join(worker.cmdline())
        assert "--log-level info --log-format json" in started
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
    _, *lines = said.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert {"registered", "left"} <= {one.get("event") for one in events}


def test_an_error_names_the_program_that_was_called(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "console", "--data", str(tmp_path / "nowhere")]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("rollcall: ")


@pytest.mark.parametrize(
    ("options", "instead"),
    [
        (["--attach", "127.0.0.1:9"], "rollcall-nodes ps --master 127.0.0.1:9"),
        (["--replay", "9"], "rollcall-nodes recording --master 127.0.0.1:9 --last"),
        (["--replay", "r.recording"], "rollcall-nodes recording --file r.recording --last"),
    ],
)
def test_what_needs_a_terminal_says_what_does_not(options: list[str], instead: str) -> None:
    done = CliRunner().invoke(rollcall, options)
    assert done.exit_code == 2
    assert done.stderr.endswith(f"{instead}\n")


def test_a_recording_is_shown_in_place_of_a_cluster() -> None:
    done = CliRunner().invoke(rollcall, ["--replay", "9", "--attach", "127.0.0.1:9"])
    assert done.exit_code == 2 and "give one" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--attach", "127.0.0.1:9", "--metrics", "127.0.0.1:0"],
        ["--attach", "127.0.0.1:9", "--workers", "3"],
        ["--replay", "9", "--require-token"],
    ],
)
def test_what_is_for_a_cluster_of_its_own_is_not_taken_with_another(options: list[str]) -> None:
    done = CliRunner().invoke(rollcall, options)
    assert done.exit_code == 2
    assert f"{options[2]} is for the command that runs the master" in done.stderr
