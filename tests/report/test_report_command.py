"""`report` of a real cluster, here or elsewhere: its page, and what it cannot tell.

That it says what `ps` says, and what clients counted, is in `tests.monitoring.test_agreement`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nodes.cli import cli
from nodes.client.blocking import Client
from nodes.master.journal_file import journal_file
from nodes.security.tokens import read_token
from nodes.support.addresses import parse_address
from tests.kit import Node, hosted, run_nodes
from tests.report.kit import Tags, snapshot
from tests.report.test_gather import write_journal


def run(*args: str) -> Result:
    """Runs a command in this process."""
    return CliRunner().invoke(cli, args)


def test_the_page_of_a_cluster_shows_text_as_text_and_no_secret(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with hosted(1) as cluster, Client(cluster.address) as client:
        client.getbyname("<b>nobody</b>")
        done = run("report", "--master", cluster.address, "--since", "5m", "-o", str(page))
    assert (done.exit_code, done.output) == (0, f"{page}\n")
    drawn = page.read_text()
    assert "<b>nobody</b>" in Tags(drawn).text and "<b>nobody" not in drawn
    assert str(read_token()) not in drawn and str(Path.home()) not in drawn


@pytest.mark.long
def test_a_master_elsewhere_is_asked(tmp_path: Path) -> None:
    """One whose files are not to be had here: another state, but the same token."""
    env = {"ROLLCALL_STATE": str(tmp_path / "elsewhere"), "ROLLCALL_TOKEN_FILE": ""}
    given = ("--watch", "--workers-from", "10.1.0.0/16")
    with Node("up", "--workers", "1", "--port", "0", "--json", *given, env=env) as node:
        address = str(node.ready["master"])
        token = tmp_path / "elsewhere" / "token"
        # Somebody had that port here once: that is not what is asked for.
        write_journal(journal_file(parse_address(address).port), [snapshot(1)])
        with Client(address) as client:
            for _ in range(20):
                client.getbyname("xander")
        done = run_nodes(
            *("report", "--master", address, "--since", "1m", "-o", "-"),
            env={"ROLLCALL_TOKEN_FILE": str(token)},
        )
    assert done.returncode == 0, done.stderr
    shown = Tags(done.stdout).text
    assert f"what the master at {address} tells" in shown and "OUTAGE" not in shown
    assert "options--workers 1, --port 0, --watch, --workers-from 10.1.0.0/16" in shown


def test_what_cannot_be_told_says_what_to_do(tmp_path: Path) -> None:
    nobody = run("report", "--master", "127.0.0.1:1", "-o", str(tmp_path / "x"))
    assert nobody.exit_code == 2 and "127.0.0.1:1" in nobody.stderr
    missing = run("report", "--file", str(tmp_path / "none"), "-o", str(tmp_path / "x"))
    assert missing.exit_code == 2 and "there is no recording" in missing.stderr
    assert run("report", "--since", "1x").exit_code == 2
    assert not (tmp_path / "x").exists()
