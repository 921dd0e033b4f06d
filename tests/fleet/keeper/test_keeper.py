"""The keeper, over a pipe, as ssh would carry it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import psutil
import pytest

from nodes.catalog import ensure_catalog
from nodes.fleet.keeper.__main__ import ssh_addresses
from nodes.fleet.keeper.messages import (
    MAX_FRAME_BYTES,
    Alive,
    BadFrameError,
    Ended,
    Hello,
    NotStarted,
    Output,
    Signal,
    Start,
    Started,
    WorkerReport,
    decode_order,
    decode_report,
    read_frame,
    write_frame,
)
from nodes.fleet.keeper.outbox import MAX_WAITING_OUTPUT_BYTES, Outbox
from nodes.fleet.keeper.process_table import ProcessTable
from nodes.fleet.keeper.session import KeeperSession
from nodes.fleet.log_file import LogFile
from nodes.fleet.machine import Launch
from nodes.security.credentials import worker_token
from nodes.support.paths import shipped_data
from nodes.support.version import VERSION
from nodes.wire import LauncherSecrets, decode_secrets, encode_secrets
from tests.kit import PATIENCE, master_alone, poll_for

ECHO = (sys.executable, "-c", "import sys\nfor line in sys.stdin: print(line, end='', flush=True)")


class Table:
    """A table of processes, and what it told."""

    def __init__(self, *program: str) -> None:
        self.told: list[WorkerReport] = []
        self.table = ProcessTable(self.told.append, program)

    def of(self, kind: type[WorkerReport]) -> list[WorkerReport]:
        """What it told of that kind."""
        return [one for one in self.told if isinstance(one, kind)]

    def printed(self) -> bytes:
        """What workers printed."""
        return b"".join(one.data for one in self.told if isinstance(one, Output))


def test_a_worker_is_started_told_signalled_and_its_end_is_told() -> None:
    made = Table(*ECHO)
    made.table.start(Start(7, (), b"secret\n"))
    poll_for(lambda: made.of(Output))
    made.table.tell(b"more\n")
    poll_for(lambda: made.printed() == b"secret\nmore\n")
    made.table.signal(Signal(7, signal.SIGKILL))
    made.table.signal(Signal(8, signal.SIGKILL))
    [ended] = poll_for(lambda: made.of(Ended))
    assert ended == Ended(7, -signal.SIGKILL)
    [started] = made.of(Started)
    assert isinstance(started, Started)
    assert not psutil.pid_exists(started.pid)
    made.table.tell(b"to nobody\n")


def test_what_cannot_be_started_is_told() -> None:
    made = Table("/nowhere/python")
    made.table.start(Start(1, (), b""))
    assert made.told == [NotStarted(1, "cannot be started: No such file or directory")]


def test_all_end_at_once_and_none_is_started_after() -> None:
    made = Table(*ECHO)
    made.table.start(Start(1, (), b""))
    made.table.end()
    poll_for(lambda: made.of(Ended))
    made.table.start(Start(2, (), b""))
    assert len(made.of(Started)) == 1


class Pipe(io.RawIOBase):
    """A pipe that takes nothing until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.taken = io.BytesIO()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        assert self.opened.wait(PATIENCE)
        return self.taken.write(data)


def test_output_that_nobody_takes_is_bounded_and_what_matters_is_not_lost() -> None:
    pipe = Pipe()
    outbox = Outbox(pipe)  # type: ignore[arg-type]
    part = bytes(16 << 10)
    for _ in range(1000):
        outbox.put(Output(1, part))
    outbox.put(Ended(1, 0))
    pipe.opened.set()
    outbox.close(PATIENCE)
    pipe.taken.seek(0)
    told = [decode_report(frame) for frame in iter(lambda: read_frame(pipe.taken), b"")]
    assert told[-1] == Ended(1, 0)
    assert len(told) - 1 == MAX_WAITING_OUTPUT_BYTES // len(part)


@pytest.mark.parametrize(
    "head", [bytes(4), (MAX_FRAME_BYTES + 1).to_bytes(4, "big"), b"Welc", b"\xff\xff\xff\xff"]
)
def test_what_is_no_frame_is_told_from_one(head: bytes) -> None:
    with pytest.raises(BadFrameError):
        read_frame(io.BytesIO(head + b"ome"))
    assert read_frame(io.BytesIO(b"\0\0\0\5abc")) == b""


@pytest.mark.parametrize(
    ("environment", "addresses"),
    [
        ("10.0.0.1 51000 10.0.0.2 22", ("10.0.0.2", "10.0.0.1")),
        ("2001:db8::1 51000 2001:db8::2 22", ("2001:db8::2", "2001:db8::1")),
        ("", ("", "")),
        ("nonsense", ("", "")),
    ],
)
def test_the_addresses_that_ssh_tells(environment: str, addresses: tuple[str, str]) -> None:
    assert ssh_addresses(environment) == addresses


