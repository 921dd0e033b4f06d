"""Operations: what an operator can do to a cluster, each written down once.

The hosted cluster is these; the master's verbs are these, by the same names; and the attached
cluster asks for them by a table of its own (`nodes.cluster`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nodes.errors import DataError
from nodes.fleet.control import FleetControl
from nodes.master.acts import Acts, act
from nodes.master.events import EventLog
from nodes.master.journal_reading import read_seconds
from nodes.master.membership import Membership
from nodes.master.recording import MAX_PART_BYTES, read_part
from nodes.master.worker_orders import WorkerOrders
from nodes.support.actor import by_actor
from nodes.support.event_kinds import EventKind
from nodes.support.natural import natural_key
from nodes.transport import LoopThread
from nodes.wire import ClusterSnapshot, Event, LogPart, RecordingPart, Reloaded, Second

INSTANT = frozenset(("snapshot", "events"))
"""The operations that do not wait for anything."""


MAX_HISTORY_S = 3600
"""Seconds that `history` goes back at most."""


class Operations:
    """The operations on one master and its fleet. Each may raise what `nodes.errors` lists, and
    wait for a while: they are for other threads than the master's loop, `INSTANT` ones apart.

    Args:
        loop: the master's.
        membership: the master's, which knows the fleet.
        orders: to the membership's workers.
        event_log: the master's.
        acts: tells of what changes the cluster.
        take_snapshot: takes one of now, from any thread.
        journal_path: where the master's journal is; None without one.
        recording_path: where the master's recording is; None without one.
    """

    def __init__(
        self,
        *,
        loop: LoopThread,
        membership: Membership,
        orders: WorkerOrders,
        event_log: EventLog,
        acts: Acts,
        take_snapshot: Callable[[], ClusterSnapshot],
        journal_path: Callable[[], Path | None] = lambda: None,
        recording_path: Callable[[], Path | None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._membership = membership
        self._orders = orders
        self._event_log = event_log
        self.acts = acts
        self._take_snapshot = take_snapshot
        self._journal_path = journal_path
        self._recording_path = recording_path

    @property
    def _fleet(self) -> FleetControl:
        return self._membership.fleet

    def snapshot(self) -> ClusterSnapshot:
        """All of it, now."""
        return self._take_snapshot()

    def events(self, after: int = 0) -> list[Event]:
        """The events with a higher number than `after`."""
        return self._event_log.after(after)

    def history(self, last_s: int = 300) -> list[Second]:
        """The figures of each of the last seconds, as far as the journal has them."""
        path = self._journal_path()
        if path is None:
            return []
        last_s = min(max(0, last_s), MAX_HISTORY_S)
        try:
            return read_seconds(path, last_s=last_s, most=MAX_HISTORY_S)
        except DataError:
            return []  # nothing is written down yet, or it cannot be read: the master says so

    def recording(self, from_time: float = 0.0, max_bytes: int = MAX_PART_BYTES) -> RecordingPart:
        """The part of the recording after that time; the minute that is not written yet apart."""
        return read_part(self._recording_path(), from_time, max_bytes)

    @act
    def spawn(self, count: int = 1, where: str = "") -> list[str]:
        """Starts workers; returns their ids at once. `where` is a machine, "" for the one with
        most room.
        """
        return self._fleet.spawn(count, where)

    @act
    def scale(self, count: int) -> str:
        """Starts or drains local workers until `count` are wanted."""
        return self._fleet.scale(count)

    @act
    def kill(self, worker_id: str) -> str:
        """Ends a local worker at once, for good. Returns what was done, as all below do."""
        return self._fleet.kill(worker_id)

    @act
    def drain(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then leave for good, whoever started it."""
        if self._loop.call(self._membership.is_local, worker_id):
            return self._fleet.drain(worker_id)
        self._loop.run(self._orders.retire(worker_id, by_actor()))
        return f"{worker_id} drains, then leaves"

    @act
    def restart(self, worker_id: str) -> str:
        """Lets a local worker answer its last lookups, then starts it anew."""
        return self._fleet.restart(worker_id)

    @act
    def again(self, worker_id: str) -> str:
        """Starts a local worker that is gone under the same id."""
        return self._fleet.again(worker_id)

    @act
    def clear(self) -> str:
        """Forgets the workers that are gone: no snapshot has them any more."""
        gone = self._loop.call(self._membership.registry.forget_gone)
        if not gone:
            return "no worker is gone: nothing to forget"
        text = f"{', '.join(sorted(gone, key=natural_key))} forgotten"
        self._event_log.note(EventKind.CLEARED, "", f"{text}, {by_actor()}")
        return text

    @act
    def freeze(self, worker_id: str) -> str:
        """Stops a local worker with SIGSTOP, to rehearse the failure that no exit reports."""
        return self._fleet.freeze(worker_id)

    @act
    def thaw(self, worker_id: str) -> str:
        """Lets a frozen local worker go on."""
        return self._fleet.thaw(worker_id)

    def log(self, worker_id: str, after: int = -1) -> LogPart:
        """The part of a local worker's log from the place `after`, -1 for the end of it."""
        return LogPart(*self._fleet.log(worker_id, after))

    @act
    def reload(self) -> Reloaded:
        """Brings changed records into service."""
        return self._fleet.reload()
