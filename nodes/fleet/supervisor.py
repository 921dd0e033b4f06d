"""The workers of a fleet: started, watched, restarted, stopped. One thread lives with each."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from nodes.errors import NotPossible, UnknownWorker
from nodes.fleet.lifecycle import Lifecycle, WorkerObserver
from nodes.fleet.local_machine import LocalMachines
from nodes.fleet.logs import Logs
from nodes.fleet.machine import MAX_WORKERS, Ability, Machine, Machines
from nodes.fleet.placer import Placer
from nodes.fleet.process import WorkerProcess
from nodes.routing import REGISTERS_WITHIN_S, ProcessChange, ProcessEvent
from nodes.support.actor import by_actor
from nodes.support.event_kinds import EventKind
from nodes.support.supervision import Supervision, supervise
from nodes.wire import MachineView

logger = logging.getLogger("rollcall.fleet")

MAX_WORKER_MEMORY_BYTES = 1 << 30
"""Bytes of its own (the catalog's pages are shared) from which a worker is replaced, gently."""

LEAVE_TIMEOUT_S = 10.0
"""Seconds a worker may take to answer its last lookups before it is ended."""


class Supervisor:
    """Keeps the wanted number of workers alive, on one machine or several. For many threads.

    Args:
        observer: told what becomes of them; whom they register with.
        command: the arguments that start the worker of an id on a machine. The worker must
            leave when its standard input ends, on the first SIGTERM after its last lookup
            and on the second at once.
        logs: the folder of their logs, one file each.
        machines: where they run; this machine, unless others are given.
        start_timeout_s: seconds within which a started worker is to register.
    """

    def __init__(
        self,
        *,
        observer: WorkerObserver,
        command: Callable[[str, Machine], Sequence[str]],
        logs: Path,
        machines: Machines | None = None,
        start_timeout_s: float = REGISTERS_WITHIN_S,
    ) -> None:
        self._observer = observer
        self._logs = Logs(logs, lambda kind, text: observer.note(kind, "", text))
        self._lock = threading.Condition()
        self._children: dict[str, WorkerProcess] = {}
        self._machines: Machines = machines or LocalMachines()
        self._placer = Placer(
            self._machines, self._children, self._lock, observer=observer, renew=self._renew
        )
        self._lifecycle = Lifecycle(
            observer=observer,
            place=self._placer.place,
            command=command,
            logs=self._logs,
            lock=self._lock,
            start_timeout_s=start_timeout_s,
        )
        self._gone: set[str] = set()
        """The ids of those that have ended for good: they can be started again."""
        self._stopping = False
        self._ending = threading.Event()
        self._placer.start()

    @property
    def abilities(self) -> frozenset[Ability]:
        """What it can do, as its machines can."""
        return self._machines.abilities

    def machines(self) -> Sequence[MachineView]:
        """Its machines, as they are known now."""
        return self._placer.views()

    @property
    def log_trouble(self) -> str:
        """Why what workers print is dropped now, "" if it is not."""
        return self._logs.trouble

    def log_file(self, worker_id: str) -> Path:
        """Where the output of the worker of that id goes."""
        return self._logs.file(worker_id)

    def memory_measured(self, worker_id: str, instance: str, memory: int) -> None:
        """That instance has so many bytes of memory of its own; one with too many is replaced."""
        with self._lock:
            child = self._children.get(worker_id)
            if (
                memory <= MAX_WORKER_MEMORY_BYTES
                or child is None
                or child.renewed
                or not child.wanted
            ):
                return
            if child.process is None or child.instance != instance:
                return
        why = f"it has {memory >> 20} MiB, more than {MAX_WORKER_MEMORY_BYTES >> 20}"
        self._renew(child, f"because {why}")

    # -- steering -----------------------------------------------------------------

    def spawn(self, count: int, where: str = "") -> list[str]:
        """Starts workers; returns their ids at once, before they are up.

        Args:
            count: how many.
            where: the machine; "" for the one with most room, one after the other.

        Raises:
            NotPossible: there would be more than `MAX_WORKERS`, or the machine has no room.
            BadRequest: there is no such machine.
        """
        with self._lock:
            self._check_room(count)
            if where:
                self._placer.check_room(where, count)
            ids = self._observer.reserve(count)
            self._begin(ids, where)
        for worker_id in ids:
            self._note_spawned(worker_id, by_actor())
        return ids

    def _note_spawned(self, worker_id: str, text: str) -> None:
        self._observer.note(
            EventKind.SPAWNED, worker_id, f"{text}; log: {self.log_file(worker_id)}"
        )

    def _note_trouble(self, text: str) -> None:
        self._observer.note(EventKind.TROUBLE, "", text)

    def _check_room(self, count: int) -> None:
        if self._stopping:
            raise NotPossible("this cluster is stopping")
        if sum(child.wanted for child in self._children.values()) + count > MAX_WORKERS:
            raise NotPossible(f"a fleet has at most {MAX_WORKERS} workers")

    def _begin(self, ids: Sequence[str], home: str = "") -> None:
        for worker_id in ids:
            child = self._children[worker_id] = WorkerProcess(worker_id, home)
            child.thread = threading.Thread(
                target=self._live, args=(child,), name=f"fleet-{worker_id}", daemon=True
            )
            child.thread.start()

    def again(self, worker_id: str) -> str:
        """Starts a worker of this fleet that is gone, or died too often, under the same id.

        Raises:
            NotPossible: it is not gone, another has its id, or there would be too many.
            UnknownWorker: this fleet had none of that id.
        """
        with self._lock:
            child = self._children.get(worker_id)
            if child is not None and not child.crash_looping:
                raise NotPossible(f"{worker_id} is not gone")
            if child is None:
                if worker_id not in self._gone:
                    raise UnknownWorker(
                        f"this fleet had no worker {worker_id[:80]!r}: start it where it ran"
                    )
                self._check_room(1)
                if not self._observer.reserve_again(worker_id):
                    raise NotPossible(f"another worker is {worker_id} by now: spawn one more")
                self._begin([worker_id])
        if child is not None:
            return self.restart(worker_id)
        self._note_spawned(worker_id, f"again, {by_actor()}")
        return f"{worker_id} starts again"

    def kill(self, worker_id: str) -> str:
        """Ends a worker at once, with SIGKILL; it is not started again."""
        child = self._end(worker_id, ProcessChange.KILLED)
        child.send(signal.SIGKILL)
        self._observer.note(EventKind.KILLED, child.id, by_actor())
        return f"{child.id} killed"

    def drain(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then leave; it is not started again."""
        child = self._end(worker_id, ProcessChange.ASKED_TO_LEAVE)
        self._leave(child)
        return f"{child.id} drains, then leaves"

    def restart(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then starts it anew under the same id."""
        child = self._child(worker_id)
        with self._lock:
            child.budget.clear()
        self._renew(child, by_actor())
        return f"{child.id} restarts"

    def _renew(self, child: WorkerProcess, why: str) -> None:
        self._observer.note(EventKind.RESTARTING, child.id, why)
        self._report(child, ProcessChange.REPLACED, "to be restarted")
        with self._lock:
            child.renewed = True
            child.wake.set()
        self._leave(child)

    def freeze(self, worker_id: str) -> str:
        """Stops a worker with SIGSTOP: the failure that no exit reports, to rehearse it."""
        child = self._child(worker_id)
        with self._lock:
            if child.process is None:
                raise NotPossible(f"{child.id} has no process to freeze")
            child.send(signal.SIGSTOP)
            self._report(child, ProcessChange.FROZEN)
        self._observer.note(EventKind.FROZEN, child.id, by_actor())
        return f"{child.id} is frozen"

    def thaw(self, worker_id: str) -> str:
        """Lets a frozen worker go on."""
        child = self._child(worker_id)
        self._thaw(child)
        self._observer.note(EventKind.THAWED, child.id, by_actor())
        return f"{child.id} goes on"

    def _thaw(self, child: WorkerProcess) -> None:
        with self._lock:
            child.send(signal.SIGCONT)
            self._report(child, ProcessChange.THAWED)

    def _report(self, child: WorkerProcess, change: ProcessChange, why: str = "") -> None:
        self._observer.report(ProcessEvent(child.id, change, why))

    def log(self, worker_id: str, after: int = -1) -> tuple[int, str]:
        """A part of a worker's log, and where it ends; see `Logs.part`.

        Raises:
            UnknownWorker: there is no such log.
        """
        try:
            return self._logs.part(worker_id, after)
        except OSError as error:
            raise UnknownWorker(f"there is no log of {worker_id[:80]!r}") from error

    def scale(self, count: int) -> str:
        """Starts workers, or drains the newest, until `count` are wanted."""
        with self._lock:
            wanted = [child for child in self._children.values() if child.wanted]
        if count >= len(wanted):
            ids = self.spawn(count - len(wanted))
            return f"started {', '.join(ids)}" if ids else f"there are {count} already"
        # One that is crash-looping does nothing: it goes first.
        wanted.sort(key=lambda child: child.crash_looping)
        surplus = wanted[count:]
        for child in surplus:
            self.drain(child.id)
        return f"draining {', '.join(child.id for child in surplus)}"

    def stop(self, patience: float = LEAVE_TIMEOUT_S) -> None:
        """Drains and ends every worker; returns when none is left.

        Args:
            patience: seconds for their last lookups, for all of them together.
        """
        self._placer.stop()
        self._ending.set()
        with self._lock:
            self._stopping = True
            for child in self._children.values():
                child.wanted = False
                child.wake.set()
            children = list(self._children.values())
        for child in children:
            self._report(child, ProcessChange.STOPPED, "the cluster stops")
            child.send(signal.SIGTERM)
            self._thaw(child)
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 1.0)):
            with self._lock:
                if self._lock.wait_for(lambda: not self._children, timeout=seconds):
                    break
                late = list(self._children.values())
            for child in late:
                child.send(number)
        for child in children:
            if child.thread is not None:
                child.thread.join(2.0)
        self._machines.close()

    def _child(self, worker_id: str) -> WorkerProcess:
        with self._lock:
            child = self._children.get(worker_id)
        if child is None:
            raise UnknownWorker(f"no worker of this fleet is called {worker_id[:80]!r}")
        return child

    def _end(self, worker_id: str, change: ProcessChange) -> WorkerProcess:
        child = self._child(worker_id)
        self._report(child, change, by_actor())
        with self._lock:
            child.wanted = False
            child.wake.set()
        return child

    def _leave(self, child: WorkerProcess) -> None:
        """Has its present process leave, and ends it if it does not."""
        process = child.process
        if process is None:
            return
        process.signal(signal.SIGTERM)
        self._thaw(child)
        with self._lock:
            if child.late is None and child.process is process:
                child.late = threading.Timer(LEAVE_TIMEOUT_S, process.signal, (signal.SIGKILL,))
                child.late.daemon = True
                child.late.start()

    def _live(self, child: WorkerProcess) -> None:
        """The thread of one worker, until it is no longer wanted."""
        keeping = Supervision(f"the look after {child.id}", self._note_trouble)
        try:
            supervise(lambda: self._lifecycle.run(child), keeping, self._ending)
        finally:
            self._logs.forget(child.id)
            self._observer.release(child.id)
            with self._lock:
                del self._children[child.id]
                self._gone.add(child.id)
                self._lock.notify_all()
