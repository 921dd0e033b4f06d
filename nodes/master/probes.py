"""Probes: each worker is asked again and again whether it answers, until it is gone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from nodes.dispatch.dispatcher import Dispatcher
from nodes.dispatch.replies import is_probe_answer
from nodes.dispatch.tracked import NO_ARGUMENTS, explain
from nodes.routing import Worker
from nodes.support.supervision import AT_ONCE, Report, Supervision, shielded
from nodes.transport import CallTimeout, ProtocolError, TransportError, Value
from nodes.wire import ProbeAnswer

PROBE_INTERVAL_S = 0.75
PROBE_TIMEOUT_S = 0.75
"""Seconds between two probes of one worker, and how long one may take: a worker that falls silent
just after a probe is told of within their sum."""

PROBES_AT_ONCE = 50
PROBES_PAUSE_S = 0.01
"""Probes sent in one step, and seconds before the next step: a thousand at once would hold up
the lookups."""


class Prober:
    """Probes workers, through the connections that lookups take. No clock of its own.

    Args:
        dispatcher: the way to a worker.
        answered: told of each report.
        missed: told why there is none.
        later: asked to call something so many seconds later.
        report: told when a probe could not be sent.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        answered: Callable[[Worker, ProbeAnswer], None],
        missed: Callable[[Worker, str], None],
        later: Callable[[float, Callable[[], None]], object],
        report: Report | None = None,
    ) -> None:
        self._send = shielded(
            dispatcher.call_worker, Supervision("a probe", report, backoff=AT_ONCE)
        )
        self._answered = answered
        self._missed = missed
        self._later = later
        self._probes: dict[int, _Probe] = {}
        self._due: deque[_Probe] = deque()
        self._pausing = False

    def probe(self, worker: Worker, now: float) -> None:
        """Asks that worker, when it is its turn."""
        probe = self._probes[worker.generation] = _Probe(self, worker, now)
        self._due.append(probe)
        if not self._pausing:
            self._pausing = True
            self._later(0.0, self._send_some)

    def _send_some(self) -> None:
        due = self._due
        some = [due.popleft() for _ in range(min(len(due), PROBES_AT_ONCE))]
        self._pausing = bool(due)
        if due:
            self._later(PROBES_PAUSE_S, self._send_some)
        for probe in some:
            self._send(probe.worker, "probe", NO_ARGUMENTS, probe)

    def look(self, workers: Iterable[Worker], now: float) -> None:
        """Asks those whose time it is, and gives up on answers that are late."""
        live = list(workers)
        for gone in self._probes.keys() - {worker.generation for worker in live}:
            del self._probes[gone]
        for worker in live:
            probe = self._probes.get(worker.generation)
            if probe is None:
                self.probe(worker, now)
            elif not probe.over and now - probe.asked_at >= PROBE_TIMEOUT_S:
                probe.failed(CallTimeout(str(worker.address), PROBE_TIMEOUT_S))
                self.probe(worker, now)
            elif probe.over and now - probe.asked_at >= PROBE_INTERVAL_S:
                self.probe(worker, now)

    def take(self, worker: Worker, reply: Value | TransportError) -> None:
        """What became of a probe."""
        if isinstance(reply, TransportError):
            self._missed(worker, explain(worker, reply))
        elif is_probe_answer(reply):
            self._answered(worker, reply)
        else:
            wrong = ProtocolError("its answer has not the form of one")
            self._missed(worker, explain(worker, wrong))


class _Probe:
    """One question; a `Pending` of the worker's link."""

    def __init__(self, prober: Prober, worker: Worker, asked_at: float) -> None:
        self.asked_at = asked_at
        self.over = False
        self.worker = worker
        self._prober = prober

    def replied(self, value: Value) -> None:
        self._end(value)

    def failed(self, error: TransportError) -> None:
        self._end(error)

    def _end(self, reply: Value | TransportError) -> None:
        if not self.over:
            self.over = True
            self._prober.take(self.worker, reply)
