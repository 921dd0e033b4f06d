"""The worker's verbs: one service for each connection."""

from __future__ import annotations

import functools
import logging
import sqlite3
import time
from collections.abc import Callable

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
from nodes.security.cursors import cursor_version
from nodes.security.tls import MAY_ORDER_WORKERS, lacking
from nodes.support import validation
from nodes.transport import Peer, Service
from nodes.wire import (
    ProbeAnswer,
    WorkerAnswer,
    WorkerRefusal,
    answer_part,
    batch_answer,
    decode_batch,
    decode_request,
)
from nodes.worker.access import WorkerAccess
from nodes.worker.catalogs import CatalogVersions, OpenCatalog
from nodes.worker.counters import Counters

logger = logging.getLogger("rollcall.worker")

LATE_MESSAGE = "answered too late to be of use"


class WorkerService(Service):
    """The worker's verbs, for one connection, with a reader and a thread of its own."""

    drops_abandoned = True

    def __init__(
        self,
        versions: CatalogVersions,
        counters: Counters,
        access: WorkerAccess,
        *,
        retire: Callable[[object], bool],
        switch: Callable[[object, object], str | WorkerRefusal],
        secure: bool,
    ) -> None:
        self._secure = secure
        self._lacks = ""
        self._access = access
        self._versions = versions
        self._counters = counters
        self._retire = retire
        self._switch = switch
        self._process = psutil.Process()
        self._opened: OpenCatalog | None = None

    def verb(self, name: str) -> Callable[..., object] | None:
        """Finds one of the six verbs. Those that answer lookups have a second name, which holds a
        secret, for the master and for direct clients (`nodes.wire.secret_verb`). With TLS, the
        master's verbs need its certificate as well.
        """
        asking: dict[str, Callable[..., object]] = {
            "lookup": self.lookup,
            "lookup_many": self.lookup_many,
            "suggest": self.suggest,
        }
        plain, _, secret = name.partition(" ")
        if plain in asking and secret:
            if self._access.is_master(secret) and not self._lacks:
                return asking[plain]
            if self._access.is_direct_client(secret):
                return functools.partial(asking[plain], direct=True)
            return None
        if name in asking:
            return functools.partial(self._answer_anyone, asking[name])
        if self._lacks:
            return lambda *_args, **_named: (Forbidden.code, self._lacks)
        verbs: dict[str, Callable[..., object]] = {
            "probe": self.probe,
            "retire": self._retire,
            "switch": self._switch,
        }
        return verbs.get(name)

    def _answer_anyone(self, do: Callable[..., object], *args: object) -> object:
        if not self._access.is_open:
            return (Forbidden.code, "this worker answers its master only: ask the master")
        try:
            return validation.call(do, args, {"direct": True})
        except BadRequest as misfit:
            return (misfit.code, misfit.message)

    def on_open(self, peer: Peer) -> None:
        """Notes who the peer has proved to be."""
        self._lacks = lacking(peer.certificate, MAY_ORDER_WORKERS) if self._secure else ""

    def on_close(self) -> None:
        """Lets go of the catalog."""
        if self._opened is not None:
            self._opened.reader.close()

    def _open(self, after: str | None = None) -> OpenCatalog:
        """The catalog to read from: the present one or, for a later page, the one of its cursor."""
        wanted = self._versions.catalog
        if after is not None and not after.startswith(wanted.info.version):
            # If that one is gone, the present one refuses the cursor with the reason.
            wanted = self._versions.version(cursor_version(after)) or wanted
        opened = self._opened
        if opened is None or opened.catalog is not wanted:
            fresh = OpenCatalog(wanted, self._versions)
            if opened is not None:
                opened.reader.close()
            self._opened = opened = fresh
        return opened

    def lookup(self, request: object, *, direct: bool = False) -> WorkerAnswer | WorkerRefusal:
        """Answers a `nodes.wire.LookupRequest` with finished JSON."""
        arrived = time.monotonic()

        def find() -> WorkerAnswer:
            try:
                asked = decode_request(request if type(request) is bytes else b"")
            except msgspec.MsgspecError as error:
                raise BadRequest(f"this is no lookup: {error}") from error
            opened = self._open(asked.after)
            answer = opened.answer(asked.name, asked.args, limit=asked.limit, after=asked.after)
            if time.monotonic() - arrived > asked.within:
                raise DeadlineExceeded(LATE_MESSAGE)
            return answer

        return self._counted(find, int(direct))

    def lookup_many(self, request: object, *, direct: bool = False) -> WorkerAnswer | WorkerRefusal:
        """Answers a `nodes.wire.BatchRequest`: an envelope for each lookup, in order."""
        arrived = time.monotonic()
        try:
            asked = decode_batch(request if type(request) is bytes else b"")
        except (msgspec.MsgspecError, RecursionError) as error:
            return (BadRequest.code, f"this is no batch: {error}")

        def find() -> WorkerAnswer:
            opened, left = self._open(), asked.most
            envelopes: list[bytes] = []
            for item in asked.lookups:
                envelope = opened.answer_item(item, limit=asked.limit, room=left > 0)
                left -= len(envelope)
                envelopes.append(envelope)
            if time.monotonic() - arrived > asked.within:
                raise DeadlineExceeded(LATE_MESSAGE)
            return batch_answer(envelopes)

        return self._counted(find, len(asked.lookups) * direct)

    def suggest(
        self, field: object, prefix: object, limit: object = 10, *, direct: bool = False
    ) -> WorkerAnswer | WorkerRefusal:
        """A few values of a field that start with `prefix`, as a JSON array; counted nowhere."""
        del direct

        def find() -> WorkerAnswer:
            if type(field) is not str or type(prefix) is not str or type(limit) is not int:
                raise BadRequest("suggest takes a field and a prefix, both text")
            opened = self._open()
            values = opened.reader.suggest(field, prefix, limit=limit)
            body = msgspec.json.encode(values)
            version = opened.catalog.info.version
            return answer_part(body, count=len(values), after=None, catalog=version, files=())

        return self._counted(find)

    def _counted(
        self, find: Callable[[], WorkerAnswer], tasks: int = 0
    ) -> WorkerAnswer | WorkerRefusal:
        if tasks:
            self._counters.began(tasks)
        served = error = False
        try:
            answer = find()
            served = True
            return answer
        except LookupFailed as refusal:
            return (refusal.code, refusal.message)
        except (DataError, sqlite3.Error) as fault:
            error = True
            logger.exception("the catalog cannot be read")
            return (InternalError.code, f"the catalog cannot be read: {type(fault).__name__}")
        finally:
            if tasks or error:
                self._counters.ended(tasks, served=served, error=error)

    def probe(self) -> ProbeAnswer:
        """Reads from the catalog for real, and reports; see `nodes.wire.ProbeAnswer`."""
        opened = self._open()
        opened.reader.ping()
        counters, memory = self._counters, self._process.memory_info()
        return (
            counters.served,
            counters.in_flight,
            counters.errors,
            opened.catalog.info.version,
            self._process.cpu_percent(None),
            # The catalog's pages are everybody's: they are not counted where that can be told.
            memory.rss - getattr(memory, "shared", 0),
        )
