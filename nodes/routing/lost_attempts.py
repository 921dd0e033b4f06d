"""The attempts that a worker lost: late, failed, or another worker answered first."""

from __future__ import annotations

from nodes.routing.histogram import WindowedHistogram, quick_bucket_of

HEDGED_SECONDS = 2
TREND_S = 10
"""Seconds with a hedge away from a worker that make it slow, and of how many. All calls of one
short stall are hedged at once, which is no trend."""

MINUTE_S = 60
"""Seconds for which it is known how many hedges there were."""


class LostAttempts:
    """What became of the attempts at one worker that brought no answer in time.

    An attempt that was given up has a latency all the same. While no reply comes, that is its age;
    when one comes after all, the time it took. It never counts as quicker than it was.

    Attributes:
        hedged_away: another worker was asked as well, because this one was late.
        rerouted_away: another worker was asked, because this one failed.
        histogram: latencies of those that were given up, and are over by now.
    """

    __slots__ = ("_given_up", "_hedges", "hedged_away", "histogram", "rerouted_away")

    def __init__(self) -> None:
        self.hedged_away = 0
        self.rerouted_away = 0
        self.histogram = WindowedHistogram()
        self._hedges: dict[int, int] = {}
        self._given_up: dict[object, tuple[float, int]] = {}

    def hedged(self, now: float) -> None:
        """An attempt is late, and another worker is asked as well."""
        self.hedged_away += 1
        second = int(now)
        if second not in self._hedges:
            self._hedges = dict(self._lately(now, MINUTE_S))
        self._hedges[second] = self._hedges.get(second, 0) + 1

    def _lately(self, now: float, span_s: int) -> list[tuple[int, int]]:
        """The last `span_s` seconds that have hedges, each with how many."""
        oldest = int(now) - span_s
        return [(second, count) for second, count in self._hedges.items() if second > oldest]

    def hedged_last_minute(self, now: float) -> int:
        """Lookups of the last minute that another worker was asked as well."""
        return sum(count for _, count in self._lately(now, MINUTE_S))

    def rerouted(self) -> None:
        """An attempt failed, and another worker is asked."""
        self.rerouted_away += 1

    def gave_up(self, call: object, began: float, tasks: int) -> None:
        """A call waits no longer for its attempt of `began`, which is still unanswered."""
        self._given_up.setdefault(call, (began, tasks))

    def settled(self, call: object, now: float) -> None:
        """The reply to an attempt that was given up has come, or never will."""
        lost = self._given_up.pop(call, None)
        if lost is not None:
            began, tasks = lost
            self.histogram.add(now - began, now, tasks)

    def add_unanswered(self, counts: dict[int, int], now: float) -> None:
        """Adds those that were given up, and are still unanswered, to counts by bucket."""
        for began, tasks in self._given_up.values():
            bucket = quick_bucket_of(now - began)
            counts[bucket] = counts.get(bucket, 0) + tasks

    def is_trend(self, now: float) -> bool:
        """Whether lookups are hedged away again and again."""
        return len(self._lately(now, TREND_S)) >= HEDGED_SECONDS
