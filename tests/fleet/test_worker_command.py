"""What a worker is started with, by the machine that it is to run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.cli.log_options import workers_log_options
from nodes.fleet.local_machine import LocalMachine
from nodes.fleet.machine import Launch, RunningWorker, Sink
from nodes.fleet.worker_command import worker_command
from nodes.support.addresses import Address

HERE = "--catalog /c.db --leave-with-stdin"
THERE = "--from-master --secrets-from-stdin"
LOOPBACK, OPEN, WILDCARD = (Address(host, 23000) for host in ("127.0.0.1", "10.0.0.1", "0.0.0.0"))


class Elsewhere:
    """Another machine."""

    name, room, host, lost = "north", 4, "10.0.0.9", ""

    def __init__(self, *, tls: str = "", master: str = "") -> None:
        self.tls, self.master = tls, master

    def start(self, launch: Launch, output: Sink) -> RunningWorker:
        """Nothing is started there."""
        raise ConnectionError


@pytest.mark.parametrize(
    ("machine", "master", "tls", "expected"),
    [
        (LocalMachine(), LOOPBACK, "", f"127.0.0.1 --master 127.0.0.1:23000 {HERE}"),
        (LocalMachine(), LOOPBACK, "/t", f"127.0.0.1 --master 127.0.0.1:23000 {HERE} --tls /t"),
        (LocalMachine(), WILDCARD, "", f"127.0.0.1 --master 127.0.0.1:23000 {HERE}"),
        (Elsewhere(), OPEN, "", f"10.0.0.9 --master 10.0.0.1:23000 {THERE} --insecure"),
        (Elsewhere(tls="/e"), OPEN, "/t", f"10.0.0.9 --master 10.0.0.1:23000 {THERE} --tls /e"),
        (
            Elsewhere(master="10.0.0.7"),
            WILDCARD,
            "",
            f"10.0.0.9 --master 10.0.0.7:23000 {THERE} --insecure",
        ),
    ],
)
@pytest.mark.parametrize(
    ("level", "form", "logs"),
    [
        (None, None, ""),
        ("warning", None, " --log-level warning"),
        (None, "json", " --log-format json"),
        ("debug", "text", " --log-level debug --log-format text"),
    ],
)
def test_workers_log_alike_on_whatever_machine(
    machine: LocalMachine | Elsewhere,
    master: Address,
    tls: str,
    expected: str,
    level: str | None,
    form: str | None,
    logs: str,
) -> None:
    command = worker_command(
        "w1",
        machine,
        master=master,
        catalog="/c.db",
        tls=Path(tls) if tls else None,
        log_options=workers_log_options(level, form),
    )
    assert " ".join(command) == f"worker 0 --host {expected}{logs} --id w1"
