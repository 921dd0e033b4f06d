"""Statistics of lookups: by name and by error code, latencies, the slowest and the failed ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from nodes.dispatch.batches import Answers
from nodes.dispatch.call import Answer, Call
from nodes.errors import BadRequest, LookupFailed
from nodes.master.durations import Durations, RecentDurations, by_bucket
from nodes.master.slow_lookups import Asked, SlowLookups, encoded_name
from nodes.routing import WindowedHistogram
from nodes.routing.histogram import merge, quantile
from nodes.support.units import known_ms
from nodes.wire import NOTHING_FOUND, LookupDurations, LookupRequest, LookupView, SlowLookup

MAX_NAMES = 128
"""Names of lookups whose durations are kept, those that are declared no more included: two datasets
have fewer. What others take is that of `OTHER`."""

MAX_UNFOLDED = 1000
"""Answers noted before they are folded in."""

BATCHES = "in batches"
"""What the lookups of batches are called: the master does not read their names."""

OTHER = "other"
"""What lookups are called that were not taken in, and those of names that are declared no more."""


class LookupFigures(NamedTuple):
    """What is known of all lookups at one moment; see `ClusterSnapshot`."""

    lookups_per_s: float
    mean_lookups_per_s: float
    errors_per_s: float
    recent_errors_by_code: dict[str, int]
    p50_s: float | None
    p99_s: float | None
    latencies: tuple[tuple[float, int], ...]
    lookups: tuple[LookupView, ...]
    durations: tuple[LookupDurations, ...]
    slow: tuple[SlowLookup, ...]


class _NameFigures:
    """The figures of one lookup's name; `durations` outlive it."""

    __slots__ = ("answered", "durations", "empty", "errors", "histogram")

    def __init__(self, durations: Durations) -> None:
        self.durations = durations
        self.answered = 0
        self.empty = 0
        self.errors = 0
        self.histogram = WindowedHistogram()

    def take_over(self, other: _NameFigures) -> None:
        """Counts what that one has counted; recent latencies are not taken over."""
        self.answered += other.answered
        self.empty += other.empty
        self.errors += other.errors


