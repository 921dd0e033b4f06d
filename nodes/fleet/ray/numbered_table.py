"""The workers of a keeper whose launcher may miss what it says, and say a thing twice.

Orders come numbered and reports go numbered: an order that was done is not done again, and a
report is kept until its launcher has seen it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from nodes.fleet.keeper.messages import Output, Signal, Start, Tell, WorkerReport
from nodes.fleet.keeper.process_table import ProcessTable
from nodes.fleet.program import PROGRAM
from nodes.fleet.ray.messages import Action, Order, Report

MAX_KEPT_OUTPUT_BYTES = 1 << 20
"""Bytes of output that wait for a launcher; of more, the oldest are dropped."""


class NumberedTable:
    """Worker processes of one launcher. For many threads.

    Args:
        told: called, on any thread, when there is something to report.
        program: what a worker's arguments follow.
    """

    def __init__(self, told: Callable[[], None], program: Sequence[str] = PROGRAM) -> None:
        self._told = told
        self._table = ProcessTable(self._report, program)
        self._obeying = threading.Lock()
        self._obeyed = 0
        self._lock = threading.Lock()
        self._reports: deque[Report] = deque()
        self._last_report = 0
        self._kept_bytes = 0

    def obey(self, orders: Iterable[Order]) -> int:
        """Does what is ordered and was not done before; returns the last order's number."""
        with self._obeying:
            for order in orders:
                if order.number > self._obeyed:
                    self._obeyed = order.number
                    self._do(order.action)
            return self._obeyed

    def reports(self, seen: int) -> tuple[Report, ...]:
        """What was not seen yet; what was is forgotten."""
        with self._lock:
            while self._reports and self._reports[0].number <= seen:
                self._kept_bytes -= _output_bytes(self._reports.popleft())
            return tuple(self._reports)

    def end(self) -> None:
        """Ends every worker at once, and starts no more."""
        self._table.end()

    def _do(self, action: Action) -> None:
        match action:
            case Start():
                self._table.start(action)
            case Signal():
                self._table.signal(action)
            case Tell():
                self._table.tell(action.secrets)

    def _report(self, what: WorkerReport) -> None:
        with self._lock:
            self._last_report += 1
            report = Report(self._last_report, what)
            self._reports.append(report)
            self._kept_bytes += _output_bytes(report)
            if self._kept_bytes > MAX_KEPT_OUTPUT_BYTES:
                self._drop_oldest_output()
        self._told()

    def _drop_oldest_output(self) -> None:
        for place, report in enumerate(self._reports):
            if isinstance(report.what, Output):
                del self._reports[place]
                self._kept_bytes -= _output_bytes(report)
                return


def _output_bytes(report: Report) -> int:
    return len(report.what.data) if isinstance(report.what, Output) else 0
