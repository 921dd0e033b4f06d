"""A fleet that serves one dataset: which catalog its workers open, and how it is changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from nodes.catalog import Catalog, CatalogInfo, Kept, Progress, keep_in_place, open_catalog
from nodes.errors import DataError, NotPossible, StoreDown
from nodes.fleet.lifecycle import WorkerObserver
from nodes.fleet.machine import Machine, Machines
from nodes.fleet.supervisor import LEAVE_TIMEOUT_S, Supervisor
from nodes.fleet.worker_command import worker_command
from nodes.support.actor import LAUNCHER, acting_as, by_actor
from nodes.support.addresses import Address
from nodes.support.event_kinds import EventKind
from nodes.support.supervision import Supervision, supervised_thread
from nodes.wire import Description, Reloaded, describe

logger = logging.getLogger("rollcall.fleet")

RENEW_TIMEOUT_S = 30.0
"""Seconds a reload waits for one worker to come back before it goes on to the next."""

WATCH_EVERY_S = 1.0
"""Seconds between two looks at the files of records, when they are watched."""

KEEP_EVERY_S = 0.25
"""Seconds between two looks whether the catalog's file is there, and as it was built."""

LOOK_AT_LOGS_EVERY_S = 1.0
"""Seconds between two looks whether logs can be written again."""

RETRY_EVERY_S = 1.0
"""The same after a failure: to build it costs more than to look."""

PUT_BACK = "its file was gone, and was put back"

Build = Callable[[Progress], CatalogInfo]
"""Makes the catalog of the records as they are now, and tells how far it is."""


class FleetObserver(WorkerObserver, Protocol):
    """Whom the workers register with, and who can tell them what to serve."""

    def prepare(self, worker_ids: Collection[str], version: str, progressed: Progress) -> None:
        """Has workers get the catalog of that version, all at a time, and waits until each has, or
        gets no further.
        """

    def switch(self, worker_id: str, version: str) -> str:
        """Has a worker serve another catalog; returns why it does not, "" if it does."""

    def accepts(self, version: str) -> None:
        """Workers are about to switch to that version: both are served until all have."""

    def serves(self, description: Description) -> None:
        """That is what is served from now on; a worker with another catalog gets no lookups."""

    def versions(self) -> Mapping[str, str]:
        """The catalog's version of each live worker that stays, by id, whoever started it."""

    def wait_replaced(self, worker_id: str, instance: str, timeout: float) -> bool:
        """Waits until another process than that instance has registered under that id, or nobody
        will. Returns whether it has, within `timeout` seconds.
        """


