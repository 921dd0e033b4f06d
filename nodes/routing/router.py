"""The router: what all lookups share to decide where they go, and what may be spent on extras."""

from __future__ import annotations

from nodes.routing.balancer import Policy
from nodes.routing.budget import Budget
from nodes.routing.histogram import percentile
from nodes.routing.limits import DEFAULT_LIMITS, RoutingLimits
from nodes.routing.registry import Registry


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

    def refresh(self, now: float) -> None:
        """Works out anew when a lookup is late. To be called about each second."""
        histograms = [worker.histogram for worker in self.registry.live()]
        usual = percentile(histograms, 0.95, now)
        self.hedge_after_s = max(self.limits.hedge_floor_s, usual or 0.0)


def panics(registry: Registry, now: float) -> bool:
    """Whether so many breakers are open that they are not honoured; see `pick`."""
    live = registry.available
    return sum(worker.breaker.allows(now) for worker in live) * 2 < len(live)
