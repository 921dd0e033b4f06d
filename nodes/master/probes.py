"""Probes: each worker is asked again and again whether it answers, until it is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nodes.dispatch.dispatcher import Dispatcher, explain
from nodes.dispatch.replies import is_probe_answer
from nodes.routing import Worker
from nodes.transport import ProtocolError, TransportError
from nodes.wire import ProbeAnswer

PROBE_INTERVAL_S = 1.0
PROBE_TIMEOUT_S = 1.0
"""Seconds between two probes of one worker, and how long one may take."""


class Prober:
    """A thread for each worker, which probes it through the path that serves lookups.

    Args:
        dispatcher: the way to a worker.
        answered: told of each report.
        missed: told why there is none.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        answered: Callable[[Worker, ProbeAnswer], None],
        missed: Callable[[Worker, str], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._answered = answered
        self._missed = missed
        self._threads: set[threading.Thread] = set()
        self._stopping = threading.Event()

    def start(self, worker: Worker) -> None:
        """Begins to probe that worker."""
        thread = threading.Thread(
            target=self._keep_probing, args=(worker,), name=f"probe-{worker.id}", daemon=True
        )
        self._threads.add(thread)
        thread.start()

    def stop(self) -> None:
        """Ends all probes, and waits for those under way."""
        self._stopping.set()
        for thread in list(self._threads):
            thread.join(PROBE_TIMEOUT_S + 1.0)

    def _keep_probing(self, worker: Worker) -> None:
        try:
            while worker.live and not self._stopping.is_set():
                began = time.monotonic()
                self._probe(worker)
                self._stopping.wait(max(0.0, PROBE_INTERVAL_S - (time.monotonic() - began)))
        finally:
            self._threads.discard(threading.current_thread())

    def _probe(self, worker: Worker) -> None:
        try:
            report = self._dispatcher.call_worker(worker, "probe", (), timeout=PROBE_TIMEOUT_S)
            if not is_probe_answer(report):
                raise ProtocolError("its answer has not the form of one")
        except TransportError as error:
            self._missed(worker, explain(worker, error))
        else:
            self._answered(worker, report)
