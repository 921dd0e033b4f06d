"""The router: what all lookups share to decide where they go, and what may be spent on extras."""

from __future__ import annotations

import math

from nodes.routing.balancer import Key, Policy, key_of, pick, usual_of
from nodes.routing.budget import Budget
from nodes.routing.histogram import percentile
from nodes.routing.limits import DEFAULT_LIMITS, RoutingLimits
from nodes.routing.ranking import Ranking
from nodes.routing.registry import Registry
from nodes.routing.worker import Worker

FOLD_MANY_S = 0.1
"""Seconds between two folds of the estimates of workers that are so many that they are ranked."""


class Router:
    """What all lookups share: the registry, the policy, and the budgets.

    Args:
        registry: the workers.
        policy: which of them gets the next lookup.
        limits: when lookups are sent again, and how often.

    Attributes:
        hedging, retrying: the budgets of hedges and of retries.
        hedge_after_s: seconds after which a lookup is late.
        hedges, reroutes: how many there have been.
    """

    def __init__(
        self, *, registry: Registry, policy: Policy, limits: RoutingLimits = DEFAULT_LIMITS
    ) -> None:
        self.registry = registry
        self.policy = policy
        self.limits = limits
        self.hedging = Budget(share=limits.hedge_share, burst=limits.hedge_burst)
        self.retrying = Budget(
            share=limits.retry_share, burst=limits.retry_burst, per_s=limits.retry_per_s
        )
        self.hedge_after_s = limits.hedge_floor_s
        self.hedges = 0
        self.reroutes = 0
        self._usual = 0.0
        self._now = 0.0
        self._samples: list[tuple[Worker, float, int]] = []
        self._ranking = Ranking(self._key)
        self._ranked: tuple[tuple[Worker, ...], Policy] | None = None
        self._estimated_at = -math.inf

    def pick_first(self) -> Worker | None:
        """The worker for a lookup that no worker has been sent yet; None if there is none, or all
        have as much to do as they should have at a time.

        The same choice as `pick`, from latencies as of the last fold: one key for each worker, or
        from a heap where there are many.
        """
        available = self.registry.available
        best, least = None, None
        if len(available) >= self.limits.ranked_from:
            best = self._first_ranked()
        else:
            policy, usual = self.policy, self._usual
            for worker in available:
                if worker.breaker.failures:
                    best = self._pick_with_breakers()
                    break
                # `key_of`, as `_key` has it
                key = (worker.rank + worker.late, *policy(worker, worker.estimate, usual))
                if least is None or key < least:
                    best, least = worker, key
        return None if best is None or best.calls >= self.limits.max_calls else best

    def _first_ranked(self) -> Worker | None:
        available, moved, ranking = self.registry.available, self.registry.moved, self._ranking
        ranked = self._ranked
        if ranked is None or ranked[0] is not available or ranked[1] is not self.policy:
            ranking.rebuild(available)
            self._ranked = (available, self.policy)
        else:
            for worker in moved:
                ranking.moved(worker)
        moved.clear()
        best = ranking.first()
        # Whether breakers are honoured is of no matter to one that has not failed.
        if best is None or best.breaker.failures:
            return self._pick_with_breakers()
        return best

    def _key(self, worker: Worker) -> Key:
        return key_of(worker, self.policy, worker.estimate, self._usual)

    def _pick_with_breakers(self) -> Worker | None:
        return pick(self.registry.available, self._key, self._now)

    def took(self, worker: Worker, seconds: float, tasks: int) -> None:
        """A lookup was answered by that worker after `seconds`: folded in by the next `fold`."""
        self._samples.append((worker, seconds, tasks))

    def fold(self, now: float) -> None:
        """Folds in what was measured since the last fold. To be called some 10 ms after each
        lookup, and before breakers are looked at after a pause.
        """
        self._now = now
        samples, self._samples = self._samples, []
        if samples:
            lookups = len(samples)
            self.hedging.earn(lookups)
            self.retrying.earn(lookups)
            for worker, seconds, tasks in samples:
                worker.took(seconds, now, tasks)
        if len(self.registry.available) < self.limits.ranked_from:
            self._estimate(now)
        elif now - self._estimated_at >= FOLD_MANY_S:
            self._estimate(now)
            self._ranked = None  # every key may be another

    def _estimate(self, now: float) -> None:
        """Works out what latency to expect of each worker."""
        self._estimated_at = now
        self.registry.moved.clear()
        estimates = []
        for worker in self.registry.available:
            worker.estimate = worker.latency.estimate(now)
            estimates.append(worker.estimate)
        self._usual = usual_of(estimates)

    def refresh(self, now: float) -> None:
        """Works out anew when a lookup is late. To be called about each second."""
        histograms = [worker.histogram for worker in self.registry.live()]
        usual = percentile(histograms, 0.95, now)
        self.hedge_after_s = max(self.limits.hedge_floor_s, usual or 0.0)


def panics(registry: Registry, now: float) -> bool:
    """Whether so many breakers are open that they are not honoured; see `pick`."""
    live = registry.available
    return sum(worker.breaker.allows(now) for worker in live) * 2 < len(live)
