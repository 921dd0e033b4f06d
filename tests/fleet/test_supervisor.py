"""Local workers, kept alive: small Python processes in their place."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from nodes.errors import NotPossible, UnknownWorker
from nodes.fleet.process import Phase
from nodes.fleet.supervisor import Supervisor
from nodes.wire import INSTANCE_VARIABLE
from tests.kit import kill_process, poll_for

LEAVES = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("here", flush=True)
while sys.stdin.read(1): pass
"""
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("here", flush=True)
while sys.stdin.read(1): pass
"""
DIES = "print('oh no'); raise SystemExit(3)"


class WorkerObserver:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.given = 0
        self.released: list[str] = []
        self.ended: list[str] = []
        self.drained: list[str] = []
        self.dismissed: list[str] = []
        self.notes: list[tuple[str, str]] = []

    def reserve(self) -> str:
        with self.lock:
            self.given += 1
            return f"w{self.given}"

    def release(self, worker_id: str) -> None:
        self.released.append(worker_id)

    def exited(self, instance: str, why: str) -> None:
        del instance
        self.ended.append(why)

    def dismiss(self, worker_id: str) -> None:
        self.dismissed.append(worker_id)

    def draining(self, worker_id: str, why: str) -> None:
        del why
        self.drained.append(worker_id)

    def note(self, kind: str, worker_id: str, text: str) -> None:
        del text
        self.notes.append((kind, worker_id))


@contextmanager
def fleet(
    folder: Path, code: str = LEAVES, patience: float = 5.0
) -> Iterator[tuple[Supervisor, WorkerObserver]]:
    """A fleet of processes that run `code`."""
    host = WorkerObserver()
    made = Supervisor(observer=host, command=lambda _id: ["-c", code], logs=folder)
    try:
        yield made, host
    finally:
        made.stop(patience)
        assert made.children() == []


def started(made: Supervisor, worker_id: str) -> bool:
    """Whether that child's process has said that it is there."""
    log = made.log_file(worker_id)
    return log.exists() and "here" in log.read_text()


def pid_of(made: Supervisor, worker_id: str) -> int:
    """The child's process, 0 while it has none."""
    return next((view.pid for view in made.children() if view.id == worker_id), 0)


def instance_of(made: Supervisor, worker_id: str) -> str:
    """The secret that the child's process was given, once it has begun its own life."""
    process = psutil.Process(pid_of(made, worker_id))
    return poll_for(lambda: process.environ().get(INSTANCE_VARIABLE, ""))


def test_one_that_dies_is_started_again_and_one_that_is_killed_is_not(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, host):
        assert made.spawn(2) == ["w1", "w2"]
        poll_for(lambda: started(made, "w1") and started(made, "w2"))
        pid = pid_of(made, "w1")
        kill_process(pid)
        poll_for(lambda: pid_of(made, "w1") not in (0, pid))
        assert host.ended[0].startswith("killed by SIGKILL")
        assert made.children()[0].restarts == 1
        made.kill("w2")
        assert host.dismissed == ["w2"], "before it ends, so that no lookup is blamed for it"
        poll_for(lambda: not made.owns("w2"))
        assert made.wanted == 1
        assert host.released == ["w2"]


def test_drain_lets_it_leave_and_restart_brings_it_back(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, host):
        made.spawn(2)
        poll_for(lambda: started(made, "w1") and started(made, "w2"))
        made.drain("w1")
        poll_for(lambda: not made.owns("w1"))
        pid = pid_of(made, "w2")
        made.restart("w2")
        poll_for(lambda: pid_of(made, "w2") not in (0, pid))
        assert host.drained == ["w1", "w2"]
        assert [why.partition(";")[0] for why in host.ended] == ["exited with status 0"] * 2


