"""Local workers, kept alive: small Python processes in their place."""

from __future__ import annotations

import functools
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psutil
import pytest

from nodes.errors import NotPossible, UnknownWorker
from nodes.fleet import log_file
from nodes.fleet.local_machine import LocalMachine, LocalMachines
from nodes.fleet.restarts import Restarts
from nodes.fleet.supervisor import Supervisor
from nodes.master.events import EventLog
from nodes.master.fleet_reports import FleetReports
from nodes.master.membership import Membership
from nodes.master.worker_orders import WorkerOrders
from nodes.routing import (
    POLICIES,
    LocalWorker,
    Phase,
    ProcessChange,
    ProcessEvent,
    Worker,
)
from nodes.support.addresses import Address
from nodes.transport import LoopThread
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


class Observer(FleetReports):
    """The membership that a fleet reports to, and what it was told."""

    def __init__(self) -> None:
        self.loop = LoopThread("observer")
        self.loop.start()
        self.executor = ThreadPoolExecutor(1)
        self.membership = Membership(
            policy=POLICIES["load"],
            events=EventLog(),
            description=None,
            random=Random(1),
            loop=self.loop.loop,
            executor=self.executor,
        )
        super().__init__(self.membership, WorkerOrders(self.membership), self.loop)
        self.membership.registry.local.supervised = True
        self.told: list[ProcessEvent] = []
        self.released: list[str] = []
        self.notes: list[tuple[str, str]] = []
        self._ports = itertools.count(1)

    def release(self, worker_id: str) -> None:
        self.released.append(worker_id)
        super().release(worker_id)

    def report(self, event: ProcessEvent) -> None:
        self.told.append(event)  # first: who polls for what follows from it then looks here
        super().report(event)

    def note(self, kind: str, worker_id: str, text: str) -> None:
        del text
        self.notes.append((kind, worker_id))

    def ends(self) -> list[str]:
        """How processes ended, in order."""
        ended = (ProcessChange.EXITED, ProcessChange.EXITED_TOO_OFTEN)
        return [event.why for event in self.told if event.change in ended]

    def changes(self, worker_id: str) -> list[ProcessChange]:
        """What happened to the processes of that worker."""
        return [event.change for event in self.told if event.worker_id == worker_id]

    def workers(self) -> list[str]:
        """The local workers, by id."""
        return self.loop.call(list, self.membership.registry.local)

    def worker(self, worker_id: str) -> LocalWorker:
        """What is known of that local worker."""
        local = self.membership.registry.local.get(worker_id)
        assert local is not None
        return local

    def register(self, wanted_id: str, instance: str) -> Worker:
        """The process of that instance registers."""
        register = functools.partial(
            self.membership.registry.register,
            wanted_id=wanted_id,
            instance=instance,
            address=Address("127.0.0.1", next(self._ports)),
            pid=1,
            version="v",
            now=time.monotonic(),
        )
        return self.loop.call(register)

    def close(self) -> None:
        """Ends its threads."""
        self.executor.shutdown()
        self.loop.stop()


@contextmanager
def fleet(
    folder: Path, code: str = LEAVES, patience: float = 5.0, start_timeout_s: float = 10.0
) -> Iterator[tuple[Supervisor, Observer]]:
    """A fleet of processes that run `code`."""
    observer = Observer()
    made = Supervisor(
        observer=observer,
        command=lambda _id, _machine: ["-c", code],
        logs=folder,
        machines=LocalMachines(LocalMachine(program=[sys.executable])),
        start_timeout_s=start_timeout_s,
    )
    try:
        yield made, observer
    finally:
        made.stop(patience)
        assert observer.workers() == []
        observer.close()


def started(made: Supervisor, worker_id: str) -> bool:
    """Whether that child's process has said that it is there."""
    log = made.log_file(worker_id)
    return log.exists() and "here" in log.read_text()


def pid_of(observer: Observer, worker_id: str) -> int:
    """The process of that worker, 0 while it has none."""
    local = observer.membership.registry.local.get(worker_id)
    return 0 if local is None else local.pid


def instance_of(observer: Observer, worker_id: str) -> str:
    """The secret that the worker's process was given, once it has begun its own life."""
    process = psutil.Process(pid_of(observer, worker_id))
    return poll_for(lambda: process.environ().get(INSTANCE_VARIABLE, ""))


def test_one_that_dies_is_started_again_and_one_that_is_killed_is_not(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, observer):
        assert made.spawn(2) == ["w1", "w2"]
        poll_for(lambda: started(made, "w1") and started(made, "w2"))
        pid = pid_of(observer, "w1")
        kill_process(pid)
        poll_for(lambda: pid_of(observer, "w1") not in (0, pid))
        assert observer.ends()[0].startswith("killed by SIGKILL")
        assert observer.worker("w1").restarts == 1
        made.kill("w2")
        poll_for(lambda: observer.workers() == ["w1"])
        killed, exited = observer.changes("w2")[-2:]
        assert killed is ProcessChange.KILLED, "told first, so that no lookup is blamed for it"
        assert exited is ProcessChange.EXITED
        assert observer.membership.registry.local.wanted == 1
        assert observer.released == ["w2"]


