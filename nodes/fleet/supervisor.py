"""The local workers: started, watched, restarted, stopped. One thread lives with each."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nodes.errors import NotPossible, UnknownWorker
from nodes.fleet.lifecycle import START_TIME, Lifecycle, WorkerObserver
from nodes.fleet.logs import Logs
from nodes.fleet.process import Phase, ProcessView, WorkerProcess
from nodes.support.event_kinds import EventKind

logger = logging.getLogger("rollcall.fleet")

MOST_WORKERS = 256
"""Local workers wanted at most: a slip of the finger must not take the machine down."""

MOST_MEMORY = 1 << 30
"""Bytes of its own (the catalog's pages are shared) from which a worker is replaced, gently."""

LEAVE_TIME = 10.0
"""Seconds a worker may take to answer its last lookups before it is ended."""


class Supervisor:
    """Keeps the wanted number of local workers alive. For many threads.

    Args:
        observer: told what becomes of them; whom they register with.
        command: the arguments of Python that start the worker of an id. The worker must
            leave when its standard input ends, on the first SIGTERM after its last lookup
            and on the second at once.
        logs: the folder of their logs, one file each.
    """

    def __init__(
        self, *, observer: WorkerObserver, command: Callable[[str], list[str]], logs: Path
    ) -> None:
        self._observer = observer
        self._logs = Logs(logs)
        self._lock = threading.Condition()
        self._lifecycle = Lifecycle(
            observer=observer, command=command, logs=self._logs, lock=self._lock
        )
        self._children: dict[str, WorkerProcess] = {}
        self._begun = False
        self._stopping = False

    # -- asking -------------------------------------------------------------------

    def children(self) -> list[ProcessView]:
        """Every child that is wanted or still leaving, oldest first."""
        with self._lock:
            return [child.view() for child in self._children.values()]

    def owns(self, worker_id: str) -> bool:
        """Whether that worker is one of these."""
        with self._lock:
            return worker_id in self._children

    @property
    def wanted(self) -> int:
        """How many workers there should be."""
        with self._lock:
            return sum(child.wanted for child in self._children.values())

    def log_file(self, worker_id: str) -> Path:
        """Where the output of the worker of that id goes."""
        return self._logs.file(worker_id)

    def may_have_id(self, worker_id: str, instance: str) -> bool:
        """An instance registers and wants that id: whether it may have it."""
        with self._lock:
            child = self._children.get(worker_id)
            if child is None:
                return True
            if child.process is None or child.instance != instance:
                return False
            if child.phase in (Phase.STARTING, Phase.RESTARTING):
                child.become(Phase.RUNNING, "")
                child.registered = True
                self._lock.notify_all()
            return True

    def connection_ended(self, worker_id: str, instance: str) -> bool:
        """The connection on which that instance registered has ended. So has its process, most
        likely, and the word of its end is under way; else it registers again. Returns whether
        it is one of these workers.
        """
        with self._lock:
            child = self._children.get(worker_id)
            if child is None or child.instance != instance:
                return False
            if child.process is not None and child.phase is Phase.RUNNING and child.wanted:
                child.become(Phase.RESTARTING, "its connection ended")
            return True

    def expecting(self) -> bool:
        """Whether a worker is about to register: started lately, or about to be; until the first
        are asked for, that will be soon.
        """
        soon = time.monotonic() - START_TIME
        with self._lock:
            return not self._begun or any(
                child.wanted
                and (
                    child.renewed
                    or (child.phase in (Phase.STARTING, Phase.RESTARTING) and child.since > soon)
                )
                for child in self._children.values()
            )

    def memory_measured(self, worker_id: str, instance: str, memory: int) -> None:
        """That instance has so many bytes of memory of its own; one with too many is replaced."""
        with self._lock:
            child = self._children.get(worker_id)
            if memory <= MOST_MEMORY or child is None or child.renewed or not child.wanted:
                return
            if child.process is None or child.instance != instance:
                return
        why = f"it has {memory >> 20} MiB, more than {MOST_MEMORY >> 20}"
        self._renew(child, f"because {why}")

    def wait_renewed(self, worker_id: str, old_pid: int, timeout: float) -> bool:
        """Waits until another process than `old_pid` has registered under that id, or nobody
        will. Returns whether it has, within `timeout` seconds.
        """

        def settled() -> bool:
            child = self._children.get(worker_id)
            return child is None or (
                child.process is not None
                and child.process.pid != old_pid
                and child.phase is Phase.RUNNING
            )

        with self._lock:
            return self._lock.wait_for(settled, timeout) and worker_id in self._children

    # -- steering -----------------------------------------------------------------

    def spawn(self, count: int) -> list[str]:
        """Starts workers; returns their ids at once, before they are up.

        Raises:
            NotPossible: there would be more than `MOST_WORKERS`.
        """
        if self.wanted + count > MOST_WORKERS:
            raise NotPossible(f"a fleet has at most {MOST_WORKERS} workers")
        # Before the lock: the observer asks this fleet things while it holds its own.
        fresh = [WorkerProcess(self._observer.reserve(), time.monotonic()) for _ in range(count)]
        with self._lock:
            if self._stopping:
                raise NotPossible("this cluster is stopping")
            self._begun = True
            for child in fresh:
                self._children[child.id] = child
                child.thread = threading.Thread(
                    target=self._live, args=(child,), name=f"fleet-{child.id}", daemon=True
                )
                child.thread.start()
        for child in fresh:
            self._observer.note(EventKind.SPAWNED, child.id, f"log: {self.log_file(child.id)}")
        return [child.id for child in fresh]

    def kill(self, worker_id: str) -> str:
        """Ends a worker at once, with SIGKILL; it is not started again."""
        child = self._end(worker_id)
        self._observer.dismiss(child.id)
        child.send(signal.SIGKILL)
        self._observer.note(EventKind.KILLED, child.id, "by an operator")
        return f"{child.id} killed"

    def drain(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then leave; it is not started again."""
        child = self._end(worker_id)
        self._leave(child, "by an operator")
        return f"{child.id} drains, then leaves"

    def restart(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then starts it anew under the same id."""
        child = self._child(worker_id)
        with self._lock:
            child.budget.clear()
        self._renew(child, "by an operator")
        return f"{child.id} restarts"

    def _renew(self, child: WorkerProcess, why: str) -> None:
        with self._lock:
            child.renewed = True
            child.wake.set()
        self._observer.note(EventKind.RESTARTING, child.id, why)
        self._leave(child, "to be restarted")

    def freeze(self, worker_id: str) -> str:
        """Stops a worker with SIGSTOP: the failure that no exit reports, to rehearse it."""
        child = self._child(worker_id)
        with self._lock:
            if child.process is None:
                raise NotPossible(f"{child.id} has no process to freeze")
            child.send(signal.SIGSTOP)
            child.frozen = True
        self._observer.note(EventKind.FROZEN, child.id, "by an operator")
        return f"{child.id} is frozen"

    def thaw(self, worker_id: str) -> str:
        """Lets a frozen worker go on."""
        child = self._child(worker_id)
        self._thaw(child)
        self._observer.note(EventKind.THAWED, child.id, "by an operator")
        return f"{child.id} goes on"

    def _thaw(self, child: WorkerProcess) -> None:
        with self._lock:
            child.send(signal.SIGCONT)
            child.frozen = False

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
        wanted.sort(key=lambda child: child.phase is Phase.CRASH_LOOPING)
        surplus = wanted[count:]
        for child in surplus:
            self.drain(child.id)
        return f"draining {', '.join(child.id for child in surplus)}"

    def stop(self, patience: float = LEAVE_TIME) -> None:
        """Drains and ends every worker; returns when none is left.

        Args:
            patience: seconds for their last lookups, for all of them together.
        """
        with self._lock:
            self._stopping = True
            for child in self._children.values():
                child.wanted = False
                child.wake.set()
            children = list(self._children.values())
        for child in children:
            child.become(Phase.STOPPING, "the cluster stops")
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

    def _child(self, worker_id: str) -> WorkerProcess:
        with self._lock:
            child = self._children.get(worker_id)
        if child is None:
            raise UnknownWorker(f"no worker of this fleet is called {worker_id[:80]!r}")
        return child

    def _end(self, worker_id: str) -> WorkerProcess:
        child = self._child(worker_id)
        with self._lock:
            child.wanted = False
            child.become(Phase.STOPPING, "by an operator")
            child.wake.set()
        return child

    def _leave(self, child: WorkerProcess, why: str) -> None:
        """Has its present process leave, and ends it if it does not."""
        process = child.process
        if process is None:
            return
        self._observer.draining(child.id, why)
        process.send_signal(signal.SIGTERM)
        self._thaw(child)
        with self._lock:
            if child.late is None and child.process is process:
                child.late = threading.Timer(LEAVE_TIME, process.kill)
                child.late.daemon = True
                child.late.start()

    def _live(self, child: WorkerProcess) -> None:
        """The thread of one worker, until it is no longer wanted."""
        try:
            self._lifecycle.run(child)
        finally:
            self._observer.release(child.id)
            with self._lock:
                del self._children[child.id]
                self._lock.notify_all()