def test_one_that_dies_at_start_is_crash_looping_until_an_operator_restarts_it(
    tmp_path: Path,
) -> None:
    with fleet(tmp_path, DIES) as (made, host):
        made.spawn(1)
        poll_for(lambda: made.children()[0].phase is Phase.CRASH_LOOPING)
        assert len(host.ended) == 6
        assert made.children()[0].why.startswith("exited with status 3; its log ends: oh no")
        assert not made.expecting()
        end, text = made.log("w1")
        assert (end, text) == (36, "oh no\n" * 6)
        made.restart("w1")
        poll_for(lambda: len(host.ended) == 12)
        assert host.notes.count(("crash_looping", "w1")) >= 1


def test_scale_up_and_down(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, _host):
        assert made.scale(3) == "started w1, w2, w3"
        assert made.scale(3) == "there are 3 already"
        poll_for(lambda: all(started(made, f"w{n}") for n in (1, 2, 3)))
        assert made.scale(1) == "draining w2, w3"
        poll_for(lambda: [view.id for view in made.children()] == ["w1"])
        with pytest.raises(NotPossible, match="256"):
            made.scale(300)


def test_a_stop_ends_even_those_that_do_not_listen(tmp_path: Path) -> None:
    with fleet(tmp_path, STUBBORN, patience=0.1) as (made, _host):
        made.spawn(2)
        poll_for(lambda: started(made, "w1") and started(made, "w2"))
        pids = [view.pid for view in made.children()]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(NotPossible, match="stopping"):
        made.spawn(1)


def test_a_frozen_one_goes_on_and_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, _host):
        made.spawn(1)
        poll_for(lambda: started(made, "w1"))
        process = psutil.Process(pid_of(made, "w1"))
        made.freeze("w1")
        poll_for(lambda: process.status() == psutil.STATUS_STOPPED)
        assert made.children()[0].frozen
        made.thaw("w1")
        poll_for(lambda: process.status() != psutil.STATUS_STOPPED)
        made.freeze("w1")
    assert not process.is_running()


def test_an_id_is_kept_for_the_process_that_was_started_for_it(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, _host):
        made.spawn(1)
        poll_for(lambda: pid_of(made, "w1"))
        assert made.expecting()
        assert not made.may_have_id("w1", "0" * 32), "whatever its pid is where it runs"
        assert made.may_have_id("north", "0" * 32)
        assert made.may_have_id("w1", instance_of(made, "w1"))
        assert made.children()[0].phase is Phase.RUNNING
        assert not made.expecting()


def test_what_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, _host):
        for steer in (made.kill, made.drain, made.restart, made.freeze, made.thaw, made.log):
            with pytest.raises(UnknownWorker):
                steer("w9")
        with pytest.raises(UnknownWorker):
            made.log("../../etc/passwd")


def test_one_that_never_becomes_ready_is_ended_and_its_last_words_are_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodes.fleet.lifecycle.START_TIME", 0.3)
    with fleet(tmp_path, STUBBORN) as (made, host):
        made.spawn(1)
        poll_for(lambda: host.ended)
        assert host.ended[0] == "was not ready within 0.3 s, and was ended; its log ends: here"


def test_one_that_registered_may_take_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodes.fleet.lifecycle.START_TIME", 2.0)
    with fleet(tmp_path) as (made, host):
        made.spawn(1)
        poll_for(lambda: pid_of(made, "w1"))
        began = made.children()[0].since
        assert made.may_have_id("w1", instance_of(made, "w1"))
        poll_for(lambda: time.monotonic() > began + 2.2)
        assert host.ended == []


LAUNCHER = """
import sys, threading
from pathlib import Path
from nodes.fleet.supervisor import Supervisor
from tests.fleet.test_supervisor import WorkerObserver, LEAVES, pid_of
observer = WorkerObserver()
fleet = Supervisor(observer=observer, command=lambda _id: ["-c", LEAVES], logs=Path(sys.argv[1]))
fleet.spawn(1)
while not (pid := pid_of(fleet, "w1")): pass
fleet.freeze("w1")
print(pid, flush=True)
threading.Event().wait()
"""


def test_a_frozen_one_does_not_outlive_its_launcher(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        worker = psutil.Process(int(launcher.stdout.readline()))
        poll_for(lambda: worker.status() == psutil.STATUS_STOPPED)
        launcher.kill()
    poll_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
