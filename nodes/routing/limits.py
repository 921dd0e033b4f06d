"""The figures of routing, in one place: when a lookup is sent again, and how often."""

from __future__ import annotations

import msgspec


class RoutingLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a lookup is hedged, rerouted or given up, and what all that may cost.

    A hedge is sent after the 95th percentile of the recent lookups. The retry budget pays for
    reroutes after a timeout and for second rounds; its burst is what a master may have in flight
    at a worker that freezes, all of which may then move at once.

    Attributes:
        hedge_floor_s: seconds before which no lookup is hedged.
        hedge_share: hedges, as a share of all lookups.
        hedge_burst: hedges that may be saved up.
        retry_share: retries, as a share of all lookups.
        retry_burst: retries that may be saved up.
        retry_per_s: retries a second, however few lookups there are.
        attempt_timeout_s: seconds that one attempt may take while another worker could be asked
            instead. Nothing else finds out a frozen worker.
        store_silence_s: the same for a worker whose records lie in a store: seconds since its last
            probe was answered. As long as it answers probes, it waits for the store, as another
            would.
        max_calls: calls sent to one worker at a time; more wait in the order they came, for
            whichever worker is next.
        round_pause_s: seconds before a second round, when every worker has failed a lookup.
        death_notice_s: seconds after the end of a worker's connection within which the news of
            its death may still arrive.
        ranked_from: workers from which on they are ranked in a heap: below, to look at each of
            them is quicker.
    """

    hedge_floor_s: float = 0.05
    hedge_share: float = 0.1
    hedge_burst: float = 32.0
    retry_share: float = 0.2
    retry_burst: float = 256.0
    retry_per_s: float = 10.0
    attempt_timeout_s: float = 0.5
    store_silence_s: float = 1.25
    max_calls: int = 16
    round_pause_s: float = 0.05
    death_notice_s: float = 0.1
    ranked_from: int = 16


DEFAULT_LIMITS = RoutingLimits()
