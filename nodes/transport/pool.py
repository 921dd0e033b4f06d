"""Lanes to one address, kept while they are idle."""

from __future__ import annotations

import contextlib
import math
import time
import weakref
from typing import TYPE_CHECKING

from nodes.support import forks
from nodes.support.addresses import Address
from nodes.transport.errors import LinkLost
from nodes.transport.lane import Lane
from nodes.transport.limits import DEFAULTS, Limits

if TYPE_CHECKING:
    from nodes.transport.tls import Secure

FRESH_S = 1.0
"""Seconds within which a lane that was given back is not looked at before it is used: no
server lets it go for its silence so soon, and one that died says so on the call."""


class LanePool:
    """Hands out lanes to one address; for any number of threads, and on both sides of a fork.

    Args:
        host: of the server.
        port: of the server.
        most_idle: lanes kept while nobody uses them; those given back beyond are closed.
        limits: of each lane.
        dial_timeout: seconds; the most that a new connection may take.
        tls: as `Lane.dial`.
        fresh_s: see `FRESH_S`.

    Attributes:
        idle: lanes that nobody uses, the one used last at the end.
        broke_at: when one has broken last, monotonic.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_dial_timeout",
        "_host",
        "_lanes",
        "_limits",
        "_most_idle",
        "_port",
        "_tls",
        "broke_at",
        "fresh_s",
        "idle",
    )

    def __init__(
        self,
        host: str,
        port: int,
        *,
        most_idle: int = 16,
        limits: Limits = DEFAULTS,
        dial_timeout: float = 1.0,
        tls: Secure | None = None,
        fresh_s: float = FRESH_S,
    ) -> None:
        self._host = host
        self._port = port
        self._most_idle = most_idle
        self._limits = limits
        self._dial_timeout = dial_timeout
        self._tls = tls
        self.fresh_s = fresh_s
        self._closed = False
        self._begin()
        forks.enlist(self)

    def _begin(self) -> None:
        # Appending and popping are atomic: nobody waits for another's turn.
        self.idle: list[Lane] = []
        self.broke_at = -math.inf
        # Weakly: one whose taker was interrupted before it could give it back is let go.
        self._lanes: weakref.WeakSet[Lane] = weakref.WeakSet()

    def renew(self) -> None:
        """Begin without a lane, in a forked child; the parent feels nothing of it."""
        inherited = list(self._lanes)
        self._begin()
        for lane in inherited:
            lane.disown()

    def take(self, *, timeout: float, sure: bool = False) -> Lane:
        """An idle lane, or a new one; `give` it back whatever happens.

        The lane used last comes first: it is the least likely to have gone stale, and
        the others may be let go by the server's idle limit.

        Args:
            timeout: seconds, for a dial.
            sure: whether a lane is looked at however fresh: what is sent on it may not be
                sent again if it proves to be closed.

        Raises:
            DialFailed: no connection.
            LinkLost: the pool is closed.
        """
        while True:
            try:
                lane = self.idle.pop()
            except IndexError:
                if self._closed:
                    raise self._gone() from None
                return self._dial(timeout)
            rested_s = time.monotonic() - lane.used_at
            fresh = lane.used_at > self.broke_at and rested_s < self.fresh_s
            if (fresh and not sure) or not lane.stale:
                return lane
            self._drop(lane)

    def _dial(self, timeout: float) -> Lane:
        lane = Lane.dial(
            self._host,
            self._port,
            timeout=min(timeout, self._dial_timeout),
            limits=self._limits,
            tls=self._tls,
        )
        self._lanes.add(lane)
        if self._closed:  # meanwhile
            self._drop(lane)
            raise self._gone()
        return lane

    def give(self, lane: Lane, used_at: float | None = None) -> None:
        """Return a lane. One that is not idle is closed: its answer may still come.

        Args:
            lane: the lane.
            used_at: when it was used, monotonic; None for now.
        """
        lane.used_at = time.monotonic() if used_at is None else used_at
        if not lane.idle:
            self.broke_at = time.monotonic()  # what ended it may have ended others
            self._drop(lane)
        elif len(self.idle) >= self._most_idle:
            self._drop(lane)
        else:
            self.idle.append(lane)
            if self._closed:  # meanwhile
                self.empty()

    def _drop(self, lane: Lane) -> None:
        self._lanes.discard(lane)
        lane.close()

    def empty(self) -> None:
        """Close idle lanes: whoever takes one next dials anew."""
        while self.idle:
            with contextlib.suppress(IndexError):  # another was quicker
                self._drop(self.idle.pop())

    def close(self) -> None:
        """Close idle lanes and end those in use: their callers get `LinkLost` at once."""
        self._closed = True
        self.empty()
        for lane in list(self._lanes):
            # Only its taker may close the descriptor: it may be waiting on it.
            lane.abort()

    def _gone(self) -> LinkLost:
        return LinkLost(f"{Address(self._host, self._port)}: no longer in use")