class LookupStats:
    """Counts lookups, and keeps the slowest and those that failed. No clock: `now` is passed in.

    An answer costs one append; the rest is done by `fold`. Only answers count as throughput, and
    only they have a latency here.

    Args:
        declared: returns the names of the lookups that there are: the same object as long as these
            are the same.

    Attributes:
        errors_by_code: lookups that failed, by the code of their error.
        refused_by_code: what was asked wrongly, or by whoever may not, by the code of the answer:
            no failure of the cluster's.
    """

    def __init__(self, declared: Callable[[], Iterable[str]]) -> None:
        self._declared = declared
        self.errors_by_code: dict[str, int] = {}
        self.refused_by_code: dict[str, int] = {}
        self._answered = 0
        self._unfolded: list[tuple[float, float, Asked, bool]] = []
        self._names: Iterable[str] = ()
        self._by_name: dict[bytes, _NameFigures] = {}
        self._durations: dict[bytes, Durations] = {}
        self._other = _NameFigures(Durations())
        self._batches = _NameFigures(Durations())
        self._failures: dict[str, WindowedHistogram] = {}
        self._recent = RecentDurations()
        self._kept = SlowLookups()

    @property
    def answered(self) -> int:
        """Lookups answered so far."""
        return self._answered + len(self._unfolded)

    @property
    def errors(self) -> int:
        """Lookups that failed so far."""
        return sum(self.errors_by_code.values())

    def _take_over_names(self) -> None:
        names = self._declared()
        if names is self._names:
            return
        self._names = names
        before = self._by_name
        self._by_name = {
            name: before.pop(name) if name in before else _NameFigures(self._durations_of(name))
            for name in map(str.encode, names)
        }
        for figures in before.values():
            self._other.take_over(figures)

    def _durations_of(self, name: bytes) -> Durations:
        if name not in self._durations:
            if len(self._durations) >= MAX_NAMES:
                return self._other.durations
            self._durations[name] = Durations()
        return self._durations[name]

    # -- what happened ------------------------------------------------------------

    def answered_one(
        self,
        call: Call,
        answer: Answer,
        now: float,
        *,
        request: LookupRequest | None = None,
        trace_id: str = "",
    ) -> None:
        """A lookup was answered.

        Args:
            call: its arguments are the lookup, encoded, unless there is a `request`.
            answer: to it.
            now: seconds.
            request: what was asked, if the call is in another form.
            trace_id: of the trace that it is a part of, "" for none.
        """
        asked = call.arguments if request is None else request
        took_s = answer.took_s
        self._unfolded.append((took_s, now, asked, answer.part.startswith(NOTHING_FOUND)))
        if took_s > self._kept.above_s:
            self._kept.slow(call, answer, asked, now, trace_id)
        if len(self._unfolded) >= MAX_UNFOLDED:
            self.fold(now)

    def failed_one(
        self,
        call: Call,
        error: LookupFailed,
        took_s: float,
        now: float,
        *,
        request: LookupRequest | None = None,
        trace_id: str = "",
    ) -> None:
        """A lookup has failed after so many seconds; see `answered_one`."""
        self._take_over_names()
        asked = call.arguments if request is None else request
        self._kept.failed(call, error.code, took_s, asked, now=now, trace_id=trace_id)
        self._by_name.get(encoded_name(asked), self._other).errors += 1
        self._count_failures(error.code, 1, took_s, now)

    def refused(self, error: LookupFailed, now: float) -> None:
        """A lookup was not taken in."""
        self._other.errors += 1
        self._count_failures(error.code, 1, 0.0, now)

    def turned_down(self, code: str, count: int = 1) -> None:
        """So many requests were wrong, or of whoever may not ask that."""
        self.refused_by_code[code] = self.refused_by_code.get(code, 0) + count

    def batch(self, answers: Answers, took_s: float, now: float) -> None:
        """A batch is over. Each of its lookups took as long as all of it; those that are wrong
        count nowhere, as when they are asked alone.
        """
        answered, figures = answers.answered, self._batches
        if answered:
            self._answered += answered
            figures.answered += answered
            figures.empty += answers.empty
            figures.histogram.add(took_s, now, answered)
            counts = by_bucket((took_s,), answered)
            self._add_durations(figures, counts, took_s * answered, int(now))
        if answers.refused:
            self.turned_down(BadRequest.code, answers.refused)
        for code, count in answers.failures.items():
            figures.errors += count
            self._count_failures(code, count, took_s, now)

    def _count_failures(self, code: str, count: int, took_s: float, now: float) -> None:
        self.errors_by_code[code] = self.errors_by_code.get(code, 0) + count
        self._failures.setdefault(code, WindowedHistogram()).add(took_s, now, count)

    def fold(self, now: float) -> None:
        """Folds in what was answered since the last fold. To be called about each second."""
        self._take_over_names()
        samples, self._unfolded = self._unfolded, []
        self._answered += len(samples)
        seconds: dict[tuple[bytes, int], tuple[list[float], list[bool]]] = {}
        for took_s, at, asked, empty in samples:
            key = encoded_name(asked), int(at)
            if key not in seconds:
                seconds[key] = [], []
            latencies, empties = seconds[key]
            latencies.append(took_s)
            empties.append(empty)
        for (name, second), (latencies, empties) in seconds.items():
            figures = self._by_name.get(name, self._other)
            figures.answered += len(latencies)
            figures.empty += sum(empties)
            figures.histogram.add_all(latencies, second)
            self._add_durations(figures, by_bucket(latencies), sum(latencies), second)
        self._kept.look(now)

    def _add_durations(
        self, figures: _NameFigures, counts: dict[int, int], sum_s: float, second: int
    ) -> None:
        figures.durations.add(counts, sum_s)
        self._recent.add(counts, second)

    # -- what follows -------------------------------------------------------------

    def figures(self, now: float, wall: float, *, began: float = -math.inf) -> LookupFigures:
        """All of it at `now` (seconds), which is the Unix time `wall`, if the master `began` then
        (seconds).
        """
        self.fold(now)
        named = [(name.decode(), figures) for name, figures in self._by_name.items()]
        unnamed = ((BATCHES, self._batches), (OTHER, self._other))
        named += [(name, one) for name, one in unnamed if one.answered or one.errors]
        histograms = [figures.histogram for _, figures in named]
        counts = merge(histograms, now)
        return LookupFigures(
            lookups_per_s=sum(one.last_second(now) for one in histograms),
            mean_lookups_per_s=sum(one.rate(now, began) for one in histograms),
            errors_per_s=sum(one.last_second(now) for one in self._failures.values()),
            recent_errors_by_code={
                code: count for code, one in self._failures.items() if (count := one.total(now))
            },
            p50_s=quantile(counts, 0.5),
            p99_s=quantile(counts, 0.99),
            latencies=self._recent.shown(now),
            lookups=tuple(_lookup_view(name, one, now) for name, one in named),
            durations=(
                *(one.view(name.decode()) for name, one in self._durations.items()),
                *(one.durations.view(name) for name, one in unnamed),
            ),
            slow=self._kept.view(now, wall),
        )


def _lookup_view(name: str, figures: _NameFigures, now: float) -> LookupView:
    counts = merge((figures.histogram,), now)
    return LookupView(
        name=name,
        per_s=figures.histogram.last_second(now),
        p50_ms=known_ms(quantile(counts, 0.5)),
        p99_ms=known_ms(quantile(counts, 0.99)),
        answered=figures.answered,
        empty=figures.empty,
        errors=figures.errors,
    )
