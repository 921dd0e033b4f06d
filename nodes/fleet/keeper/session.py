"""A keeper as its launcher knows it: orders out, reports in, until it is lost."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import IO

from nodes.fleet.keeper.messages import (
    Ended,
    NotStarted,
    Output,
    Signal,
    Start,
    Started,
    Tell,
    WorkerReport,
)
from nodes.fleet.keeper.outbox import Outbox
from nodes.fleet.machine import Ending, Launch, Sink
from nodes.fleet.program import describe_end
from nodes.support.silence import Silence
from nodes.wire import LauncherSecrets, encode_secrets

ALIVE_EVERY_S = 1.0
SILENT_S = 8.0
"""Seconds of silence after which a launcher says that it is there, and after which a keeper that
does not is given up.
"""


class KeptWorker:
    """A worker that a keeper keeps; see `nodes.fleet.machine.RunningWorker`.

    Args:
        signal: has its keeper send the worker of a key a signal, without waiting.
        key: by which its keeper knows it.
        output: where what it prints goes.
    """

    def __init__(self, signal: Callable[[int, int], None], key: int, output: Sink) -> None:
        self._signal = signal
        self.key = key
        self._output = output
        self._ended = threading.Event()
        self._ending: Ending | None = None
        self.pid = 0

    def wait(self, timeout_s: float | None = None) -> Ending | None:
        """Waits for its end."""
        self._ended.wait(timeout_s)
        return self._ending

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        self._signal(self.key, number)

    def close(self) -> None:
        """Nothing is left to let go of: what it had went with its end."""

    def take(self, report: WorkerReport) -> None:
        """What its keeper tells of it."""
        match report:
            case Started():
                self.pid = report.pid
            case Output():
                self._output.write(report.data)
            case NotStarted():
                self.end(Ending(report.why))
            case Ended():
                self.end(Ending(describe_end(report.status)))

    def end(self, how: Ending) -> None:
        """It has ended; what comes later changes nothing."""
        if self._ending is None:
            self._ending = how
            self._ended.set()


class KeptWorkers:
    """The workers of one keeper that have not ended. For one thread at a time."""

    def __init__(self) -> None:
        self._workers: dict[int, KeptWorker] = {}

    def __contains__(self, key: int) -> bool:
        return key in self._workers

    def add(self, worker: KeptWorker) -> None:
        """It is about to be started."""
        self._workers[worker.key] = worker

    def reported(self, report: WorkerReport) -> KeptWorker | None:
        """Whom that report is for; None if nobody. One that has ended is none of them any more."""
        ended = isinstance(report, NotStarted | Ended)
        find = self._workers.pop if ended else self._workers.get
        return find(report.key, None)

    def take_all(self) -> list[KeptWorker]:
        """The keeper is gone: whoever it had."""
        workers = list(self._workers.values())
        self._workers.clear()
        return workers


class KeeperSession:
    """One keeper's workers. For many threads; reports come from one.

    Args:
        pipe: to the keeper.
        silent: called when it has said nothing for long.
        silent_s: seconds; see `SILENT_S`.
    """

    def __init__(
        self, pipe: IO[bytes], silent: Callable[[], None], silent_s: float = SILENT_S
    ) -> None:
        self._silent = silent
        self._silent_s = silent_s
        self._lock = threading.Lock()
        self._workers = KeptWorkers()
        self._keys = itertools.count(1)
        self._lost = ""
        self._silence = Silence(time.monotonic(), look_every_s=silent_s / 2)
        self._outbox = Outbox(pipe, idle_s=min(ALIVE_EVERY_S, silent_s / 2), each_look=self._look)

    def _look(self) -> None:
        if self._silence.look(time.monotonic()) > self._silent_s:
            self._silent()

    def start(self, launch: Launch, output: Sink, token: str) -> KeptWorker:
        """Has a worker started."""
        with self._lock:
            worker = KeptWorker(self.signal, next(self._keys), output)
            if self._lost:
                worker.end(Ending(self._lost, machine_lost=True))
                return worker
            self._workers.add(worker)
        secrets = encode_secrets(LauncherSecrets(token, launch.instance))
        self._outbox.put(Start(worker.key, tuple(launch.arguments), secrets))
        return worker

    def heard(self) -> None:
        """The keeper said something."""
        self._silence.heard()

    def signal(self, key: int, number: int) -> None:
        """Has a worker signalled."""
        self._outbox.put(Signal(key, number))

    def tell_token(self, token: str) -> None:
        """Hands the workers another token to register with."""
        self._outbox.put(Tell(encode_secrets(LauncherSecrets(token))))

    def take(self, report: WorkerReport) -> None:
        """What the keeper tells of a worker."""
        with self._lock:
            worker = self._workers.reported(report)
        if worker is not None:
            worker.take(report)

    def lose(self, why: str) -> None:
        """The keeper is gone, and its workers with it."""
        with self._lock:
            self._lost = why
            workers = self._workers.take_all()
        self._outbox.close(0.0)
        for worker in workers:
            worker.end(Ending(why, machine_lost=True))
