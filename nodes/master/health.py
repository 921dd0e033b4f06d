"""How the cluster as a whole is: what follows from the figures of all workers together."""

from __future__ import annotations

from nodes.routing import Router, panics
from nodes.support.event_kinds import EventKind
from nodes.support.hysteresis import Hysteresis

SPENT_S = 5.0
"""Seconds for which it is told that lookups were not hedged."""


class HealthWatch:
    """Looks at a router about each second, and says what has changed. No I/O, not thread-safe.

    Attributes:
        panicking: whether so many breakers are open that they are not honoured.
        hedges_spent: whether lookups were not hedged of late, though they were late.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self.panicking = False
        self.hedges_spent = False
        self._short_of_hedges = Hysteresis(on_after=0.0, off_after=SPENT_S)

    def look(self, now: float) -> list[tuple[EventKind, str]]:
        """Works out anew what is late, and returns what is worth an event."""
        router = self._router
        router.refresh(now)
        budgets = {
            EventKind.HEDGES_SPENT: router.hedging,
            EventKind.RETRIES_SPENT: router.retrying,
        }
        self.hedges_spent = self._short_of_hedges.note(now, holds=router.hedging.short)
        spent = "more lookups are late, or fail, than that budget covers"
        news = [(kind, spent) for kind, budget in budgets.items() if budget.ran_out()]
        before, self.panicking = self.panicking, panics(router.registry, now)
        if self.panicking and not before:
            text = "most workers fail: all of them are tried, breakers or not"
            news.append((EventKind.PANIC, text))
        elif before and not self.panicking:
            news.append((EventKind.CALM, "most workers answer: breakers are honoured again"))
        return news
