"""`rollcall` where there is no terminal: the same cluster, without a screen."""

from __future__ import annotations

import signal
from pathlib import Path

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
