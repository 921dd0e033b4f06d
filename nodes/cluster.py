"""`Cluster`: the one face that console and launcher use, in this process or attached."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, Self

import msgspec

from nodes.client.connection import MasterConnection
from nodes.errors import StartError
from nodes.fleet.fleet import Build, Fleet
from nodes.master.journal import journal_file
from nodes.master.master import Master
from nodes.security.tls import Role, Tls
from nodes.security.tokens import cursor_key, ensure_token, operator_token, valid_keys
from nodes.support.addresses import beside, check_host, explain_bind, named
from nodes.support.paths import state_dir
from nodes.transport import Value
from nodes.wire import (
    DEADLINE,
    PAGE,
    ClusterSnapshot,
    Description,
    Envelope,
    Event,
    LogPart,
    Reloaded,
    decode_envelope,
    describe,
)

Arg = str | float


class Cluster(Protocol):
    """What can be seen and done. Every method may raise what `nodes.errors` lists."""

    @property
    def address(self) -> str:
        """The master's "HOST:PORT"."""

    def snapshot(self) -> ClusterSnapshot:
        """All of it, now."""

    def events(self, after: int = 0) -> list[Event]:
        """The events with a higher number than `after`."""

    def spawn(self, count: int = 1) -> list[str]:
        """Starts workers; returns their ids at once."""

    def kill(self, worker_id: str) -> str:
        """Ends a local worker at once, for good. Returns what was done, as all below do."""

    def drain(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then leave for good."""

    def restart(self, worker_id: str) -> str:
        """Lets a local worker answer its last lookups, then starts it anew."""

    def freeze(self, worker_id: str) -> str:
        """Stops a local worker with SIGSTOP, to rehearse the failure that no exit reports."""

    def thaw(self, worker_id: str) -> str:
        """Lets a frozen local worker go on."""

    def log(self, worker_id: str, after: int = -1) -> LogPart:
        """The part of a local worker's log from the place `after`, -1 for the end of it."""

    def scale(self, count: int) -> str:
        """Starts or drains local workers until `count` are wanted."""

    def reload(self) -> Reloaded:
        """Brings changed records into service."""

    def page(self, name: str, *args: Arg, limit: int = PAGE, after: str | None = None) -> Envelope:
        """Asks a lookup: one page of its answer."""

    def describe(self) -> Description:
        """What is served."""

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """A few real values of a field."""

    def close(self) -> None:
        """Ends it (hosted: stops every worker and the master) or lets go of it (attached)."""


class HostedCluster:
    """A master and its local workers, in this process; a forked child's copy is of no use there.

    Arguments (keyword only):
        build: makes the catalog of the records to serve; asked again at each reload.
        workers: how many to start.
        host, port: the master's; port 0 lets the system choose.
        balance: one of `nodes.routing.POLICIES`.
        watch: whether to reload by itself when the records change.
        require_token: whether lookups need a token as well.
        tls: the folder of certificates; None for no TLS.
        insecure: whether an address that others reach may be without TLS.

    Raises:
        DataError: the records cannot be used.
        StartError: the port is taken, or the address not allowed.
    """

    def __init__(
        self, *, build: Build, workers: int = 3, host: str = "127.0.0.1",
        port: int = 0, balance: str = "load", watch: bool = False, require_token: bool = False,
        tls: Path | None = None, insecure: bool = False,
    ) -> None:  # fmt: skip
        self._process = os.getpid()
        # Seen to here, so that not each worker fails by itself.
        workers_tls = None if tls is None else Tls(tls, Role.WORKER, host=beside(host))
        self.master = open_master(
            host=host, port=port, balance=balance, require_token=require_token, tls=tls,
            insecure=insecure,
        )  # fmt: skip
        if workers_tls is not None:
            self.master.expiries["workers"] = workers_tls.expires_at
        membership = self.master.membership
        try:
            if tls is not None:
                # Local workers dial the address, whatever name was given for it.
                Tls(tls, Role.MASTER, host=named(self.master.address.host))
            self.fleet = Fleet(
                observer=membership, master=self.master.address, build=build,
                logs=state_dir() / "logs" / str(self.master.address.port), tls=tls,
            )  # fmt: skip
            membership.fixed = True
            membership.serves(describe(self.fleet.catalog.info))
            membership.claim = self.fleet.claim
            rejoining = membership.expecting
            membership.expecting = lambda: True  # until they are started: who asks first waits
            membership.missed = self.fleet.missed
            membership.weighed = self.fleet.weighed
            self.master.launcher = self.fleet
            self.master.start()
            self.fleet.spawn(workers)
            membership.expecting = lambda: self.fleet.expecting() or rejoining()
            if watch:
                self.fleet.watch()
        except BaseException:
            self.master.stop()
            raise

    @property
    def address(self) -> str:
        """The master's "HOST:PORT"."""
        return str(self.master.address)

    def snapshot(self) -> ClusterSnapshot:
        """All of it, now."""
        return self.master.snapshot()

    def events(self, after: int = 0) -> list[Event]:
        """The events with a higher number than `after`."""
        return self.master.events.after(after)

    def spawn(self, count: int = 1) -> list[str]:
        """Starts workers; returns their ids at once."""
        return self.fleet.spawn(count)

    def kill(self, worker_id: str) -> str:
        """Ends a local worker at once, for good."""
        return self.fleet.kill(worker_id)

    def drain(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then leave for good."""
        return self.master.drain(worker_id)

    def restart(self, worker_id: str) -> str:
        """Lets a local worker answer its last lookups, then starts it anew."""
        return self.fleet.restart(worker_id)

    def freeze(self, worker_id: str) -> str:
        """Stops a local worker with SIGSTOP."""
        return self.fleet.freeze(worker_id)

    def thaw(self, worker_id: str) -> str:
        """Lets a frozen local worker go on."""
        return self.fleet.thaw(worker_id)

    def log(self, worker_id: str, after: int = -1) -> LogPart:
        """A part of a local worker's log."""
        return LogPart(*self.fleet.log(worker_id, after))

    def scale(self, count: int) -> str:
        """Starts or drains local workers until `count` are wanted."""
        return self.fleet.scale(count)

    def reload(self) -> Reloaded:
        """Brings changed records into service."""
        return self.fleet.reload()

    def page(self, name: str, *args: Arg, limit: int = PAGE, after: str | None = None) -> Envelope:
        """Asks a lookup: one page of its answer."""
        return decode_envelope(
            self.master.lookups.lookup(name, args, limit=limit, after=after, timeout=DEADLINE)
        )

    def describe(self) -> Description:
        """What is served."""
        return self.master.describe()

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """A few real values of a field."""
        reply = self.master.lookups.suggest(field, prefix, limit=limit, timeout=DEADLINE)
        return msgspec.convert(decode_envelope(reply).result, list[str])

    def close(self) -> None:
        """Stops the master and, once their last lookups are answered, the workers; in the process
        that started them.
        """
        if os.getpid() != self._process:
            return
        self.master.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AttachedCluster:
    """A cluster that runs elsewhere, reached through its master.

    Arguments:
        address: the master's "HOST:PORT".
        timeout: seconds a question may take.
        tls: the folder with the CA and an operator's certificate; None for no TLS.

    Raises:
        StartError: they are not there.
    """

    STEER = 10.0
    RELOAD = 600.0
    """Seconds that steering may take; a reload builds a catalog, and waits for every worker."""

    def __init__(self, address: str, *, timeout: float = 3.0, tls: Path | None = None) -> None:
        secure = None if tls is None else Tls(tls, Role.OPERATOR).to_master()
        self.address = address
        self._timeout = timeout
        self._master = MasterConnection(address, token=operator_token, tls=secure)

    def _ask(self, verb: str, *args: Value) -> object:
        return self._master.call(verb, *args, timeout=self._timeout, again=True).result

    def _steer(self, verb: str, *args: Value) -> str:
        return str(self._master.call(verb, *args, timeout=self.STEER, again=False).result)

    def snapshot(self) -> ClusterSnapshot:
        """All of it, now."""
        return msgspec.convert(self._ask("snapshot"), ClusterSnapshot)

    def events(self, after: int = 0) -> list[Event]:
        """The events with a higher number than `after`."""
        return msgspec.convert(self._ask("events", after), list[Event])

    def spawn(self, count: int = 1) -> list[str]:
        """Starts workers; returns their ids at once."""
        reply = self._master.call("spawn", count, timeout=self.STEER, again=False)
        return msgspec.convert(reply.result, list[str])

    def kill(self, worker_id: str) -> str:
        """Ends a worker at once, for good."""
        return self._steer("kill", worker_id)

    def drain(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then leave for good."""
        return self._steer("drain", worker_id)

    def restart(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then starts it anew."""
        return self._steer("restart", worker_id)

    def freeze(self, worker_id: str) -> str:
        """Stops a worker of that launcher with SIGSTOP."""
        return self._steer("freeze", worker_id)

    def thaw(self, worker_id: str) -> str:
        """Lets a frozen worker go on."""
        return self._steer("thaw", worker_id)

    def log(self, worker_id: str, after: int = -1) -> LogPart:
        """A part of a worker's log."""
        return msgspec.convert(self._ask("log", worker_id, after), LogPart)

    def scale(self, count: int) -> str:
        """Starts or drains workers until `count` are wanted."""
        return self._steer("scale", count)

    def reload(self) -> Reloaded:
        """Brings changed records into service."""
        reply = self._master.call("reload", timeout=self.RELOAD, again=False)
        return msgspec.convert(reply.result, Reloaded)

    def page(self, name: str, *args: Arg, limit: int = PAGE, after: str | None = None) -> Envelope:
        """Asks a lookup: one page of its answer."""
        return self._master.call(
            "lookup", name, *args, timeout=self._timeout, again=True, limit=limit, after=after
        )

    def describe(self) -> Description:
        """What is served."""
        reply = self._master.call("describe", timeout=self._timeout, again=True)
        return msgspec.convert(reply.result, Description)

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """A few real values of a field."""
        reply = self._master.call(
            "suggest", field, prefix, timeout=self._timeout, again=True, limit=limit
        )
        return msgspec.convert(reply.result, list[str])

    def close(self) -> None:
        """Lets go of it; it runs on."""
        self._master.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def open_master(
    *, host: str, port: int, balance: str, require_token: bool = False, tls: Path | None = None,
    insecure: bool = False,
) -> Master:  # fmt: skip
    """A master that has its port, and does not listen yet. Makes the token if there is none.

    Arguments (keyword only):
        host, port, balance, require_token: see `Master`.
        tls: the folder of certificates; None for no TLS.
        insecure: whether an address that others reach may be without TLS.

    Raises:
        StartError: the port is taken, the address not allowed, the certificates of no use.
    """
    check_host(host, tls=tls is not None, insecure=insecure)
    secure = None if tls is None else Tls(tls, Role.MASTER, host=named(host))
    ensure_token()
    try:
        master = Master(
            keys=valid_keys, host=host, port=port, balance=balance, require_token=require_token,
            tls=secure,
        )  # fmt: skip
    except OSError as error:
        raise StartError(explain_bind(error, host, port)) from error
    master.cursor_key = cursor_key(master.address.port)
    # A port that the system chose is none that anybody comes back to.
    master.keep_journal(journal_file(master.address.port), remember=port != 0)
    return master
