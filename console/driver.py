"""The driver: polls the cluster, asks it lookups and changes it, on threads of its own.

Everything it learns it posts as one message; `post_message` is the only thing of the screen
that it touches, and it never waits for the screen.
"""

from __future__ import annotations

import difflib
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from console.command import ClusterCommand
from console.history import HISTORY_S
from console.messages import (
    ClusterLost,
    CommandDone,
    HistoryRead,
    LogRead,
    LookupAnswered,
    LookupRefused,
    OfCluster,
    SnapshotTaken,
    StartFailed,
    Stopped,
)
from console.opening import OpenCluster, Opening, OpeningCancelled
from console.query import correction
from nodes.errors import BadRequest, MasterLost, RollcallError
from nodes.support.actor import acting_as
from nodes.support.supervision import Supervision, explain_failure, supervise
from nodes.wire import Description, RecordingPart

if TYPE_CHECKING:
    from nodes.cluster import Cluster

logger = logging.getLogger("rollcall.console")

HOST = "the console that hosts it"
"""Who acts on a cluster that is hosted here, for its events; of others their master knows it."""

MAX_REQUESTS = 16
"""Requests under way at once; the operator's fingers are slower."""

MAX_SUGGESTIONS = 5
"""Names offered in place of one that was not found."""


class Driver:
    """One cluster, for a screen.

    Args:
        open_cluster: see `OpenCluster`; called on the driver's thread.
        post: takes a message to the screen, from any thread, without waiting.
        poll_interval_s: between two polls of the cluster.
    """

    def __init__(
        self,
        open_cluster: OpenCluster,
        post: Callable[[OfCluster], bool],
        *,
        poll_interval_s: float = 0.5,
    ) -> None:
        self._opening = Opening(open_cluster, post)
        self._post = post
        self.poll_interval_s = poll_interval_s
        self._cluster: Cluster | None = None
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._slots = threading.BoundedSemaphore(MAX_REQUESTS)
        self._thread = threading.Thread(target=self._run, name="driver", daemon=True)
        self._last_event = 0
        self._lost_since: float | None = None
        self._has_history = False
        self._description: Description | None = None
        self._to_undo: dict[tuple[ClusterCommand, str], None] = {}

    def start(self) -> None:
        """Opens the cluster and begins to poll it."""
        self._thread.start()

    def stop(self, timeout: float | None = None) -> None:
        """Closes the cluster (a hosted one drains and stops), and returns when it is closed."""
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def request_stop(self) -> None:
        """The same without waiting: `Stopped` is posted when it is closed."""
        self._stopping.set()
        self._opening.cancel()
        self._wake.set()

    def answer(self, *, write: bool) -> None:
        """Whether the definition that was proposed is to be written."""
        self._opening.answer(write=write)

    @property
    def address(self) -> str:
        """The master's "HOST:PORT", "" while there is none."""
        return self._cluster.address if self._cluster is not None else ""

    # -- polling ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._cluster = self._opening.run()
        except RollcallError as error:
            if not self._stopping.is_set():
                self._post(StartFailed(str(error)))
            return
        except OpeningCancelled:
            return
        except Exception as error:
            logger.exception("the cluster cannot be opened")
            self._post(StartFailed(explain_failure(error)))
            return
        finally:
            if self._cluster is None:
                self._post(Stopped())
        try:
            polling = Supervision("the look at the cluster", self._lose)
            supervise(partial(self._keep_polling, self._cluster), polling, self._stopping)
        finally:
            self._undo_and_close(self._cluster)
            self._post(Stopped())

    def _keep_polling(self, cluster: Cluster) -> None:
        if not self._has_history:
            self._has_history = True
            self._read_history(cluster)
        while not self._stopping.is_set():
            self._poll(cluster)
            self._wake.wait(self.poll_interval_s)
            self._wake.clear()

    def _lose(self, why: str) -> None:
        """The cluster cannot be seen, and why."""
        if self._lost_since is None:
            self._lost_since = time.time()
        self._description = None
        self._post(ClusterLost(why, self._lost_since))

    def _read_history(self, cluster: Cluster) -> None:
        """Once, at the start: a console opened after an incident shows it."""
        try:
            seconds = cluster.history(int(HISTORY_S))
        except RollcallError:
            return  # charts begin empty
        if seconds:
            self._post(HistoryRead(seconds))

    def _poll(self, cluster: Cluster) -> None:
        try:
            snapshot = cluster.snapshot()
            if snapshot.last_event < self._last_event:
                self._last_event = 0  # another master, which counts from the start
            events = []
            if snapshot.last_event > self._last_event:
                events = cluster.events(self._last_event)
            if events:
                self._last_event = events[-1].number
        except RollcallError as error:
            self._lose(str(error))
            return
        self._lost_since = None
        self._post(SnapshotTaken(snapshot, events, read_only=cluster.read_only))

    def _undo_and_close(self, cluster: Cluster) -> None:
        for command, argument in list(self._to_undo):
            try:
                with acting_as(HOST):
                    command.run(cluster, argument)
            except RollcallError as error:
                logger.info("%s %s failed: %s", command.name, argument, error)
        cluster.close()

    # -- commands ----------------------------------------------------------------

    def run(self, command: ClusterCommand, *arguments: str, order: int = 0) -> None:
        """Carries out a command for each argument; one `CommandDone` follows for all of them, with
        the number of the order.
        """

        def work(cluster: Cluster) -> OfCluster:
            done: list[str] = []
            failed: list[str] = []
            for argument in arguments:
                try:
                    with acting_as(HOST):
                        done.append(command.run(cluster, argument))
                except RollcallError as error:
                    failed.append(f"{command.label} {argument}".strip() + f": not done: {error}")
                else:
                    if command.undo is not None:
                        self._to_undo[command.undo, argument] = None
                    self._to_undo.pop((command, argument), None)
            self._wake.set()
            text = "; ".join([*failed, *done])
            return CommandDone(command, text, failed=bool(failed), order=order)

        self._submit(work, lambda why: CommandDone(command, why, failed=True, order=order))

    @property
    def has_to_undo(self) -> bool:
        """Whether something was done that is undone before the cluster is closed."""
        return bool(self._to_undo)

    def _submit(
        self, work: Callable[[Cluster], OfCluster], refuse: Callable[[str], OfCluster]
    ) -> None:
        cluster = self._cluster
        if cluster is None:
            self._post(refuse("the cluster is not there yet"))
            return
        if not self._slots.acquire(blocking=False):
            self._post(refuse("too many requests are under way; wait for one"))
            return

        def run() -> None:
            try:
                self._post(work(cluster))
            except Exception as error:
                logger.exception("a request failed")
                self._post(refuse(explain_failure(error)))
            finally:
                self._slots.release()

        try:
            threading.Thread(target=run, name="request", daemon=True).start()
        except RuntimeError:
            self._slots.release()
            self._post(refuse("the system allows no more threads now"))

    # -- lookups ------------------------------------------------------------------

    def look_up(self, words: list[str], *, after: str | None = None, limit: int = 200) -> None:
        """Asks a lookup; `LookupAnswered` or `LookupRefused` follows.

        Args:
            words: the lookup's name and its arguments, as typed.
            after: the cursor of the page before.
            limit: records of a page.
        """

        def work(cluster: Cluster) -> OfCluster:
            began = time.monotonic()
            try:
                page = cluster.page(words[0], *words[1:], limit=limit, after=after).checked()
                took = (time.monotonic() - began) * 1000
                near = [] if page.count or after else self._similar_values(cluster, words)
            except RollcallError as error:
                return LookupRefused(words, str(error), self._meant(cluster, words, error))
            return LookupAnswered(words, page, took, near, more=after is not None)

        self._submit(work, lambda why: LookupRefused(words, why))

    def _meant(self, cluster: Cluster, words: list[str], error: RollcallError) -> str:
        """The line that was meant, if the request was wrong and it can be told."""
        if not isinstance(error, BadRequest):
            return ""
        try:
            return correction(words, self.describe(cluster).lookups)
        except RollcallError:
            return ""

    def _similar_values(self, cluster: Cluster, words: list[str]) -> list[str]:
        """Values like the first argument, which found nothing."""
        shape = next((s for s in self.describe(cluster).lookups if s.name == words[0]), None)
        if shape is None or len(words) < 2 or shape.types[0] != "text":
            return []
        asked = words[1]
        starts = dict.fromkeys((asked[:1], asked[:1].lower(), asked[:1].upper()))
        try:
            known = [
                value
                for start in starts
                for value in cluster.suggest(shape.fields[0], start, limit=100)
            ]
        except BadRequest:
            return []
        folded = {value.casefold(): value for value in known}
        close = difflib.get_close_matches(asked.casefold(), folded, n=MAX_SUGGESTIONS, cutoff=0.5)
        return [folded[one] for one in close if folded[one] != asked]

    def describe(self, cluster: Cluster | None = None) -> Description:
        """What is served; asked once for each master."""
        found = self._description
        if found is None:
            cluster = cluster or self._cluster
            if cluster is None:
                raise BadRequest("the cluster is not there yet")
            found = self._description = cluster.describe()
        return found

    def values(self, field: str, prefix: str, limit: int) -> list[str]:
        """Real values of a field, for completion; none while nobody can say. Waits: call it
        on a thread that may.
        """
        cluster = self._cluster
        if cluster is None:
            return []
        try:
            return cluster.suggest(field, prefix, limit=limit)
        except RollcallError:
            return []  # a completion that cannot be had is no event

    def recording(self, after: float) -> RecordingPart:
        """The part of the recording after a time; see `nodes.cluster.Cluster`. Waits: call it on
        a thread that may.
        """
        if self._cluster is None:
            raise BadRequest("the cluster is not there yet")
        if self._lost_since is not None:
            raise MasterLost("the master is lost")  # it would take its time to say so
        return self._cluster.recording(after)

    def read_log(self, worker_id: str, after: int) -> None:
        """Reads a worker's log from the place `after`; `LogRead` follows."""

        def work(cluster: Cluster) -> OfCluster:
            try:
                part = cluster.log(worker_id, after)
            except RollcallError as error:
                return LogRead(worker_id, after, "", str(error))
            return LogRead(worker_id, part.end, part.text, "")

        self._submit(work, lambda why: LogRead(worker_id, after, "", why))
