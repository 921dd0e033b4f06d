"""What a worker answers: its verbs, for one connection each, and the catalogs they read."""

from __future__ import annotations

import functools
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil

from nodes.catalog import Argument, Catalog, coerce
from nodes.errors import (
    BadRequest,
    DataError,
    DeadlineExceeded,
    Forbidden,
    InternalError,
    LookupFailed,
)
from nodes.security.cursors import Cursor, Cursors, Question, cursor_version
from nodes.security.tls import LEADS, lacking
from nodes.support import validation as given
from nodes.support.text import excerpt
from nodes.transport import Peer, Service
from nodes.wire import (
    MOST_VERDICT,
    ProbeAnswer,
    WorkerAnswer,
    WorkerRefusal,
    answer_part,
    batch_answer,
    decode_batch,
    decode_request,
    error_envelope,
    item_envelope,
)

logger = logging.getLogger("rollcall.worker")

LATE = "answered too late to be of use"

KEY_TIME = 1.0
"""Seconds that a page waits for the key of its cursor: a lookup of the master may overtake the
answer to the registration, in which the key comes."""


class Counters:
    """What a worker counts, for many threads: lookups that did not come from its master, which
    counts its own, and all errors.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.served = 0
        self.in_flight = 0
        self.errors = 0

    def began(self, tasks: int) -> None:
        """A lookup came in, or so many together."""
        with self._lock:
            self.in_flight += tasks

    def ended(self, tasks: int, *, served: bool, error: bool = False) -> None:
        """It was answered, or failed, or was refused as a bad request (neither)."""
        with self._lock:
            self.in_flight -= tasks
            self.served += tasks if served else 0
            self.errors += error


class CatalogVersions:
    """The catalog that a worker serves now, and those before it that pages are still asked of.

    The present one is replaced as a whole: a lookup reads from the one it began with.
    """

    MOST_BEFORE = 2

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._lock = threading.Lock()
        self._before: dict[str, Catalog] = {}
        self._cursors: Cursors | None = None
        self._keyed = threading.Event()

    @property
    def cursors(self) -> Cursors:
        """How pages are signed. Raises `InternalError` if no master has said so yet."""
        self._keyed.wait(KEY_TIME)
        if self._cursors is None:
            raise InternalError("it knows no key for cursors: it has not registered yet")
        return self._cursors

    def sign_with(self, cursors: Cursors) -> None:
        """Those are the cluster's from now on."""
        self._cursors = cursors
        self._keyed.set()

    def switch(self, catalog: Catalog) -> None:
        """Serves that one from the next lookup on."""
        self.catalog = catalog

    def version(self, wanted: str) -> Catalog | None:
        """The catalog of that version, or None if it is gone. Versions lie beside each other
        under their names, so that a worker that started later has the earlier ones as well.
        """
        now = self.catalog
        if wanted == now.info.version:
            return now
        with self._lock:
            found = self._before.pop(wanted, None)
            if found is None:
                try:
                    found = Catalog.open(Path(now.info.path).with_name(f"{wanted}.db"))
                except DataError:
                    return None
                if (found.info.name, found.info.version) != (now.info.name, wanted):
                    return None
            self._before[wanted] = found
            while len(self._before) > self.MOST_BEFORE:
                # The one asked for longest ago; whoever reads from it keeps it open.
                del self._before[next(iter(self._before))]
            return found


