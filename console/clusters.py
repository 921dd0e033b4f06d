"""The clusters on one screen: which is in front, and which a worker is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from console.cluster_names import said_of, split_key, worker_key
from console.command import ClusterCommand
from console.keys import DECLARED_KEYS, Keys
from console.seen import Overview, Unseen
from console.text import clean
from console.watched import WatchedCluster
from nodes.wire import WorkerView


class Target(NamedTuple):
    """A worker that a command acts on, and its cluster."""

    cluster: WatchedCluster
    worker: WorkerView

    @property
    def key(self) -> str:
        """What it is known by on the screen."""
        return worker_key(self.cluster.name, self.worker.id)

    def refusal(self, command: ClusterCommand) -> str:
        """Why a command cannot be done to it now, "" if it can."""
        why = self.cluster.refusal(command) or command.refusal(self.worker)
        return said_of(self.cluster.name, why) if why else ""


class Clusters:
    """See the module. There is one at least; mostly there is one.

    Args:
        members: in the order in which they were named.
    """

    def __init__(self, members: Iterable[WatchedCluster]) -> None:
        self._members = {cluster.name: cluster for cluster in members}
        self._front = next(iter(self))

    def __iter__(self) -> Iterator[WatchedCluster]:
        return iter(self._members.values())

    def __getitem__(self, name: str) -> WatchedCluster:
        return self._members[name]

    @property
    def front(self) -> WatchedCluster:
        """The one that is asked, and steered by what names no worker: never one that is not seen
        while another is.
        """
        seen = [cluster for cluster in self if cluster.snapshot is not None]
        return self._front if self._front in seen or not seen else seen[0]

    def follow(self, key: str) -> WatchedCluster:
        """Puts the cluster of a row's key in front, and returns the one that is there then: the
        same as before, if the key is of none.
        """
        name, _ = split_key(key, self._members)
        self._front = self._members.get(name, self.front)
        return self.front

    def find(self, key: str, overview: Overview) -> Target | None:
        """A worker that is seen, by its key or, of the cluster in front, by its id alone; None for
        no worker.
        """
        name, worker_id = split_key(key, self._members)
        cluster = self._members.get(name, self.front)
        seen = overview.of(cluster.name)
        workers = seen.snapshot.workers if seen is not None else ()
        found = next((worker for worker in workers if worker.id == worker_id), None)
        return Target(cluster, found) if found is not None else None

    @property
    def read_only(self) -> bool:
        """Whether none of them may be changed from here."""
        return all(cluster.read_only for cluster in self)

    @property
    def not_reached(self) -> str:
        """Which cannot be seen and are tried again, and why; "" for none."""
        lost = [
            said_of(one.name, clean(one.lost, 1000)) for one in self if one.lost and not one.failed
        ]
        return f"not reached: {'; '.join(lost)}; trying again" if lost else ""

    @property
    def worker_keys(self) -> list[str]:
        """The keys of all workers."""
        return [
            worker_key(cluster.name, worker.id)
            for cluster in self
            if cluster.snapshot is not None
            for worker in cluster.snapshot.workers
        ]

    def overview(
        self, front: WatchedCluster, *, read_only: bool, attached: bool, keys: Keys = DECLARED_KEYS
    ) -> Overview | None:
        """What there is to be seen of all of them now; None before there is anything.

        Args:
            front: the one in front.
            read_only, attached, keys: see `WatchedCluster.as_seen`.
        """
        found = [
            cluster.as_seen(read_only=read_only, attached=attached, keys=keys) for cluster in self
        ]
        seen = tuple(one for one in found if one is not None)
        if not seen:
            return None
        return Overview(
            seen,
            next(one for one in seen if one.name == front.name),
            tuple(Unseen(one.name, one.lost, one.failed) for one in self if one.snapshot is None),
        )

    def start(self) -> None:
        """Begins to watch all of them."""
        for cluster in self:
            cluster.driver.start()

    def request_stop(self) -> None:
        """Lets go of all of them without waiting; each says when it is done."""
        for cluster in self:
            cluster.traffic.stop()
            cluster.driver.request_stop()

    def stop(self) -> None:
        """Lets go of all of them, and returns when that is done."""
        self.request_stop()
        for cluster in self:
            cluster.driver.stop()