def test_drain_lets_it_leave_and_restart_brings_it_back(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, observer):
        made.spawn(2)
        poll_for(lambda: started(made, "w1") and started(made, "w2"))
        made.drain("w1")
        poll_for(lambda: observer.workers() == ["w2"])
        pid = pid_of(observer, "w2")
        made.restart("w2")
        poll_for(lambda: pid_of(observer, "w2") not in (0, pid))
        assert ProcessChange.ASKED_TO_LEAVE in observer.changes("w1")
        assert ProcessChange.REPLACED in observer.changes("w2")
        assert [why.partition(";")[0] for why in observer.ends()] == ["exited with status 0"] * 2


def test_one_that_dies_at_start_is_crash_looping_until_an_operator_restarts_it(
    tmp_path: Path,
) -> None:
    with fleet(tmp_path, DIES) as (made, observer):
        made.spawn(1)
        poll_for(lambda: observer.worker("w1").phase is Phase.CRASH_LOOPING)
        assert len(observer.ends()) == 6
        assert observer.worker("w1").why.startswith("exited with status 3; its log ends: oh no")
        assert not observer.membership.expecting()
        assert observer.worker("w1").why.count("oh no") == 1, "of its last run alone"
        _, text = made.log("w1")
        run = r"--- [-\d]+ [:\d]+ started ---\noh no\n--- [-\d]+ [:\d]+ exited with status 3 ---\n"
        assert re.fullmatch(f"({run}){{6}}", text)
        made.restart("w1")
        poll_for(lambda: len(observer.ends()) == 12)
        assert observer.notes.count(("crash_looping", "w1")) >= 1


def test_one_that_died_too_often_is_tried_again_by_itself_and_it_is_said_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Restarts, "FIRST_RETRY_S", 0.5)
    monkeypatch.setattr(Restarts, "STEP_S", 0.0)
    marker = tmp_path / "well"
    code = f"import os; os.path.exists({str(marker)!r}) or exit(3)\n{LEAVES}"
    with fleet(tmp_path, code) as (made, observer):
        made.spawn(1)
        poll_for(lambda: observer.worker("w1").phase is Phase.CRASH_LOOPING)
        assert 0.0 < observer.worker("w1").next_at - time.monotonic() <= 0.5
        poll_for(lambda: len(observer.ends()) == 7, what="it was tried again, to no avail")
        marker.touch()
        poll_for(lambda: started(made, "w1"))
        assert pid_of(observer, "w1")


def test_without_a_log_a_worker_lives_all_the_same(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.write_text("a file where the folder should be")
    with fleet(logs) as (made, observer):
        made.spawn(1)
        pid = poll_for(lambda: pid_of(observer, "w1"))
        kill_process(pid)
        poll_for(lambda: pid_of(observer, "w1") not in (0, pid))
        poll_for(lambda: made.log_trouble)
        assert observer.notes.count(("output_dropped", "")) == 1
        assert ("crash_looping", "w1") not in observer.notes
        logs.unlink()
        poll_for(lambda: instance_of(observer, "w1"))
        poll_for(lambda: made._logs.printed("w1") > 100)
        made._logs.look()
    assert observer.ends()[0].startswith("killed by SIGKILL")


CHATTY = f"""
import sys
for number in range(40_000):
    print(f"line {{number}}", "x" * 100)
print("the last", flush=True)
{LEAVES}
"""


def test_a_worker_that_prints_much_fills_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "MAX_LOG_BYTES", 300_000)
    most = 0
    with fleet(tmp_path, CHATTY) as (made, _observer):

        def has_said_all() -> bool:
            nonlocal most
            most = max(most, sum(path.stat().st_size for path in tmp_path.glob("*.log*")))
            return made._logs.last_words("w1").endswith("here")

        made.spawn(1)
        poll_for(has_said_all)
        assert "the last" in made.log("w1")[1]
    assert 300_000 < most <= 600_000


def test_scale_up_and_down(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, observer):
        assert made.scale(3) == "started w1, w2, w3"
        assert made.scale(3) == "there are 3 already"
        poll_for(lambda: all(started(made, f"w{n}") for n in (1, 2, 3)))
        assert made.scale(1) == "draining w2, w3"
        poll_for(lambda: observer.workers() == ["w1"])
        with pytest.raises(NotPossible, match="256"):
            made.scale(300)
        assert observer.workers() == ["w1"]


def test_a_stop_ends_even_those_that_do_not_listen(tmp_path: Path) -> None:
    with fleet(tmp_path, STUBBORN, patience=0.1) as (made, observer):
        made.spawn(2)
        poll_for(lambda: started(made, "w1") and started(made, "w2"))
        pids = [pid_of(observer, worker_id) for worker_id in observer.workers()]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(NotPossible, match="stopping"):
        made.spawn(1)


