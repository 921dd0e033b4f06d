"""A client's view of a master's membership."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from nodes.client.quick import QuickLookups
from nodes.client.worker_link import WorkerLink
from nodes.dispatch.dispatcher import Dispatcher
from nodes.routing import Registry, State, Worker
from nodes.support.addresses import Address
from nodes.wire import Member, Members


class MembershipView:
    """Keeps the registry of this process like the master's. Not thread-safe; no I/O.

    Args:
        dispatcher: told who joins and who leaves.
        registry: the dispatcher's.
        make_link: makes the way to a worker, which wants to be shown that key.
        quick: told who joins and who leaves as well.

    Attributes:
        close: ends the connections to all workers; it holds nothing but these.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        registry: Registry,
        make_link: Callable[[Worker, str], WorkerLink],
        quick: QuickLookups,
    ) -> None:
        self._quick = quick
        self._dispatcher = dispatcher
        self._make_link = make_link
        self._links: dict[int, WorkerLink] = {}
        self._registry = registry
        self._master = ""
        self._known: dict[tuple[str, int], Worker] = {}
        self._probes_answered: dict[int, int] = {}
        self.close = functools.partial(_close, quick, self._links)

    def apply(self, members: Members, now: float) -> None:
        """Takes over the master's list of workers, received at `now` (seconds).

        The empty list of a restarted master is ignored: its workers have yet to register.
        """
        if members.master != self._master and not members.members and self._known:
            return
        self._master = members.master
        there = {(members.master, one.generation): one for one in members.members}
        for name in self._known.keys() - there.keys():
            master, generation = name
            self._lose(name, now, died=master == members.master and generation in members.died)
        for name, member in there.items():
            worker = self._known.get(name) or self._join(name, member, now)
            self._follow(worker, member, now)

    def _lose(self, name: tuple[str, int], now: float, *, died: bool) -> None:
        worker = self._known.pop(name)
        self._registry.lost(worker.generation, "the master no longer has it", now, died=died)
        self._dispatcher.left(worker.generation)
        self._probes_answered.pop(worker.generation, None)
        self._quick.left(worker.generation)
        self._links.pop(worker.generation).close()

    def _join(self, name: tuple[str, int], member: Member, now: float) -> Worker:
        master, generation = name
        worker = self._registry.register(
            wanted_id=member.id,
            instance=f"{master} {generation}",
            pid=0,
            version=member.version,
            address=Address(member.host, member.port),
            now=now,
            in_store=member.in_store,
        )
        self._known[name] = worker
        link = self._links[worker.generation] = self._make_link(worker, member.key)
        self._dispatcher.joined(worker, link)
        self._quick.joined(worker, member.key)
        return worker

    def _follow(self, worker: Worker, member: Member, now: float) -> None:
        probed = self._probes_answered.get(worker.generation)
        if member.state == State.DRAINING:
            self._registry.drain(worker.generation, "the master says so", now)
        elif member.state == State.SUSPECT and worker.state is not State.SUSPECT:
            self._registry.probe_missed(worker.generation, "the master says so", now)
        elif member.state == State.UP and probed != member.probes_answered:
            # It has answered the master since, so its missed calls here are forgiven.
            self._registry.probe_answered(
                worker.generation, version=member.version, cpu=0.0, memory=0, now=now
            )
            self._quick.proved(worker.generation)
        self._probes_answered[worker.generation] = member.probes_answered


def _close(quick: QuickLookups, links: Mapping[int, WorkerLink]) -> None:
    quick.close()
    for link in links.values():
        link.close()
