"""A machine behind ssh: small scripts in the place of ssh."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes.fleet.hosts import Host
from nodes.fleet.log_file import LogFile
from nodes.fleet.machine import Launch
from nodes.fleet.ssh_machine import NO_ANSWER, SshMachine
from tests.kit import poll_for

KEEPER = f"SSH_CONNECTION='10.0.0.1 5 10.0.0.2 22' exec {sys.executable} -P -m nodes.fleet.keeper"

OTHER_VERSION = f"""exec {sys.executable} -c '
import sys
from nodes.fleet.keeper.messages import Hello, write_frame
write_frame(sys.stdout.buffer, Hello("0.0.1", "", ""))
sys.stdin.read()
'"""


@contextmanager
def machine(folder: Path, script: str, silent_s: float = 8.0) -> Iterator[SshMachine]:
    """A machine that the script leads to."""
    ssh = folder / "ssh"
    ssh.write_text(f"#!/bin/sh\n{script}\n")
    ssh.chmod(0o700)
    host = Host("north", "ops@north", 2, "python3", "", "")
    made = SshMachine(host, config=None, token=lambda: "token", ssh=str(ssh), silent_s=silent_s)
    try:
        yield made
    finally:
        made.close()


def test_it_can_be_reached_and_knows_its_addresses(tmp_path: Path) -> None:
    with machine(tmp_path, KEEPER) as north:
        poll_for(lambda: not north.lost)
        assert (north.host, north.master) == ("10.0.0.2", "10.0.0.1")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'ops@north: Permission denied (publickey).' >&2; exit 255", "ssh is not let in"),
        ("exit 127", "python3 is not there"),
        ("echo 'python3: No module named nodes' >&2; exit 1", "has no Rollcall"),
        ("echo 'Welcome to north!'; cat", "something else than Rollcall speaks there"),
        (OTHER_VERSION, "it has Rollcall 0.0.1, and here is"),
    ],
)
def test_why_it_cannot_be_reached_is_said(tmp_path: Path, script: str, why: str) -> None:
    with machine(tmp_path, script) as north:
        poll_for(lambda: why in north.lost)
        with pytest.raises(ConnectionError):
            north.start(Launch("w1", (), "0" * 32), LogFile(tmp_path / "log"))


def test_no_ssh_at_all(tmp_path: Path) -> None:
    host = Host("north", "ops@north", 2, "python3", "", "")
    north = SshMachine(host, config=None, token=lambda: "token", ssh=str(tmp_path / "nowhere"))
    poll_for(lambda: north.lost.startswith("ssh cannot be started: "))
    north.close()


def test_workers_end_with_their_machine_and_it_comes_back(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with machine(tmp_path, f"echo $$ > {pid_file}\n{KEEPER}") as north:
        poll_for(lambda: not north.lost)
        arguments = ("worker", "0", "--master", "127.0.0.1:1", "--from-master")
        options = ("--secrets-from-stdin", "--log-level", "error")
        launch = Launch("w1", (*arguments, *options), "0" * 32)
        said = io.BytesIO()
        worker = north.start(launch, said)
        poll_for(lambda: worker.pid)
        # It is heard to get on, however little it is to log: one that is not is taken for stuck.
        poll_for(lambda: b"the catalog of 127.0.0.1:1: " in said.getvalue())
        north.tell_token("another")
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        ending = worker.wait(10.0)
        assert ending is not None
        assert ending.machine_lost
        assert ending.why.startswith("north is lost: ")
        poll_for(lambda: not north.lost)


def test_one_that_is_silent_is_given_up(tmp_path: Path) -> None:
    with machine(tmp_path, "sleep 60", silent_s=0.3) as north:
        poll_for(lambda: north.lost == NO_ANSWER)
