"""The nodes of a Ray cluster as a fleet's machines."""

from __future__ import annotations

import errno
import functools
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nodes.errors import StartError
from nodes.fleet.keeper.messages import Signal, Start, Tell
from nodes.fleet.keeper.session import KeptWorker
from nodes.fleet.machine import Ability, Launch, OpenMachines, Sink
from nodes.fleet.ray.engine import Engine, parse_engine
from nodes.fleet.ray.ledger import KnownKeeper, KnownMachine, Ledger
from nodes.fleet.ray.messages import NO_ANSWER, Action, Join, Joined, Reply
from nodes.fleet.ray.side_process import COMMAND, SideProcess
from nodes.fleet.token_watch import TokenWatch
from nodes.security.credentials import worker_token
from nodes.support.addresses import Address
from nodes.support.listening import is_loopback, is_wildcard
from nodes.support.paths import state_dir
from nodes.wire import LauncherSecrets, encode_secrets

JOIN_TIMEOUT_S = 40.0
"""Seconds for the side process to join the Ray cluster."""

FIRST_KEEPER_TIMEOUT_S = 30.0
"""Seconds for the first keeper to answer."""

ALL_KEEPERS_TIMEOUT_S = 5.0
"""Seconds for all keepers to answer before the first workers are placed on those that did."""

POLL_S = 0.05


def nodes_of(engine: str, *, open_allowed: bool) -> OpenMachines:
    """The nodes of a Ray cluster.

    Args:
        engine: as on a command line; see `parse_engine`.
        open_allowed: whether it may be one that asks nobody for a token.

    Raises:
        BadRequest: that is no engine.
    """
    parsed = parse_engine(engine)

    def open_machines(master: Address) -> RayMachines:
        log = state_dir() / "logs" / str(master.port) / "ray.log"
        return RayMachines(
            parsed, master=master, token=worker_token, log=log, open_allowed=open_allowed
        )

    return open_machines


