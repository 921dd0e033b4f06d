"""The worker's verbs: for its master on the connection that it registered on, and for clients that
ask it themselves on its own port.
"""

from __future__ import annotations

import inspect
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable

import msgspec
import psutil

from nodes.errors import (
    BadRequest,
    DataError,
    DeadlineExceeded,
    Forbidden,
    InternalError,
    LookupFailed,
)
from nodes.support import validation
from nodes.support.request_ids import new_request_id
from nodes.support.slices import Sliced, begin, complete
from nodes.transport import FastVerb, Service, Verb, shortcuts
from nodes.wire import (
    LOOKUP_TIMEOUT_S,
    PAGE_RECORDS,
    ProbeAnswer,
    WorkerAnswer,
    WorkerRefusal,
    answer_part,
    batch_answer,
    batch_size,
    decode_batch,
    decode_request,
)
from nodes.worker.access import WorkerAccess
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.counters import Counters

logger = logging.getLogger("rollcall.worker")

Operation = Callable[..., object]

Reply = WorkerAnswer | WorkerRefusal | Awaitable[WorkerAnswer | WorkerRefusal]
"""What a worker says to a lookup: at once, or as soon as a large page is read."""

SLICE_LOOKUPS = 50
"""Lookups of a batch that are answered without a break."""

MEND_WAIT_S = 1.5
"""Seconds for which a lookup waits for a catalog that is damaged to be got anew."""

DAMAGED = "the catalog's file was damaged, and is got anew"
"""What a probe says meanwhile."""
MAX_BATCH_BYTES = 1 << 20
"""Bytes of a batch's answers, whatever who asks wants; see `nodes.dispatch.batches`."""

LATE_MESSAGE = "answered too late to be of use"


class Lookups:
    """What a worker answers: lookups, batches, completions, probes.

    Args:
        versions: the catalogs that it reads from.
        counters: what it counts.
    """

    def __init__(self, versions: CatalogVersions, counters: Counters) -> None:
        self.counters = counters
        self._versions = versions
        self._process = psutil.Process()

    def ask(self, name: object, *args: object) -> Reply:
        """Answers a lookup in the common form, the first page of it, with finished JSON."""

        def find() -> Sliced[WorkerAnswer]:
            asked = name if type(name) is str else ""
            present = self._versions.present
            return (yield from present.answer(asked, args, limit=PAGE_RECORDS, after=None))

        return begin(self._told(find))

    def ask_fast(self, arguments: bytes) -> WorkerAnswer | None:
        """The fast path of `ask`, from its encoded arguments."""
        asked = shortcuts.short_arguments(arguments)
        return self._versions.present.answer_fast(asked) if asked else None

    def lookup(self, request: object) -> Reply:
        """Answers a `nodes.wire.LookupRequest` with finished JSON."""
        arrived = time.monotonic()

        def find() -> Sliced[WorkerAnswer]:
            try:
                asked = decode_request(request if type(request) is bytes else b"")
            except msgspec.MsgspecError as error:
                raise BadRequest(f"this is no lookup: {error}") from error
            late = arrived + asked.within
            opened = yield from self._versions.for_page(asked.after)
            answer = yield from opened.answer(
                asked.name,
                asked.args,
                limit=asked.limit,
                after=asked.after,
                within=late - time.monotonic(),
            )
            if time.monotonic() > late:
                raise DeadlineExceeded(LATE_MESSAGE)
            return answer

        return begin(self._told(find))

    def lookup_many(self, request: object) -> Reply:
        """Answers a `nodes.wire.BatchRequest`: an envelope for each lookup, in order."""
        arrived = time.monotonic()

        def find() -> Sliced[WorkerAnswer]:
            try:
                asked = decode_batch(request if type(request) is bytes else b"")
            except (msgspec.MsgspecError, RecursionError) as error:
                raise BadRequest(f"this is no batch: {error}") from error
            late = arrived + asked.within
            left = min(asked.most, MAX_BATCH_BYTES)
            envelopes: list[bytes] = []
            for item in asked.lookups:
                envelope = yield from self._versions.present.answer_item(
                    item, limit=asked.limit, room=left > 0, within=late - time.monotonic()
                )
                left -= len(envelope)
                envelopes.append(envelope)
                if not len(envelopes) % SLICE_LOOKUPS:
                    yield None
            if time.monotonic() > late:
                raise DeadlineExceeded(LATE_MESSAGE)
            return batch_answer(envelopes)

        return complete(self._told(find))

    def suggest(self, field: object, prefix: object, limit: object = 10) -> Reply:
        """A few values of a field that start with `prefix`, as a JSON array; counted nowhere."""

        def find() -> Sliced[WorkerAnswer]:
            if type(field) is not str or type(prefix) is not str or type(limit) is not int:
                raise BadRequest("suggest takes a field and a prefix, both text")
            opened = self._versions.present
            values = yield from opened.reader.suggest_in_slices(
                field, prefix, limit=limit, within=LOOKUP_TIMEOUT_S
            )
            body = msgspec.json.encode(values)
            return answer_part(
                body, count=len(values), after=None, catalog=opened.version, files=()
            )

        return begin(self._told(find))

    def probe(self) -> ProbeAnswer | Awaitable[ProbeAnswer]:
        """Reads from the catalog for real, and reports; see `nodes.wire.ProbeAnswer`."""

        def report() -> Sliced[ProbeAnswer]:
            opened = self._versions.present
            try:
                trouble = yield from opened.reader.probe_in_slices()
            except DataError as damage:
                logger.warning("a probe found: %s", damage)
                mended = yield from self._versions.mended(0.0)
                trouble = "" if mended else DAMAGED
            counters, memory = self.counters, self._process.memory_info()
            return (
                counters.served,
                counters.in_flight,
                counters.errors,
                opened.version,
                self._process.cpu_percent(None),
                # The catalog's pages are everybody's: they are not counted where that can be told.
                memory.rss - getattr(memory, "shared", 0),
                trouble,
            )

        return begin(report())

    def _told(
        self, find: Callable[[], Sliced[WorkerAnswer]]
    ) -> Sliced[WorkerAnswer | WorkerRefusal]:
        """An answer, or why there is none. Who meets a damaged catalog waits for it to be mended,
        and then reads from that.
        """
        try:
            try:
                return (yield from find())
            except (DataError, sqlite3.Error):
                if not (yield from self._versions.mended(MEND_WAIT_S)):
                    raise
            return (yield from find())
        except LookupFailed as refusal:
            return (refusal.code, refusal.message)
        except (DataError, sqlite3.Error) as fault:
            return self._broken(fault)

    def _broken(self, fault: Exception) -> WorkerRefusal:
        self.counters.errors += 1
        request_id = new_request_id()  # its master takes it over
        logger.error("request %s: the catalog cannot be read", request_id, exc_info=fault)
        told = InternalError(f"the catalog cannot be read: {type(fault).__name__}")
        return (told.code, told.identified(request_id).message)


