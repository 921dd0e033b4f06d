"""What a worker counts."""

from __future__ import annotations


class Counters:
    """What a worker counts: lookups that did not come from its master, which counts its own, and
    all errors.

    Attributes:
        served: lookups answered.
        in_flight: lookups being answered.
        errors: lookups that failed by the worker's own fault.
    """

    def __init__(self) -> None:
        self.served = 0
        self.in_flight = 0
        self.errors = 0