@pytest.fixture
def keeper() -> Iterator[subprocess.Popen[bytes]]:
    """A keeper of its own process."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "nodes.fleet.keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "SSH_CONNECTION": "10.0.0.1 51000 10.0.0.2 22"},
    ) as process:
        yield process
        process.kill()


def test_a_keeper_says_hello_and_that_it_is_alive_and_ends_with_its_input(
    keeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    hello = decode_report(read_frame(keeper.stdout))
    assert hello == Hello(VERSION, "10.0.0.2", "10.0.0.1")
    write_frame(keeper.stdin, Alive())
    assert decode_report(read_frame(keeper.stdout)) == Alive()
    # A worker that waits for a master that is not there.
    arguments = ("worker", "0", "--master", "127.0.0.1:1", "--from-master", "--secrets-from-stdin")
    secrets = msgspec.json.encode(LauncherSecrets("token", "0" * 32)) + b"\n"
    write_frame(keeper.stdin, Start(1, arguments, secrets))
    started = decode_report(read_frame(keeper.stdout))
    assert isinstance(started, Started)
    worker = psutil.Process(started.pid)
    write_frame(keeper.stdin, Signal(1, signal.SIGSTOP))
    poll_for(lambda: worker.status() == psutil.STATUS_STOPPED)
    keeper.stdin.close()
    assert keeper.wait(PATIENCE) == 0
    poll_for(lambda: not worker.is_running())


def test_a_worker_that_is_told_to_leave_ends_well(keeper: subprocess.Popen[bytes]) -> None:
    """While a thread of it still reads its standard input, which is the keeper's to end."""
    assert keeper.stdin is not None
    said = keeper.stdout
    assert said is not None
    catalog = ensure_catalog(shipped_data(), skip_bad=False).path
    with master_alone() as master:
        arguments = ["worker", "0", "--master", str(master.address), "--catalog", catalog]
        secrets = encode_secrets(LauncherSecrets(worker_token() or "", "0" * 32))
        arguments.append("--secrets-from-stdin")
        write_frame(keeper.stdin, Start(1, tuple(arguments), secrets))
        poll_for(lambda: [view.state for view in master.snapshot().workers] == ["up"])
        write_frame(keeper.stdin, Signal(1, signal.SIGTERM))
        reports = iter(lambda: decode_report(read_frame(said)), None)
        assert next(one for one in reports if isinstance(one, Ended)) == Ended(1, 0)


def test_a_keeper_that_is_killed_takes_even_a_frozen_worker_with_it(
    keeper: subprocess.Popen[bytes],
) -> None:
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    assert isinstance(decode_report(read_frame(keeper.stdout)), Hello)
    arguments = ("worker", "0", "--master", "127.0.0.1:1", "--from-master", "--secrets-from-stdin")
    secrets = msgspec.json.encode(LauncherSecrets("token", "0" * 32)) + b"\n"
    write_frame(keeper.stdin, Start(1, arguments, secrets))
    started = decode_report(read_frame(keeper.stdout))
    assert isinstance(started, Started)
    worker = psutil.Process(started.pid)
    poll_for(lambda: len(worker.cmdline()) > 3)
    write_frame(keeper.stdin, Signal(1, signal.SIGSTOP))
    poll_for(lambda: worker.status() == psutil.STATUS_STOPPED)
    keeper.kill()
    keeper.wait(PATIENCE)
    poll_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


class Ends:
    """A keeper's end of a pipe, in this process."""

    def __init__(self) -> None:
        here, there = os.pipe()
        self.orders: IO[bytes] = os.fdopen(here, "rb")
        self._pipe: IO[bytes] = os.fdopen(there, "wb")
        self.session = KeeperSession(self._pipe, lambda: None)

    def close(self) -> None:
        """Ends both."""
        self.session.lose("the test is over")
        self.orders.close()
        self._pipe.close()


def test_a_session_knows_its_workers_until_it_is_lost(tmp_path: Path) -> None:
    ends = Ends()
    log = LogFile(tmp_path / "log")
    one = ends.session.start(Launch("w1", ("worker",), "1" * 32), log, "token")
    two = ends.session.start(Launch("w2", ("worker",), "2" * 32), log, "token")
    start = decode_order(read_frame(ends.orders))
    assert isinstance(start, Start)
    assert start.arguments == ("worker",)
    assert decode_secrets(start.secrets) == LauncherSecrets("token", "1" * 32)
    assert isinstance(decode_order(read_frame(ends.orders)), Start)
    ends.session.take(Started(start.key, 4711))
    assert one.pid == 4711
    ends.session.take(Output(start.key, b"said\n"))
    one.signal(signal.SIGTERM)
    assert decode_order(read_frame(ends.orders)) == Signal(start.key, signal.SIGTERM)
    assert one.wait(0.0) is None
    ends.session.take(Ended(start.key, -signal.SIGKILL))
    ended = one.wait(0.0)
    assert ended is not None
    assert (ended.why, ended.machine_lost) == ("killed by SIGKILL", False)
    ends.session.take(Ended(99, 0))
    ends.session.lose("m1 is lost: it does not answer")
    lost = two.wait(0.0)
    assert lost is not None
    assert (lost.why, lost.machine_lost) == ("m1 is lost: it does not answer", True)
    late = ends.session.start(Launch("w3", ("worker",), "3" * 32), log, "token").wait(0.0)
    log.close()
    assert late == lost
    assert (tmp_path / "log").read_bytes() == b"said\n"
    ends.close()