class MasterFacingService(Service):
    """The worker's verbs for its master, on the connection that the worker registered on.

    Args:
        lookups: answers.
        retire: has the worker drain and leave.
        prepare: has it get the catalog of a version.
        switch: has it serve the catalog of a version; see `nodes.worker.following`.
    """

    def __init__(
        self, lookups: Lookups, *, retire: Operation, prepare: Operation, switch: Operation
    ) -> None:
        self._verbs: dict[str, Verb] = {
            "ask": FastVerb(lookups.ask_fast, lookups.ask),
            "lookup": lookups.lookup,
            "lookup_many": lookups.lookup_many,
            "suggest": lookups.suggest,
            "probe": lookups.probe,
            "retire": retire,
            "prepare": prepare,
            "switch": switch,
        }

    def verb(self, name: str) -> Verb | None:
        """One of those."""
        return self._verbs.get(name)

    def verbs(self) -> Iterable[str]:
        """All of those."""
        return self._verbs


class DirectService(Service):
    """The worker's verbs for clients that ask it themselves, on its own port.

    Args:
        lookups: answers.
        access: who may ask.
    """

    drops_abandoned = True

    def __init__(self, lookups: Lookups, access: WorkerAccess) -> None:
        self._lookups = lookups
        self._access = access
        self._shown = False
        self._verbs: dict[str, Verb] = {
            "login": self._login,
            "ask": FastVerb(self._ask_fast, self._counted(lookups.ask, lambda _: 1)),
            "lookup": self._counted(lookups.lookup, lambda _: 1),
            "lookup_many": self._counted(lookups.lookup_many, batch_size),
            "suggest": self._checked(lookups.suggest),
            "identify": self._identify,
        }

    def verb(self, name: str) -> Verb | None:
        """One of those."""
        return self._verbs.get(name)

    def verbs(self) -> Iterable[str]:
        """All of those."""
        return self._verbs

    def _login(self, key: object) -> bool:
        """The client shows the key that the master gave it. Returns whether it is right."""
        self._shown = self._access.is_direct_client(key)
        return self._shown

    def is_kept(self, verb: str) -> bool:
        """The master's question, before it takes a registration, is answered in any case."""
        return verb == "identify"

    def _identify(self, challenge: object) -> str:
        """Shows whose port this is."""
        return self._access.proof(challenge)

    @property
    def _may_ask(self) -> bool:
        return self._access.is_open or self._shown

    def _ask_fast(self, arguments: bytes) -> WorkerAnswer | None:
        if not self._may_ask:
            return None
        part = self._lookups.ask_fast(arguments)
        self._lookups.counters.served += part is not None
        return part

    def _checked(self, do: Operation) -> Operation:
        def answer(*args: object) -> object:
            if not self._may_ask:
                return (Forbidden.code, "this worker answers its master only: ask the master")
            try:
                return validation.call(do, args, {})
            except BadRequest as misfit:
                return (misfit.code, misfit.message)

        return answer

    def _counted(self, do: Operation, lookups_in: Callable[[bytes], int]) -> Operation:
        checked = self._checked(do)

        def count(reply: object) -> object:
            if type(reply) is bytes:
                self._lookups.counters.served += lookups_in(reply)
            return reply

        async def count_later(reply: Awaitable[object]) -> object:
            return count(await reply)

        def answer(*args: object) -> object:
            reply = checked(*args)
            return count_later(reply) if inspect.isawaitable(reply) else count(reply)

        return answer
