"""Workers on several machines, which are lost and come back: this one, under several names."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes.errors import BadRequest, NotPossible
from nodes.fleet.local_machine import LocalMachine
from nodes.fleet.machine import Ability, Ending, Launch, RunningWorker, Sink
from nodes.fleet.machine_states import MachineChange, MachineStates
from nodes.fleet.placer import Placer
from nodes.fleet.process import WorkerProcess
from nodes.fleet.supervisor import Supervisor
from nodes.routing import Phase
from tests.fleet.test_supervisor import LEAVES, Observer, instance_of, pid_of
from tests.kit import poll_for


class Losable:
    """A machine that can be lost, and all that runs there with it."""

    host = tls = master = ""

    def __init__(self, name: str, room: int) -> None:
        self.name = name
        self.room = room
        self.lost = ""
        self._here = LocalMachine(name, room, program=[sys.executable])
        self._processes: list[OnLosable] = []

    def start(self, launch: Launch, output: Sink) -> RunningWorker:
        """As here, unless it is lost."""
        if self.lost:
            raise ConnectionError(self.lost)
        process = OnLosable(self, self._here.start(launch, output))
        self._processes.append(process)
        return process

    def lose(self) -> None:
        """It is gone."""
        self.lost = "it does not answer"
        for process in self._processes:
            process.signal(signal.SIGKILL)


class OnLosable:
    """A process there."""

    def __init__(self, machine: Losable, process: RunningWorker) -> None:
        self._machine = machine
        self._process = process
        self.pid = process.pid
        self.signal = process.signal
        self.close = process.close

    def wait(self, timeout_s: float | None = None) -> Ending | None:
        """How it ended: with its machine, if that is lost."""
        ending = self._process.wait(timeout_s)
        if ending is None or not self._machine.lost:
            return ending
        return Ending(self._machine.lost, machine_lost=True)


class Several:
    """Machines of a test."""

    abilities = frozenset(Ability)

    def __init__(self, *machines: Losable) -> None:
        self._machines = machines

    def all(self) -> Sequence[Losable]:
        """All of them."""
        return self._machines

    def close(self) -> None:
        """Nothing is left."""


@contextmanager
def placed(folder: Path, *machines: Losable) -> Iterator[tuple[Supervisor, Observer]]:
    """A fleet on those machines."""
    observer = Observer()
    made = Supervisor(
        observer=observer,
        command=lambda _id, _machine: ["-c", LEAVES],
        logs=folder,
        machines=Several(*machines),
    )
    try:
        yield made, observer
    finally:
        made.stop(5.0)
        observer.close()


def machine_of(observer: Observer, worker_id: str) -> str:
    """Where that worker is, or was."""
    return observer.worker(worker_id).machine


def runs_on(observer: Observer, worker_id: str, machine: str) -> bool:
    """Whether that worker has a process there."""
    return bool(pid_of(observer, worker_id)) and machine_of(observer, worker_id) == machine


def register(observer: Observer, worker_id: str) -> None:
    """The present process of that worker registers."""
    poll_for(lambda: pid_of(observer, worker_id))
    observer.register(worker_id, instance_of(observer, worker_id))


def test_spawn_says_where_and_the_rest_goes_where_most_room_is(tmp_path: Path) -> None:
    with placed(tmp_path, Losable("a", 2), Losable("b", 3)) as (made, observer):
        assert made.spawn(1, "a") == ["w1"]
        made.spawn(2)
        poll_for(lambda: all(pid_of(observer, one) for one in ("w1", "w2", "w3")))
        assert machine_of(observer, "w1") == "a"
        assert [one.workers for one in made.machines()] == [1, 2]
        with pytest.raises(NotPossible, match="a has room for 1 more, not for 2"):
            made.spawn(2, "a")
        with pytest.raises(BadRequest, match="no machine is called 'c'; there are a, b"):
            made.spawn(1, "c")


def test_one_that_is_still_to_be_placed_has_its_room() -> None:
    machines = Several(Losable("a", 2), Losable("b", 3))
    workers = {"w1": WorkerProcess("w1", "a"), "w2": WorkerProcess("w2"), "w3": WorkerProcess("w3")}
    observer = Observer()
    placer = Placer(
        machines, workers, threading.Condition(), observer=observer, renew=lambda *_: None
    )
    placed_at: list[str] = []
    for one in ("w2", "w3", "w1"):
        machine = workers[one].machine = placer.place(workers[one])
        assert machine is not None
        placed_at.append(machine.name)
    assert placed_at == ["b", "b", "a"]
    observer.close()


def test_who_finds_no_room_waits_for_it_and_that_is_no_crash(tmp_path: Path) -> None:
    with placed(tmp_path, Losable("a", 1)) as (made, observer):
        made.spawn(2)
        phases = {"w1": Phase.STARTING, "w2": Phase.STARTING}

        def one_waits() -> bool:
            phases.update({one: observer.worker(one).phase for one in phases})
            return Phase.WAITING in phases.values()

        poll_for(one_waits)
        waits, runs = sorted(phases, key=lambda one: phases[one] is not Phase.WAITING)
        poll_for(lambda: pid_of(observer, runs))
        made.kill(runs)
        poll_for(lambda: pid_of(observer, waits))
        assert observer.worker(waits).phase is Phase.STARTING


@pytest.mark.long
def test_workers_of_a_lost_machine_run_elsewhere_and_go_home(tmp_path: Path) -> None:
    a, b = Losable("a", 2), Losable("b", 3)
    with placed(tmp_path, a, b) as (made, observer):
        made.spawn(2, "a")
        made.spawn(1, "b")
        for one in ("w1", "w2", "w3"):
            register(observer, one)
        a.lose()
        poll_for(lambda: runs_on(observer, "w1", "b") and runs_on(observer, "w2", "b"))
        poll_for(lambda: ("machine_lost", "") in observer.notes)
        assert observer.notes.count(("machine_lost", "")) == 1
        assert observer.notes.count(("restarted", "w1")) == 0, "its machine's end is no death of it"
        assert [view.lost for view in made.machines()] == ["it does not answer", ""]
        assert [(view.workers, view.away) for view in made.machines()] == [(0, 2), (3, 0)]
        with pytest.raises(NotPossible, match="a cannot be reached now"):
            made.spawn(1, "a")
        register(observer, "w1")
        register(observer, "w2")
        a.lost = ""
        poll_for(lambda: ("machine_back", "") in observer.notes)
        poll_for(lambda: runs_on(observer, "w1", "a") or runs_on(observer, "w2", "a"))
        first, other = ("w1", "w2") if runs_on(observer, "w1", "a") else ("w2", "w1")
        assert machine_of(observer, other) == "b", "one after the other"
        register(observer, first)
        poll_for(lambda: runs_on(observer, other, "a"))
        assert machine_of(observer, "w3") == "b"


def test_what_changed_is_told_once() -> None:
    states = MachineStates()
    a, b = Losable("a", 1), Losable("b", 1)
    b.lost = "no way to it"
    assert states.look((a, b), 1.0) == [MachineChange("b", "no way to it")]
    b.lost = "it does not answer"
    assert states.look((a, b), 2.0) == []
    assert states.since("b", 0.0) == 1.0
    b.lost = ""
    assert states.look((a, b), 3.0) == [MachineChange("b", "")]
    assert states.since("b", 0.0) == 3.0
    assert states.since("c", 7.0) == 7.0