class Fleet(Supervisor):
    """Local workers of one master, all with the same catalog.

    A worker that is restarted opens the catalog of the last reload, not what the data
    folder holds by now: a file someone is just editing does no harm.

    Args:
        observer: whom they register with.
        master: where that is.
        build: makes the catalog, or finds that nothing changed.
        logs: the folder of their logs.
        tls: the folder of certificates; None for no TLS.
        machines: where workers run; this machine, unless others are given.
        log_options: see `nodes.fleet.worker_command`.

    Attributes:
        catalog: what they serve.
        offered: see `nodes.fleet.control.FleetControl`; while a reload goes on, what is replaced
            and what replaces it.
        activity: how far a reload is, "" when there is none.

    Raises:
        DataError: the records cannot be used.
    """

    says_what_is_served = True
    _observer: FleetObserver

    def __init__(
        self,
        *,
        observer: FleetObserver,
        master: Address,
        build: Build,
        logs: Path,
        tls: Path | None = None,
        machines: Machines | None = None,
        log_options: Sequence[str] = (),
    ) -> None:
        super().__init__(
            observer=observer, command=self._worker_command, logs=logs, machines=machines
        )
        self._master = master
        self._tls = tls
        self._log_options = log_options
        self._build = build
        # Held open: a catalog that somebody has open is never cleared away, and can be put back.
        self.catalog = open_catalog(build(self._progressed).path)
        self.offered: tuple[CatalogInfo, ...] = (self.catalog.info,)
        self.activity = ""
        self._reloading = threading.Lock()
        self._ended = threading.Event()
        self._mend_trouble = ""
        self._threads: list[threading.Thread] = []
        self._repeat("catalog", KEEP_EVERY_S, self._keep_catalog)
        self._repeat("logs", LOOK_AT_LOGS_EVERY_S, self._logs.look)

    def _worker_command(self, worker_id: str, machine: Machine) -> list[str]:
        if not machine.host:
            self._await_catalog()
        return worker_command(
            worker_id,
            machine,
            master=self._master,
            catalog=self.catalog.info.path,
            tls=self._tls,
            log_options=self._log_options,
        )

    def _await_catalog(self) -> None:
        """Returns once the catalog's file is where a worker looks for it.

        Raises:
            DataError: it cannot be put back, nor built again so far.
        """
        while self._put_back() is Kept.DAMAGED and not self._ended.wait(KEEP_EVERY_S):
            if self._mend_trouble:
                raise DataError(self._mend_trouble)

    def reload(self, *, retry: bool = True) -> Reloaded:
        """Builds the catalog of the records as they are now, beside the one that is served,
        and has worker after worker switch to it.

        No worker stops answering meanwhile: each goes on from one lookup to the next. One of this
        fleet that does not switch is restarted; one that others started is sent no more lookups.

        Args:
            retry: whether workers that have not followed so far are asked again where the records
                have not changed.

        Raises:
            DataError: the records cannot be used; nothing was changed.
            NotPossible: a reload is under way.
        """
        if not self._reloading.acquire(blocking=False):
            raise NotPossible("a reload is under way; its events tell when it is done")
        try:
            mended = self._mend()
            info = self._build(self._progressed)
            before = self.catalog.info.version
            changed = info.version != before
            behind = any(one != before for one in self._observer.versions().values())
            if not changed and not (behind and retry):
                done = mended or "nothing to do"
                return Reloaded(f"catalog {before} is what the records say; {done}", {})
            done = f"catalog {before} to {info.version}" if changed else f"catalog {before}"
            self._observer.note(EventKind.RELOAD, "", f"{done}, {by_actor()}")
            left_behind = self._replace(open_catalog(info.path))
            for worker_id, why in left_behind.items():
                done += f"; {worker_id} did not follow: {why}"
            return Reloaded(done, left_behind)
        finally:
            self.activity = ""
            self._reloading.release()

    def _mend(self) -> str:
        """Sees to it that the catalog's file is where workers look for it, and as it was built; the
        reload's lock is held. Returns what was done, "" for nothing.

        Raises:
            DataError: it can be neither put back nor built again.
            StoreDown: the records are in a store that cannot be asked.
        """
        damaged = self.catalog
        kept = self._put_back()
        if kept is not Kept.DAMAGED:
            return PUT_BACK if kept is Kept.PUT_BACK else ""
        info = self._build(self._progressed)
        if info.version == damaged.info.version:
            self.catalog, self.offered = open_catalog(info.path), (info,)
            damaged.close()
            return self._note_mended("its file was damaged, and was built again")
        # Nobody has those records any more: what they are now is served.
        self._replace(open_catalog(info.path))
        return self._note_mended(f"catalog {damaged.info.version} was damaged")

    def _put_back(self) -> Kept:
        """See `nodes.catalog.keep_in_place`."""
        kept = keep_in_place(self.catalog)
        if kept is Kept.PUT_BACK:
            self._note_mended(PUT_BACK)
        return kept

    def _note_mended(self, what: str) -> str:
        self._observer.note(EventKind.MENDED, "", f"catalog {self.catalog.info.version}: {what}")
        return what

    def _progressed(self, stage: str, done: int, total: int) -> None:
        self.activity = f"reload: {stage} {done * 100 // max(1, total)} %"

    def _replace(self, fresh: Catalog) -> dict[str, str]:
        """Serves that catalog in place of the present one; returns why which worker does not."""
        old, version = self.catalog, fresh.info.version
        self.offered = (old.info, fresh.info)
        # They go on with what they have until each has the other: then all switch at once.
        lacking = [one for one, has in self._observer.versions().items() if has != version]
        try:
            self._observer.prepare(lacking, version, self._progressed)
            self.catalog, self.offered = fresh, (fresh.info, old.info)
            left_behind = self._switch_all()
        finally:
            self.offered = (self.catalog.info,)
        old.close()
        return left_behind

    def _switch_all(self) -> dict[str, str]:
        """Has every worker switch to the catalog; returns why which did not."""
        info, observer = self.catalog.info, self._observer
        observer.accepts(info.version)
        behind: dict[str, str] = {}
        versions = observer.versions()
        wanted = [one for one, version in versions.items() if version != info.version]
        wanted += [one for one in list(self._children) if one not in versions]
        for number, worker_id in enumerate(wanted, 1):
            self.activity = f"reload: switching {number} of {len(wanted)}"
            why = self._switch(worker_id)
            if why:
                behind[worker_id] = why
        observer.serves(describe(self.catalog.info))
        observer.note(EventKind.RELOADED, "", f"catalog {info.version}")
        return behind

    def _switch(self, worker_id: str) -> str:
        """Has one worker switch; returns why it does not, "" if it does, or is gone."""
        child = self._children.get(worker_id)
        if self._stopping or (child is None and worker_id not in self._observer.versions()):
            return ""
        if child is not None and not child.wanted:
            return ""
        why = self._observer.switch(worker_id, self.catalog.info.version)
        if not why:
            self._observer.note(
                EventKind.SWITCHED, worker_id, f"serves catalog {self.catalog.info.version}"
            )
        elif child is None:
            self._observer.note(EventKind.NOT_SWITCHED, worker_id, why)
        elif worker_id in self._children:
            instance = child.instance
            self._observer.note(EventKind.NOT_SWITCHED, worker_id, f"{why}; it is restarted")
            self.restart(worker_id)
            came = self._observer.wait_replaced(worker_id, instance, RENEW_TIMEOUT_S)
            gone = worker_id not in self._children
            why = "" if came or gone else "it was restarted, and is not back"
        return why

    def _keep_catalog(self) -> None:
        """Mends the catalog, if it has to be."""
        if not self._reloading.acquire(blocking=False):
            return  # that mends it as well
        try:
            self._mend()
            self._mend_trouble = ""
        except (DataError, StoreDown) as error:
            self._mend_trouble = f"the catalog's file is gone or damaged, and stays so: {error}"
            raise
        finally:
            self.activity = ""
            self._reloading.release()

    def watch(self) -> None:
        """Reloads by itself whenever the files change, until the end. Broken ones change
        nothing: an event says why, once.
        """

        def reload() -> None:
            with acting_as(f"{LAUNCHER}, as the files have changed"):
                self.reload(retry=False)

        self._repeat("watch", WATCH_EVERY_S, reload)

    def _repeat(self, name: str, every_s: float, do: Callable[[], object]) -> None:
        """Does that again and again, in a thread of its own, until the end. What fails is told,
        once, and does not end it.
        """
        said = ""

        def go_on() -> None:
            nonlocal said
            while not self._ended.wait(every_s if not said else max(every_s, RETRY_EVERY_S)):
                try:
                    do()
                    said = ""
                except NotPossible:
                    continue  # a reload is under way
                except (DataError, StoreDown) as error:
                    if str(error) != said:
                        said = str(error)
                        text = f"nothing was changed: {said}"
                        self._observer.note(EventKind.NOT_RELOADED, "", text)

        supervision = Supervision(f"the look at the {name}", self._note_trouble)
        self._threads.append(supervised_thread(name, go_on, supervision, self._ended))

    def stop(self, patience: float = LEAVE_TIMEOUT_S) -> None:
        """Drains and ends every worker; see `Supervisor.stop`."""
        self._ended.set()
        super().stop(patience)
        for thread in self._threads:
            thread.join(2.0)
        self.catalog.close()
