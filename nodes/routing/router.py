"""What all lookups share: who is there, who gets the next one, and what may be spent on extras."""

from __future__ import annotations

from nodes.routing.balancer import Policy
from nodes.routing.budget import Budget
from nodes.routing.histogram import percentile
from nodes.routing.registry import Registry


class Router:
    """What all lookups share: the registry, the policy, and the budgets.

    Args:
        registry: who is there.
        policy: who gets the next lookup.
        death_notice_s: seconds after the end of a worker's connection within which the news of
            its death may still arrive.
    """

    HEDGE_SHARE = 0.1
    HEDGE_BURST = 10.0
    HEDGE_FLOOR_S = 0.05
    """A lookup is hedged after the 95th percentile of the recent ones, and no sooner than
    this many seconds; hedges are at most that share of all lookups."""

    RETRY_SHARE = 0.2
    RETRY_BURST = 256.0
    RETRY_PER_S = 10.0
    """Reroutes after a timeout, and second rounds, may be that share of all lookups. The
    burst is what a master takes in at once: when a worker freezes, all it holds may move."""

    ATTEMPT_TIMEOUT_S = 0.5
    """Seconds one attempt may take while another worker could be asked instead. A frozen
    worker is found out by nothing but a deadline of our own."""

    ROUND_PAUSE_S = 0.05
    """Seconds before a second round, when every worker has failed a lookup once."""

    def __init__(self, *, registry: Registry, policy: Policy, death_notice_s: float = 0.1) -> None:
        self.registry = registry
        self.policy = policy
        self.death_notice_s = death_notice_s
        self.hedging = Budget(share=self.HEDGE_SHARE, burst=self.HEDGE_BURST)
        self.retrying = Budget(
            share=self.RETRY_SHARE, burst=self.RETRY_BURST, per_s=self.RETRY_PER_S
        )
        self.hedge_after = self.HEDGE_FLOOR_S
        self.hedges = 0
        self.reroutes = 0

    def refresh(self, now: float) -> None:
        """Works out anew what is late. To be called about each second."""
        figures = [worker.histogram for worker in self.registry.live()]
        usual = percentile(figures, 0.95, now)
        self.hedge_after = max(self.HEDGE_FLOOR_S, usual or 0.0)


def panics(registry: Registry, now: float) -> bool:
    """Whether so many breakers are open that they are not honoured; see `pick`."""
    live = registry.available
    return sum(worker.breaker.allows(now) for worker in live) * 2 < len(live)
