"""Counters that begin anew with whoever counts: by how much they grew within a stretch of time."""

from __future__ import annotations

import math
from collections.abc import Mapping


class Growth:
    """By how much one counter grew since a time. Samples before it say from where on.

    Args:
        first: Unix time in seconds.

    Attributes:
        total: by how much.
    """

    __slots__ = ("_at", "_first", "_last", "total")

    def __init__(self, first: float) -> None:
        self.total = 0
        self._first = first
        self._at = -math.inf
        self._last: int | None = None

    def add(self, at: float, value: int, began: float = -math.inf) -> int | None:
        """Takes a sample.

        Args:
            at: its time.
            value: the counter.
            began: since when whoever counts has counted, as far as that is known.

        Returns:
            By how much it grew since the sample before; None if that is not known.
        """
        grown: int | None = None
        if self._last is None:
            if began >= self._first:
                grown = value
        elif began > self._at or value < self._last:
            grown = value
        else:
            grown = value - self._last
        self._at, self._last = at, value
        if grown is not None and at > self._first:
            self.total += grown
        return grown


class Growths:
    """Several counters with a name each. One that appears later began with zero.

    Args:
        first: see `Growth`.
    """

    def __init__(self, first: float) -> None:
        self._first = first
        self._at: float | None = None
        self._counters: dict[str, Growth] = {}

    def add(self, at: float, values: Mapping[str, int], began: float) -> None:
        """Takes a sample of all; see `Growth.add`."""
        for name, value in values.items():
            counter = self._counters.get(name)
            if counter is None:
                counter = self._counters[name] = Growth(self._first)
                if self._at is not None:
                    counter.add(self._at, 0)
            counter.add(at, value, began)
        self._at = at

    def totals(self) -> dict[str, int]:
        """By how much each grew, of those that did."""
        return {name: one.total for name, one in self._counters.items() if one.total}
