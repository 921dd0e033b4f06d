"""What a launcher knows of its machines in Ray: reports in, orders out, nothing lost or done twice.

No pipe and no thread here: `nodes.fleet.ray.machines` has both.
"""

from __future__ import annotations

from collections import Counter, deque

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

SAME_NAME_AFTER_S = 120.0
"""Seconds for which two nodes of one name are there until they are two machines: a node that was
started anew is seen beside the one before it, until Ray finds out that that one is gone, which it
does in 65 seconds unless it is told otherwise.
"""

_ID_CHARS = 6
"""Characters of Ray's id in the names of machines that are called the same."""

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
        met: whether it was ever known if one can: a node that is new has a keeper in a moment.
        answered: the same of its present node.
        gone_at: when its node was gone, on the ledger's clock.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.room = 0
        self.address = ""
        self.node = ""
        self.why = NO_KEEPER_YET
        self.met = False
        self.answered = False
        self.gone_at = 0.0
        self.keeper: KnownKeeper | None = None

    @property
    def holds_its_name(self) -> bool:
        """Whether it is no other node's: its own is there, and has a keeper or may have one."""
        return self.node != "" and (self.keeper is not None or not self.answered)

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
        self._told: dict[str, KeeperFound | KeeperMissing] = {}
        """What was said last of the keeper of each node that is alive, by Ray's id of it: it may
        be said before the node is a machine's.
        """
        self._seen: tuple[RayNode, ...] = ()
        self._waiting_since: dict[str, float] = {}
        """Nodes whose name is another's, since when, by Ray's id."""

    def take(self, reply: Reply, now: float) -> list[Request]:
        """Takes in what the side process says; returns what it is to be told in turn.

        Args:
            reply: what it says.
            now: seconds of a clock that never goes back.
        """
        if isinstance(reply, NodesSeen):
            return self._see(reply.nodes, now)
        if isinstance(reply, KeeperFound | KeeperMissing):
            self._told[reply.node] = reply
            return self._meet(reply)
        if isinstance(reply, KeeperGone):
            self._lose(reply)
            return self._see(self._seen, now)
        if isinstance(reply, Obeyed | Reported):
            self._hear(reply)
        return []

    def side_ended(self) -> None:
        """The side process ended: the next has to find the keepers first."""
        self._told.clear()
        for machine in self.machines.values():
            if machine.keeper is not None:
                machine.keeper.followed = False

    def _see(self, nodes: tuple[RayNode, ...], now: float) -> list[Request]:
        self._seen = nodes
        alive = {node.id: node for node in nodes}
        for machine in list(self.machines.values()):
            if machine.node and machine.node not in alive:
                machine.lose_keeper(NODE_GONE)
                machine.node, machine.gone_at = "", now
            elif not machine.node and now - machine.gone_at > FORGET_AFTER_S:
                del self.machines[machine.name]
        self._told = {node: told for node, told in self._told.items() if node in alive}
        requests: list[Request] = []
        for node_id, name in self._name_new(alive, now).items():
            machine = self.machines.setdefault(name, KnownMachine(name))
            machine.lose_keeper(NO_KEEPER_YET)
            machine.node, machine.answered = node_id, False
            if (told := self._told.get(node_id)) is not None:
                requests += self._meet(told)
        for machine in self.machines.values():
            if (node := alive.get(machine.node)) is not None:
                machine.room, machine.address = node.room, node.address
        return requests

    def _name_new(self, alive: dict[str, RayNode], now: float) -> dict[str, str]:
        """The nodes that become machines now, and what each is called as one: as Ray calls it, and
        with a part of Ray's id where several are called the same.
        """
        known = {machine.node for machine in self.machines.values()}
        new = [node for node in alive.values() if node.id not in known]
        alike = Counter(node.name for node in new)
        since = {node.id: self._waiting_since.get(node.id, now) for node in new}
        named: dict[str, str] = {}
        for node in new:
            machine = self.machines.get(node.name)
            taken = machine is not None and machine.holds_its_name
            if not taken and alike[node.name] == 1:
                named[node.id] = node.name
            elif not taken or now - since[node.id] >= SAME_NAME_AFTER_S:
                named[node.id] = f"{node.name}-{node.id[:_ID_CHARS]}"
        self._waiting_since = {one: at for one, at in since.items() if one not in named}
        return named

    def _meet(self, told: KeeperFound | KeeperMissing) -> list[Request]:
        """Takes in whether a node has a keeper; nothing where it is no machine's yet."""
        machine = next((one for one in self.machines.values() if one.node == told.node), None)
        if machine is None:
            return []
        machine.met = machine.answered = True
        if isinstance(told, KeeperMissing):
            machine.lose_keeper(told.why)
            return []
        if machine.keeper is None or machine.keeper.id != told.keeper:
            machine.lose_keeper("its keeper ended")
            machine.keeper = KnownKeeper(told.keeper)
        machine.why = ""
        keeper = machine.keeper
        keeper.followed = True
        again = [Send(keeper.id, order) for order in keeper.unconfirmed]
        return [Follow(keeper.id, keeper.seen), *again]

    def _lose(self, gone: KeeperGone) -> None:
        for node, told in list(self._told.items()):
            if isinstance(told, KeeperFound) and told.keeper == gone.keeper:
                del self._told[node]
        machine = self._kept_by(gone.keeper)
        if machine is not None:
            machine.lose_keeper(gone.why)

    def _hear(self, reply: Obeyed | Reported) -> None:
        machine = self._kept_by(reply.keeper)
        if machine is None or machine.keeper is None:
            return
        if isinstance(reply, Obeyed):
            machine.keeper.confirmed(reply.number)
            return
        for report in reply.reports:
            machine.keeper.take(report)

    def _kept_by(self, keeper: str) -> KnownMachine | None:
        machines = self.machines.values()
        return next((one for one in machines if one.keeper and one.keeper.id == keeper), None)
