"""The schedule of a load: each client asks when it has its answer, or on time in any case."""

from __future__ import annotations

import itertools
import math

import msgspec


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole load. A call is one lookup, or one batch of them.

    Attributes:
        clients: how many ask at the same time.
        seconds: how long they ask; None for no such end.
        calls: how many they make, all together; None for no such end.
        rate: calls a second, all together (open loop), or 0.0 for as fast as each client
            has its answers (closed loop).
        patience: seconds that an open loop may be late, what is later being forgotten; None
            to forget nothing.
    """

    clients: int = 1
    seconds: float | None = None
    calls: int | None = None
    rate: float = 0.0
    patience: float | None = None

    def schedule(self, client: int, start: float) -> Schedule:
        """The part of the client of that number, from 0 up; `start` by a steady clock."""
        return Schedule(
            start=start + (client / self.rate if self.rate else 0.0),
            end=math.inf if self.seconds is None else start + self.seconds,
            calls=math.inf if self.calls is None else share(self.calls, self.clients, client),
            every=self.clients / self.rate if self.rate else 0.0,
            patience=math.inf if self.patience is None else self.patience,
        )


class Schedule:
    """When one client's calls are due, in seconds of a steady clock.

    In an open loop a call that cannot be made on time is made as soon as it can be, and its
    latency counts from when it was due: the wait that a slow answer causes to those behind it
    is not left out (it is, where a client asks only after its answer: "coordinated omission").
    """

    def __init__(
        self, *, start: float, end: float, calls: float, every: float, patience: float = math.inf
    ) -> None:
        self._start = start
        self._end = end
        self._calls = calls
        self._every = every
        self._patience = patience
        self._made = 0

    @property
    def _due(self) -> float:
        return self._start + self._made * self._every

    def next(self, now: float) -> float | None:
        """When the next call is due, `now` for at once; None if there is none.

        May be asked again before the call is made.
        """
        if self._made >= self._calls:
            return None
        if self._every:
            self._start += max(0.0, now - self._patience - self._due)
        due = self._due if self._every else max(now, self._start)
        return due if due < self._end and now < self._end else None

    def made(self) -> None:
        """The call that was due is made."""
        self._made += 1

    def unsent(self, now: float) -> int:
        """How many calls were due before `now` (or the end), and were not made."""
        until = min(now, self._end)
        if not self._every or until <= self._due:
            return 0
        due = math.ceil((until - self._start) / self._every - 1e-9)
        return int(min(self._calls, due)) - self._made


def share(calls: int, clients: int, client: int) -> int:
    """How many of the calls are that client's: all shares are equal, or differ by one."""
    return calls // clients + (client < calls % clients)


def spread(clients: int, processes: int) -> list[range]:
    """The numbers of the clients that each process holds: no more processes than asked."""
    processes = min(clients, processes)
    ends = [round(clients * part / processes) for part in range(processes + 1)]
    return [range(low, high) for low, high in itertools.pairwise(ends)]
