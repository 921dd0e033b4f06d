"""Bytes that a server holds for its peers, bounded in all. No sockets, no clock."""

from __future__ import annotations

from collections.abc import Callable

LARGE_BYTES = 16 * 1024
"""Bytes of what is looked at before it is held; all that is smaller is counted now and then."""


class Holdings:
    """A bound on what is held for all peers together: answers they have not taken, requests that
    are being answered, frames that have come in part.

    What there is is counted anew only where an estimate says that it may be too much.

    Args:
        max_bytes: held at most.
        measure: says how many there are.
        relieve: lets go of the peer that keeps us waiting with most; returns whether there was one.

    Attributes:
        refused: what there was no room for, so far.
    """

    def __init__(
        self, max_bytes: int, *, measure: Callable[[], int], relieve: Callable[[], bool]
    ) -> None:
        self.refused = 0
        self._max_bytes = max_bytes
        self._measure = measure
        self._relieve = relieve
        self._estimate = 0

    def admit(self, size: int) -> bool:
        """Whether so many bytes more can be held, if need be in the place of what a slow peer has
        not taken.
        """
        self._estimate += size
        if self._estimate <= self._max_bytes or self._makes_room(size):
            return True
        self.refused += 1
        return False

    def look(self) -> None:
        """Counts anew, and makes room where there is too much. To be called several times a
        second.
        """
        self._makes_room(0)

    def _makes_room(self, size: int) -> bool:
        while True:
            held = self._measure()
            self._estimate = held + size
            if self._estimate <= self._max_bytes:
                return True
            if not self._relieve():
                self._estimate = held
                return False