def test_a_frozen_one_goes_on_and_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, observer):
        made.spawn(1)
        poll_for(lambda: started(made, "w1"))
        process = psutil.Process(pid_of(observer, "w1"))
        made.freeze("w1")
        poll_for(lambda: process.status() == psutil.STATUS_STOPPED)
        assert observer.worker("w1").frozen
        made.thaw("w1")
        poll_for(lambda: process.status() != psutil.STATUS_STOPPED)
        assert not observer.worker("w1").frozen
        made.freeze("w1")
    assert not process.is_running()


def test_one_that_is_gone_is_started_again_under_its_id(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, observer):
        made.spawn(2)
        poll_for(lambda: started(made, "w1") and started(made, "w2"))
        with pytest.raises(NotPossible, match="w1 is not gone"):
            made.again("w1")
        pid = pid_of(observer, "w1")
        made.kill("w1")
        poll_for(lambda: observer.released == ["w1"])
        assert poll_for(lambda: _again(made, "w1")) == "w1 starts again"
        poll_for(lambda: pid_of(observer, "w1") not in (0, pid))
        assert sorted(observer.workers()) == ["w1", "w2"]
        assert observer.notes.count(("spawned", "w1")) == 2
        with pytest.raises(NotPossible, match="w1 is not gone"):
            made.again("w1")
        made.drain("w2")
        poll_for(lambda: observer.released == ["w1", "w2"])
        observer.register("w2", "0" * 32)
        poll_for(lambda: "w2" in made._gone)
        with pytest.raises(NotPossible, match="another worker is w2 by now"):
            made.again("w2")


def _again(made: Supervisor, worker_id: str) -> str:
    """Starts it again, as soon as it is gone."""
    try:
        return made.again(worker_id)
    except NotPossible:
        return ""


@pytest.mark.long
def test_one_that_died_too_often_is_started_again_as_well(tmp_path: Path) -> None:
    with fleet(tmp_path, DIES) as (made, observer):
        made.spawn(1)
        poll_for(lambda: observer.worker("w1").phase is Phase.CRASH_LOOPING)
        assert made.again("w1") == "w1 restarts"
        poll_for(lambda: len(observer.ends()) == 12)


def test_an_id_is_kept_for_the_process_that_was_started_for_it(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, observer):
        assert observer.membership.expecting(), "a fleet is about to start its first worker"
        made.spawn(1)
        poll_for(lambda: pid_of(observer, "w1"))
        assert observer.membership.expecting()
        assert observer.register("w1", "0" * 32).id == "w2", "whatever its pid is where it runs"
        assert observer.register("north", "1" * 32).id == "north"
        assert observer.register("w1", instance_of(observer, "w1")).id == "w1"
        assert observer.worker("w1").phase is Phase.RUNNING
        assert not observer.membership.expecting()


def test_what_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    with fleet(tmp_path) as (made, _observer):
        for steer in (
            made.kill,
            made.drain,
            made.restart,
            made.freeze,
            made.thaw,
            made.again,
            made.log,
        ):
            with pytest.raises(UnknownWorker):
                steer("w9")
        with pytest.raises(UnknownWorker):
            made.log("../../etc/passwd")


def test_one_that_never_becomes_ready_is_ended_and_its_last_words_are_the_reason(
    tmp_path: Path,
) -> None:
    said = re.compile(r"was not ready within [\d.]+ s, and was ended; its log ends: here")
    with fleet(tmp_path, STUBBORN, start_timeout_s=1.0) as (made, observer):
        made.spawn(1)
        # The first may be ended before it has said anything, on a machine that is busy.
        poll_for(lambda: any(map(said.fullmatch, observer.ends())))


@pytest.mark.long
def test_one_that_registered_may_take_its_time(tmp_path: Path) -> None:
    with fleet(tmp_path, start_timeout_s=2.0) as (made, observer):
        made.spawn(1)
        poll_for(lambda: pid_of(observer, "w1"))
        began = observer.worker("w1").since
        observer.register("w1", instance_of(observer, "w1"))
        poll_for(lambda: time.monotonic() > began + 2.2)
        assert observer.ends() == []


LAUNCHER = """
import sys, threading
from pathlib import Path
from nodes.fleet.local_machine import LocalMachine, LocalMachines
from nodes.fleet.restarts import Restarts
from nodes.fleet.supervisor import Supervisor
from tests.fleet.test_supervisor import Observer, LEAVES, pid_of
observer = Observer()
fleet = Supervisor(
    observer=observer,
    command=lambda _id, _machine: ["-c", LEAVES],
    logs=Path(sys.argv[1]),
    machines=LocalMachines(LocalMachine(program=[sys.executable])),
)
fleet.spawn(1)
while not (pid := pid_of(observer, "w1")): pass
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
