"""What a launcher knows of its machines in Ray: reports in, orders out, nothing lost or done twice.

No pipe and no thread here: `nodes.fleet.ray.machines` has both.
"""

from __future__ import annotations

from collections import deque

from nodes.fleet.keeper.session import KeptWorkers
from nodes.fleet.machine import Ending
from nodes.fleet.ray.messages import (
    Action,
    Follow,
    KeeperFound,
    KeeperGone,
    KeeperMissing,
    NodesSeen,
    Obeyed,
    Order,
    RayNode,
    Reply,
    Report,
    Reported,
    Request,
    Send,
)

FORGET_AFTER_S = 3600.0
"""Seconds after which a machine that is gone is known no more: clusters grow and shrink."""

NO_KEEPER_YET = "no keeper answers there yet"
NODE_GONE = "its Ray node is gone"


class KnownKeeper:
    """A keeper, what it was ordered and did not confirm, and how much of its reports is known.

    Attributes:
        followed: whether the present side process was told to follow it, and all that was not
            confirmed: a later order must not overtake an earlier one.
    """

    def __init__(self, keeper_id: str) -> None:
        self.id = keeper_id
        self.workers = KeptWorkers()
        self.unconfirmed: deque[Order] = deque()
        self.seen = 0
        self.followed = False
        self._last_order = 0

    def order(self, action: Action) -> Send | None:
        """A new order, to be sent now; None if it will be once the keeper is followed."""
        self._last_order += 1
        order = Order(self._last_order, action)
        self.unconfirmed.append(order)
        return Send(self.id, order) if self.followed else None

    def confirmed(self, number: int) -> None:
        """It did what it was ordered, up to that number."""
        while self.unconfirmed and self.unconfirmed[0].number <= number:
            self.unconfirmed.popleft()

    def take(self, report: Report) -> None:
        """A report; one that is known is passed over."""
        if report.number <= self.seen:
            return
        self.seen = report.number
        worker = self.workers.reported(report.what)
        if worker is not None:
            worker.take(report.what)

    def lose(self, why: str) -> None:
        """It is gone, and its workers with it."""
        for worker in self.workers.take_all():
            worker.end(Ending(why, machine_lost=True))


class KnownMachine:
    """A node by its name, which outlives it: one that is started anew is the same machine.

    Attributes:
        node: Ray's id of it, "" while there is none.
        why: why no worker can be started there, "" if one can.
        met: whether it is known if one can: a node that is new has a keeper in a moment.
        gone_at: when its node was gone, on the ledger's clock.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.room = 0
        self.address = ""
        self.node = ""
        self.why = NO_KEEPER_YET
        self.met = False
        self.gone_at = 0.0
        self.keeper: KnownKeeper | None = None

    def lose_keeper(self, why: str) -> None:
        """Its keeper, if there was one, is gone."""
        self.why = why
        if self.keeper is not None:
            keeper, self.keeper = self.keeper, None
            keeper.lose(f"{self.name} is lost: {why}")


class Ledger:
    """The machines of one launcher in a Ray cluster. For one thread at a time.

    Attributes:
        machines: by name, those that are gone as well.
    """

    def __init__(self) -> None:
        self.machines: dict[str, KnownMachine] = {}

    def take(self, reply: Reply, now: float) -> list[Request]:
        """Takes in what the side process says; returns what it is to be told in turn.

        Args:
            reply: what it says.
            now: seconds of a clock that never goes back.
        """
        if isinstance(reply, NodesSeen):
            self._see(reply.nodes, now)
        elif isinstance(reply, KeeperFound):
            return self._find(reply)
        elif isinstance(reply, KeeperMissing):
            if (machine := self._on(reply.node)) is not None:
                machine.met = True
                machine.lose_keeper(reply.why)
        elif isinstance(reply, KeeperGone | Obeyed | Reported):
            self._hear(reply)
        return []

    def side_ended(self) -> None:
        """The side process ended: the next has to find the keepers first."""
        for machine in self.machines.values():
            if machine.keeper is not None:
                machine.keeper.followed = False

    def _see(self, nodes: tuple[RayNode, ...], now: float) -> None:
        alive = {node.id for node in nodes}
        for machine in list(self.machines.values()):
            if machine.node and machine.node not in alive:
                machine.lose_keeper(NODE_GONE)
                machine.node, machine.gone_at = "", now
            elif not machine.node and now - machine.gone_at > FORGET_AFTER_S:
                del self.machines[machine.name]
        for node in nodes:
            machine = self.machines.setdefault(node.name, KnownMachine(node.name))
            machine.room, machine.address = node.room, node.address
            if machine.node != node.id:
                machine.lose_keeper(NO_KEEPER_YET)
                machine.node = node.id

    def _find(self, found: KeeperFound) -> list[Request]:
        machine = self._on(found.node)
        if machine is None:
            return []
        if machine.keeper is None or machine.keeper.id != found.keeper:
            machine.lose_keeper("its keeper ended")
            machine.keeper = KnownKeeper(found.keeper)
        machine.why, machine.met = "", True
        keeper = machine.keeper
        keeper.followed = True
        again = [Send(keeper.id, order) for order in keeper.unconfirmed]
        return [Follow(keeper.id, keeper.seen), *again]

    def _hear(self, reply: KeeperGone | Obeyed | Reported) -> None:
        for machine in self.machines.values():
            keeper = machine.keeper
            if keeper is None or keeper.id != reply.keeper:
                continue
            if isinstance(reply, KeeperGone):
                machine.lose_keeper(reply.why)
            elif isinstance(reply, Obeyed):
                keeper.confirmed(reply.number)
            else:
                for report in reply.reports:
                    keeper.take(report)
            return

    def _on(self, node: str) -> KnownMachine | None:
        return next((one for one in self.machines.values() if one.node == node), None)