class RayMachines:
    """The nodes of a Ray cluster: `nodes.fleet.machine.Machines`. For many threads.

    Args:
        engine: which cluster.
        master: where the master listens.
        token: the token that workers register with; asked again, as it may be rotated.
        log: what the process that speaks to Ray writes.
        open_allowed: whether a Ray cluster may be used that asks nobody for a token.
        command: the side process.

    Raises:
        StartError: the cluster cannot be joined, or no node of it takes a worker.
    """

    abilities = frozenset(Ability)

    def __init__(
        self,
        engine: Engine,
        *,
        master: Address,
        token: Callable[[], str | None],
        log: Path,
        open_allowed: bool = False,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._lock = threading.Lock()
        self._ledger = Ledger()
        self._machines: dict[str, RayMachine] = {}
        self._keys = itertools.count(1)
        self._listens = master
        self._here = ""
        """The address of this machine's node."""
        self._token = token
        self._tls = engine.tls
        owner = secrets.token_hex(8)
        join = Join(engine.address, engine.node, str(master), owner, open_allowed)
        self._side = SideProcess(join, self._take, ended=self._ended, log=log, command=command)
        self._watch = TokenWatch(token, self._tell_token)
        self._side.start()
        try:
            self._wait_usable()
        except BaseException:
            self.close()
            raise

    def _wait_usable(self) -> None:
        if not self._side.settled.wait(JOIN_TIMEOUT_S):
            raise StartError(NO_ANSWER)
        if self._side.refusal:
            raise StartError(self._side.refusal)
        began = time.monotonic()
        while not self._is_usable(time.monotonic() - began):
            if time.monotonic() - began > FIRST_KEEPER_TIMEOUT_S:
                why = "; ".join(f"{one.name}: {one.lost}" for one in self.all()) or "none has room"
                raise StartError(f"no node of the Ray cluster takes workers ({why})")
            time.sleep(POLL_S)
        elsewhere = next((one for one in self.all() if not is_loopback(one.host)), None)
        if elsewhere is not None and is_loopback(self._listens.host):
            raise StartError(
                f"node {elsewhere.name} cannot reach a master at {self._listens.host}: add --host "
                "with an address of this machine that it reaches, and --tls"
            )

    def _is_usable(self, waited_s: float) -> bool:
        """Whether workers can be placed: on all nodes, so that they are spread, or after a while
        on any.
        """
        with self._lock:
            all_met = all(machine.met for machine in self._ledger.machines.values())
        any_takes = any(not machine.lost for machine in self.all())
        return any_takes and (all_met or waited_s > ALL_KEEPERS_TIMEOUT_S)

    def all(self) -> Sequence[RayMachine]:
        """All nodes that take workers, and those that did and are gone, by name."""
        return list(self._machines.values())

    def close(self) -> None:
        """Ends the keepers, and the process that speaks to Ray."""
        self._watch.close()
        self._side.close()
        with self._lock:
            for known in self._ledger.machines.values():
                known.lose_keeper("its fleet was closed")

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, Joined):
            self._here = reply.here
        with self._lock:
            # With the lock: what is not confirmed goes before what is ordered from now on.
            for request in self._ledger.take(reply, time.monotonic()):
                self._side.send(request)
            known = self._ledger.machines
            self._machines = {
                name: self._machines.get(name) or RayMachine(self, known[name])
                for name in sorted(known)
                if known[name].met
            }

    def _ended(self) -> None:
        with self._lock:
            self._ledger.side_ended()

    def _order(self, keeper: KnownKeeper, action: Action) -> None:
        request = keeper.order(action)
        if request is not None:
            self._side.send(request)

    # -- for its machines and workers ---------------------------------------------

    @property
    def tls(self) -> str:
        """The folder of certificates on the nodes; "" for the same as here."""
        return self._tls

    @property
    def master(self) -> str:
        """The address by which nodes reach the master; "" for the one that it listens on."""
        return self._here if is_wildcard(self._listens.host) else ""

    @property
    def unreachable(self) -> str:
        """Why Ray cannot be asked now, "" if it can."""
        return self._side.unreachable

    def start(self, machine: KnownMachine, launch: Launch, output: Sink) -> KeptWorker:
        """Has a worker started on a machine; see `Machine.start`."""
        told = encode_secrets(LauncherSecrets(self._token() or "", launch.instance))
        with self._lock:
            keeper = machine.keeper
            if keeper is None:
                raise OSError(errno.EHOSTUNREACH, machine.why)
            signal = functools.partial(self._signal, keeper)
            worker = KeptWorker(signal, next(self._keys), output)
            keeper.workers.add(worker)
            self._order(keeper, Start(worker.key, tuple(launch.arguments), told))
        return worker

    def _signal(self, keeper: KnownKeeper, key: int, number: int) -> None:
        with self._lock:
            if key in keeper.workers:
                self._order(keeper, Signal(key, number))

    def _tell_token(self, token: str) -> None:
        tell = Tell(encode_secrets(LauncherSecrets(token)))
        with self._lock:
            for machine in self._ledger.machines.values():
                if machine.keeper is not None:
                    self._order(machine.keeper, tell)


class RayMachine:
    """A node: `nodes.fleet.machine.Machine`."""

    def __init__(self, machines: RayMachines, known: KnownMachine) -> None:
        self._machines = machines
        self._known = known

    @property
    def name(self) -> str:
        """What Ray calls the node."""
        return self._known.name

    @property
    def room(self) -> int:
        """Workers that it takes at most."""
        return self._known.room

    @property
    def host(self) -> str:
        """The address that its workers listen on."""
        return self._known.address

    @property
    def tls(self) -> str:
        """The folder of certificates there; "" for the same as here."""
        return self._machines.tls

    @property
    def master(self) -> str:
        """The address by which its workers reach the master; "" for the one that it listens on."""
        return self._machines.master

    @property
    def lost(self) -> str:
        """Why no worker can be started there now, "" if one can."""
        return self._known.why or self._machines.unreachable

    def start(self, launch: Launch, output: Sink) -> KeptWorker:
        """Starts a worker there; see `nodes.fleet.machine.Machine`."""
        return self._machines.start(self._known, launch, output)
