"""Lanes to one address, kept while they are idle."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from nodes.support import forks
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
    """

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
        self._fresh_s = fresh_s
        self._closed = False
        self._begin()
        forks.enlist(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[Lane, float]] = []  # and when it was given back
        self._broke_at = -math.inf
        self._taken: set[Lane] = set()

    def renew(self) -> None:
        """Begin without a lane, in a forked child; the parent feels nothing of it."""
        inherited = [*self._taken, *(lane for lane, _ in self._idle)]
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
            with self._lock:
                if self._closed:
                    raise self._gone()
                if not self._idle:
                    break
                lane, given_at = self._idle.pop()
                self._taken.add(lane)
            fresh = given_at > self._broke_at and time.monotonic() - given_at < self._fresh_s
            if (fresh and not sure) or not lane.stale:
                return lane
            self._drop(lane)
        return self._dial(timeout)

    def _dial(self, timeout: float) -> Lane:
        lane = Lane.dial(
            self._host,
            self._port,
            timeout=min(timeout, self._dial_timeout),
            limits=self._limits,
            tls=self._tls,
        )
        with self._lock:
            if not self._closed:
                self._taken.add(lane)
                return lane
        lane.close()
        raise self._gone()

    def give(self, lane: Lane) -> None:
        """Return a lane. One that is not idle is closed: its answer may still come."""
        idle, now = lane.idle, time.monotonic()
        with self._lock:
            self._taken.discard(lane)
            if not idle:
                self._broke_at = now  # what ended it may have ended others
            elif not self._closed and len(self._idle) < self._most_idle:
                self._idle.append((lane, now))
                return
        lane.close()

    def _drop(self, lane: Lane) -> None:
        with self._lock:
            self._taken.discard(lane)
        lane.close()

    def empty(self) -> None:
        """Close idle lanes: whoever takes one next dials anew."""
        with self._lock:
            idle, self._idle = self._idle, []
        for lane, _ in idle:
            lane.close()

    def close(self) -> None:
        """Close idle lanes and end those in use: their callers get `LinkLost` at once."""
        with self._lock:
            self._closed = True
            taken = list(self._taken)
        self.empty()
        for lane in taken:
            # Only its taker may close the descriptor: it may be waiting on it.
            lane.abort()

    def _gone(self) -> LinkLost:
        return LinkLost(f"{self._host}:{self._port}: no longer in use")