class OpenCatalog:
    """A catalog as one connection reads it.

    Args:
        catalog: that one.
        served: asked for the present version, and for the key of cursors.
    """

    def __init__(self, catalog: Catalog, served: CatalogVersions) -> None:
        self.catalog = catalog
        self._versions = served
        self.reader = catalog.reader()
        self._version = catalog.info.version
        self._lookups = {one.name: one for one in catalog.info.lookups}

    def answer(self, name: str, args: tuple[Any, ...], *, limit: int, after: str | None) -> bytes:
        """One page of a lookup, as finished JSON. Raises `BadRequest`."""
        question = name, self._coerced(name, args)
        before = None if after is None else self._read(after, question)
        page = self.reader.find(*question, limit=limit, start=before.position if before else 0)
        following = None if page.after is None else self._cursor(question, page.after, before)
        return answer_part(
            page.body, count=page.count, after=following, catalog=self._version, files=page.files
        )

    def _coerced(self, name: str, args: tuple[object, ...]) -> tuple[Argument, ...]:
        shape = self._lookups.get(name)
        if shape is None:
            raise BadRequest(f"no such lookup; there are {', '.join(self._lookups)}")
        return coerce(shape, args)

    def _read(self, after: str, question: Question) -> Cursor:
        present = self._versions.catalog.info.version
        return self._versions.cursors.read(after, question, version=self._version, present=present)

    def _cursor(self, question: Question, position: int, before: Cursor | None = None) -> str:
        return self._versions.cursors.make(
            question,
            version=self._version,
            position=position,
            before=before,
            present=self._versions.catalog.info.version,
        )

    def answer_item(self, item: object, *, limit: int, room: bool) -> bytes:
        """The envelope of one lookup of a batch.

        Args:
            item: a list of its name and its arguments, if the client knew.
            limit: records of the page, at most.
            room: whether there may be any; if not, the page is empty, and its cursor leads to
                the first.
        """
        match item:
            case [str() as name, *args]:
                pass
            case _:
                wrong = "a lookup is an array of its name and its arguments"
                return error_envelope(BadRequest(wrong))
        try:
            if room:
                return item_envelope(self.answer(name, tuple(args), limit=limit, after=None))
            first = self._cursor((name, self._coerced(name, tuple(args))), 0)
        except BadRequest as error:
            return error_envelope(BadRequest(excerpt(error.message, MOST_VERDICT)))
        part = answer_part(b"[]", count=0, after=first, catalog=self._version, files=())
        return item_envelope(part)


class WorkerService(Service):
    """The worker's verbs, for one connection; its own reader, its own thread."""

    drops_abandoned = True

    def __init__(
        self,
        served: CatalogVersions,
        counters: Counters,
        *,
        is_master: Callable[[object], bool],
        is_keyed: Callable[[object], bool],
        is_open: Callable[[], bool],
        retire: Callable[[object], bool],
        switch: Callable[[object, object], str | WorkerRefusal],
        secure: bool,
    ) -> None:
        self._secure = secure
        self._lacks = ""
        self._is_master = is_master
        self._is_keyed = is_keyed
        self._is_open = is_open
        self._versions = served
        self._counters = counters
        self._retire = retire
        self._switch = switch
        self._process = psutil.Process()
        self._opened: OpenCatalog | None = None

    def verb(self, name: str) -> Callable[..., object] | None:
        """The six verbs of a worker; three of them for its master under another name as well
        (`nodes.wire.secret_verb`). With TLS, what is the master's takes its certificate too.
        """
        asking: dict[str, Callable[..., object]] = {
            "lookup": self.lookup,
            "lookup_many": self.lookup_many,
            "suggest": self.suggest,
        }
        plain, _, secret = name.partition(" ")
        if plain in asking and secret:
            if self._is_master(secret) and not self._lacks:
                return asking[plain]
            return functools.partial(asking[plain], direct=True) if self._is_keyed(secret) else None
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
        if not self._is_open():
            return (Forbidden.code, "this worker answers its master only: ask the master")
        try:
            return given.call(do, args, {"direct": True})
        except BadRequest as misfit:
            return (misfit.code, misfit.message)

    def on_open(self, peer: Peer) -> None:
        """Notes who the peer has proved to be."""
        self._lacks = lacking(peer.certificate, LEADS) if self._secure else ""

    def on_close(self) -> None:
        """Lets go of the catalog."""
        if self._opened is not None:
            self._opened.reader.close()

    def _open(self, after: str | None = None) -> OpenCatalog:
        """What to read from: the present catalog or, for a page after another, that one's."""
        wanted = self._versions.catalog
        if after is not None and not after.startswith(wanted.info.version):
            # If it is gone, the present one says what is wrong with that cursor.
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
                raise DeadlineExceeded(LATE)
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
                raise DeadlineExceeded(LATE)
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
