"""`Cluster`: the one face that console and launcher use, and a cluster hosted in this process.

One that runs elsewhere is in `nodes.client.attached`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, Self

import msgspec

from nodes.fleet.fleet import Build, Fleet
from nodes.fleet.machine import OpenMachines
from nodes.master.fleet_reports import FleetReports
from nodes.master.opening import open_endpoint, open_master, stop_watched
from nodes.master.operations import Operations
from nodes.master.recording import MAX_PART_BYTES
from nodes.monitoring.endpoint import Endpoint
from nodes.security.tls import CertificateRole, Tls
from nodes.support.actor import LAUNCHER, acting_as
from nodes.support.addresses import Address
from nodes.support.listening import beside, is_wildcard, named
from nodes.support.paths import state_dir
from nodes.wire import (
    LOOKUP_TIMEOUT_S,
    PAGE_RECORDS,
    ClusterSnapshot,
    Description,
    Envelope,
    Event,
    LogPart,
    RecordingPart,
    Reloaded,
    Second,
    decode_envelope,
    describe,
)

Arg = str | float


class Cluster(Protocol):
    """What can be seen and done. Every method may raise what `nodes.errors` lists."""

    @property
    def address(self) -> str:
        """The master's "HOST:PORT"."""

    @property
    def read_only(self) -> bool:
        """Whether it can be seen, and not changed."""

    def snapshot(self) -> ClusterSnapshot:
        """All of it, now."""

    def events(self, after: int = 0) -> list[Event]:
        """The events with a higher number than `after`."""

    def history(self, last_s: int = 300) -> list[Second]:
        """The figures of each of the last seconds, as far as they were written down."""

    def recording(self, from_time: float = 0.0, max_bytes: int = MAX_PART_BYTES) -> RecordingPart:
        """The part of the recording after that time; the minute that is not written yet apart."""

    def spawn(self, count: int = 1, where: str = "") -> list[str]:
        """Starts workers; returns their ids at once. `where` is a machine, "" for any."""

    def kill(self, worker_id: str) -> str:
        """Ends a local worker at once, for good. Returns what was done, as all below do."""

    def drain(self, worker_id: str) -> str:
        """Lets a worker answer its last lookups, then leave for good."""

    def restart(self, worker_id: str) -> str:
        """Lets a local worker answer its last lookups, then starts it anew."""

    def again(self, worker_id: str) -> str:
        """Starts a local worker that is gone under the same id."""

    def clear(self) -> str:
        """Forgets the workers that are gone: no snapshot has them any more."""

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

    def page(
        self, name: str, *args: Arg, limit: int = PAGE_RECORDS, after: str | None = None
    ) -> Envelope:
        """Asks a lookup: one page of its answer."""

    def describe(self) -> Description:
        """What is served."""

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """A few real values of a field."""

    def close(self) -> None:
        """Ends it (hosted: stops every worker and the master) or lets go of it (attached)."""


class HostedCluster(Operations):
    """A master and its local workers, in this process; a forked child's copy is of no use there.

    Args:
        build: makes the catalog of the records to serve; asked again at each reload.
        workers: how many to start.
        host, port: the master's; port 0 lets the system choose.
        balance: one of `nodes.routing.POLICIES`.
        watch: whether to reload by itself when the records change.
        require_token: whether lookups need a token as well.
        tls: the folder of certificates; None for no TLS.
        insecure: whether an address that others reach may be without TLS.
        audit: the file that what operators do is written to as well; None for none.
        open_machines: opens the machines that workers are placed on; None for this one alone.
        clock: Unix time in seconds; see `nodes.master.core.MasterCore`.
        workers_from: the networks, in CIDR's form, that workers may register from besides this
            machine; none for any.
        metrics: where it is watched over HTTP, as "HOST:PORT"; None for nowhere.
        metrics_open: whether others than this machine may reach that.
        tracing: whether spans are written of lookups; see `nodes.monitoring.tracing`.
        options: see `ClusterSnapshot`.
        log_options: what and how workers log; see `nodes.fleet.worker_command`.

    Attributes:
        endpoint: where it is watched; None for nowhere.

    Raises:
        DataError: the records cannot be used.
        StartError: the port is taken, the address not allowed, or the machines of no use.
    """

    def __init__(
        self,
        *,
        build: Build,
        workers: int = 3,
        host: str = "127.0.0.1",
        port: int = 0,
        balance: str = "load",
        watch: bool = False,
        require_token: bool = False,
        tls: Path | None = None,
        insecure: bool = False,
        audit: Path | None = None,
        open_machines: OpenMachines | None = None,
        clock: Callable[[], float] = time.time,
        workers_from: Sequence[str] = (),
        metrics: str | None = None,
        metrics_open: bool = False,
        tracing: bool = False,
        options: tuple[str, ...] | None = None,
        log_options: Sequence[str] = (),
    ) -> None:
        self._process = os.getpid()
        # Seen to here, so that not each worker fails by itself.
        workers_tls = None if tls is None else Tls(tls, CertificateRole.WORKER, host=beside(host))
        self.master = open_master(
            host=host,
            port=port,
            balance=balance,
            require_token=require_token,
            tls=tls,
            insecure=insecure,
            audit=audit,
            clock=clock,
            workers_from=workers_from,
            tracing=tracing,
            options=options,
        )
        if workers_tls is not None:
            self.master.expiries["workers"] = workers_tls.expires_at
        super().__init__(
            loop=self.master.loop,
            membership=self.master.membership,
            orders=self.master.orders,
            event_log=self.master.events,
            acts=self.master.acts,
            take_snapshot=self.master.snapshot,
            journal_path=lambda: None if self.master.journal is None else self.master.journal.path,
            recording_path=lambda: self.master.recording_path,
        )
        self.endpoint: Endpoint | None = None
        try:
            self.endpoint = open_endpoint(self.master, metrics, is_open=metrics_open)
            self.fleet = self._lead(build, tls, open_machines, log_options)
            self.master.start()
            with acting_as(LAUNCHER):
                self.fleet.spawn(workers)
            if watch:
                self.fleet.watch()
        except BaseException:
            stop_watched(self.master, self.endpoint)
            raise

    def _lead(
        self,
        build: Build,
        tls: Path | None,
        open_machines: OpenMachines | None,
        log_options: Sequence[str],
    ) -> Fleet:
        """Gives the master a fleet, which says what is served."""
        master = self.master
        if tls is not None:
            # Local workers dial the address, whatever name was given for it.
            Tls(tls, CertificateRole.MASTER, host=named(master.address.host))
        machines = None if open_machines is None else open_machines(master.address)
        fleet = Fleet(
            observer=FleetReports(master.membership, master.orders, master.loop),
            master=master.address,
            build=build,
            logs=state_dir() / "logs" / str(master.address.port),
            tls=tls,
            machines=machines,
            log_options=log_options,
        )
        master.led_by(fleet)
        master.loop.call(master.membership.serves, describe(fleet.catalog.info))
        return fleet

    @property
    def address(self) -> str:
        """The master's "HOST:PORT", as it is dialled from this machine."""
        host, port = self.master.address
        return str(Address(beside(host), port) if is_wildcard(host) else self.master.address)

    @property
    def read_only(self) -> bool:
        """Whoever hosts it may do everything."""
        return False

    def page(
        self, name: str, *args: Arg, limit: int = PAGE_RECORDS, after: str | None = None
    ) -> Envelope:
        """Asks a lookup: one page of its answer."""
        lookups = self.master.lookups
        return decode_envelope(
            self.master.loop.run(lookups.lookup(name, args, limit=limit, after=after))
        )

    def describe(self) -> Description:
        """What is served."""
        return self.master.loop.run(self.master.describe())

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """A few real values of a field."""
        lookups = self.master.lookups
        reply = self.master.loop.run(
            lookups.suggest(field, prefix, limit=limit, timeout_s=LOOKUP_TIMEOUT_S)
        )
        return msgspec.convert(decode_envelope(reply).result, list[str])

    def close(self) -> None:
        """Stops the master and, once their last lookups are answered, the workers; in the process
        that started them.
        """
        if os.getpid() != self._process:
            return
        stop_watched(self.master, self.endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
