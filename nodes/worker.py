"""A worker: opens a catalog, listens, registers with its master, answers lookups."""

from __future__ import annotations

import functools
import hmac
import inspect
import logging
import os
import secrets
import select
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import psutil

from nodes.catalog import Catalog, coerce, cursor_version
from nodes.errors import (
    BadRequest,
    Conflict,
    DataError,
    DeadlineExceeded,
    Forbidden,
    InternalError,
    LookupFailed,
    MasterLost,
    NotPossible,
)
from nodes.tls import LEADS, Tls, lacking
from nodes.transport import Lane, Limits, Peer, Server, Service, TransportError
from nodes.wire import (
    Description,
    LookupShape,
    ProbeAnswer,
    Registered,
    Registration,
    WorkerAnswer,
    WorkerRefusal,
    answer_part,
    batch_answer,
    decode_batch,
    decode_envelope,
    decode_request,
    direct_key,
    error_envelope,
    item_envelope,
)

logger = logging.getLogger("rollcall.worker")

FIRST_WAIT = 0.1
LONGEST_WAIT = 2.0
"""Seconds between attempts to register: doubling, jittered, so that workers of a restarted
master do not come in step, and all are back within 3 s."""

LATE = "answered too late to be of use"

RENEW = 10.0
"""Seconds between signs of life on the registration, and the time one may take."""


def describe(catalog: Catalog) -> Description:
    """What a catalog serves, as registrations say it."""
    info = catalog.info
    return Description(
        dataset=info.name,
        version=info.version,
        records=info.records,
        fields=info.fields,
        files=info.files,
        lookups=tuple(LookupShape(one.name, one.fields, one.types) for one in info.lookups),
    )


class Tally:
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


class Served:
    """The catalog that a worker serves now, and those before it that pages are still asked of.

    The present one is replaced as a whole: a lookup reads from the one it began with.
    """

    MOST_BEFORE = 2

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._lock = threading.Lock()
        self._before: dict[str, Catalog] = {}

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


class Opened:
    """A catalog as one connection reads it."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.reader = catalog.reader()
        self._version = catalog.info.version
        self._lookups = {one.name: one for one in catalog.info.lookups}

    def answer(self, name: str, args: tuple[Any, ...], *, limit: int, after: str | None) -> bytes:
        """One page of a lookup, as finished JSON. Raises `BadRequest`."""
        shape = self._lookups.get(name)
        if shape is None:
            raise BadRequest(f"no such lookup; there are {', '.join(self._lookups)}")
        page = self.reader.find(name, coerce(shape, args), limit=limit, after=after)
        return answer_part(
            page.body, count=page.count, after=page.after, catalog=self._version, files=page.files
        )

    def answer_item(self, item: object, *, limit: int, room: bool) -> bytes:
        """The envelope of one lookup of a batch.

        Arguments:
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
        except BadRequest as error:
            return error_envelope(error)
        first = f"{self._version}:0"
        part = answer_part(b"[]", count=0, after=first, catalog=self._version, files=())
        return item_envelope(part)


class WorkerService(Service):
    """The worker's verbs, for one connection; its own reader, its own thread."""

    drops_abandoned = True

    def __init__(
        self, served: Served, tally: Tally, *, is_master: Callable[[object], bool],
        is_keyed: Callable[[object], bool],
        is_open: Callable[[], bool], retire: Callable[[object], bool],
        switch: Callable[[object, object], str | WorkerRefusal], secure: bool,
    ) -> None:  # fmt: skip
        self._secure = secure
        self._lacks = ""
        self._is_master = is_master
        self._is_keyed = is_keyed
        self._is_open = is_open
        self._served = served
        self._tally = tally
        self._retire = retire
        self._switch = switch
        self._process = psutil.Process()
        self._opened: Opened | None = None

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
            return do(*args, direct=True)
        except TypeError:
            try:
                inspect.signature(do).bind(*args, direct=True)
            except TypeError as misfit:
                return (BadRequest.code, f"the arguments do not fit: {misfit}")
            raise

    def on_open(self, peer: Peer) -> None:
        """Notes who the peer has proved to be."""
        self._lacks = lacking(peer.certificate, LEADS) if self._secure else ""

    def on_close(self) -> None:
        """Lets go of the catalog."""
        if self._opened is not None:
            self._opened.reader.close()

    def _open(self, after: str | None = None) -> Opened:
        """What to read from: the present catalog or, for a page after another, that one's."""
        wanted = self._served.catalog
        if after is not None and not after.startswith(wanted.info.version):
            # None, or a forged one: the present one's reader says what is wrong with it.
            wanted = self._served.version(cursor_version(after)) or wanted
        opened = self._opened
        if opened is None or opened.catalog is not wanted:
            fresh = Opened(wanted)
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
        self._tally.began(tasks)
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
            self._tally.ended(tasks, served=served, error=error)

    def probe(self) -> ProbeAnswer:
        """Reads from the catalog for real, and reports; see `nodes.wire.ProbeAnswer`."""
        opened = self._open()
        opened.reader.ping()
        tally, memory = self._tally, self._process.memory_info()
        return (
            tally.served,
            tally.in_flight,
            tally.errors,
            opened.catalog.info.version,
            self._process.cpu_percent(None),
            # The catalog's pages are everybody's: they are not counted where that can be told.
            memory.rss - getattr(memory, "shared", 0),
        )


class Worker:
    """The worker process's parts, started and stopped together.

    Arguments (keyword only):
        catalog: what it serves.
        master: host and port to register with.
        token: asked for a worker's token before each registration, as it may change.
        host, port: where it listens; port 0 lets the system choose.
        wanted_id: the id it asks for, "" for any.
        tls: a worker's certificates; None for no TLS.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(
        self, *, catalog: Catalog, master: tuple[str, int], token: Callable[[], str | None],
        host: str = "127.0.0.1", port: int = 0, wanted_id: str = "", random: Random | None = None,
        tls: Tls | None = None,
    ) -> None:  # fmt: skip
        self._master = master
        self._token = token
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._tls = None if tls is None else tls.to_master()
        self._instance = secrets.token_hex(16)
        self._open = False
        """Lookups need no token: its master has said so. Until then, nobody else is answered."""
        self._served = Served(catalog)
        tally = Tally()
        # Lanes of a master that is gone would be kept for an hour; a live one redials.
        self.server = Server(
            lambda: WorkerService(
                self._served, tally, is_master=self._is_ours,
                is_keyed=self._is_direct_key, is_open=lambda: self._open,
                retire=self._asked_to_retire, switch=self._asked_to_switch,
                secure=tls is not None,
            ),
            host=host, port=port, limits=Limits(idle=300.0), name="worker",
            tls=None if tls is None else tls.listening(),
        )  # fmt: skip
        self._registration = Registration(
            instance=self._instance, wanted_id=wanted_id, host=host,
            port=self.server.address[1], pid=os.getpid(), catalog=describe(catalog),
        )  # fmt: skip
        self.id = wanted_id
        self.ready = False
        self.done = threading.Event()
        self.settled = threading.Event()
        self.refusal: LookupFailed | None = None
        self._leaving = threading.Event()
        self._wake_read, self._wake_write = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="registration", daemon=True)

    def start(self) -> None:
        """Listens, then registers in the background; `settled` is set once the master has
        taken it (`ready`), or refused it (`refusal`), or it leaves.
        """
        self.server.start()
        self._thread.start()

    def drain(self) -> None:
        """Asks the master for no more lookups, answers what is under way, then is `done`.

        Safe to call from a signal handler, and more than once.
        """
        self._leaving.set()
        self._wake_write.send(b"x")

    def stop(self) -> None:
        """Closes everything at once."""
        self.drain()
        self.server.stop()
        self._thread.join(2.0)
        self._wake_read.close()
        self._wake_write.close()

    def _asked_to_retire(self, instance: object) -> bool:
        """The verb by which the master, who alone knows `instance`, has the worker drain."""
        known = self._is_ours(instance)
        if known:
            self.drain()
        return known

    def _asked_to_switch(self, instance: object, path: object) -> str | WorkerRefusal:
        """The verb by which the master has the worker serve another catalog of its dataset,
        from the next lookup on. Returns the version, or why it goes on with the old one.
        """
        if not self._is_ours(instance) or type(path) is not str:
            return (Forbidden.code, "only the master of this worker may ask that")
        try:
            catalog = Catalog.open(path)
        except DataError as error:
            return (NotPossible.code, str(error))
        if catalog.info.name != self._served.catalog.info.name:
            return (Conflict.code, f"{path} is of the dataset {catalog.info.name!r}")
        self._served.switch(catalog)
        self._registration = msgspec.structs.replace(self._registration, catalog=describe(catalog))
        logger.info("serves catalog %s", catalog.info.version)
        return catalog.info.version

    def _is_ours(self, instance: object) -> bool:
        return _same(instance, self._instance)

    def _is_direct_key(self, key: object) -> bool:
        return _same(key, direct_key(self._instance))

    # -- registration -----------------------------------------------------------

    def _run(self) -> None:
        wait = FIRST_WAIT
        try:
            while not self._leaving.is_set():
                try:
                    with Lane.dial(*self._master, timeout=1.0, tls=self._tls) as lane:
                        self._register(lane)
                        wait = FIRST_WAIT
                        self._stay(lane)
                except (TransportError, MasterLost) as error:
                    logger.info("master %s:%d: %s", *self._master, error)
                except LookupFailed as refusal:
                    logger.warning("not registered: %s", refusal)
                    if not self.ready:
                        self.refusal = refusal
                        return
                self._sleep(wait * self._random.uniform(0.5, 1.5))
                wait = min(LONGEST_WAIT, wait * 2)
        finally:
            self.settled.set()
            self.done.set()

    def _sleep(self, seconds: float) -> None:
        if not self._leaving.is_set():
            select.select([self._wake_read], [], [], seconds)

    def _ask(self, lane: Lane, verb: str, *args: str) -> object:
        reply = lane.call(verb, *args, timeout=RENEW)
        if type(reply) is not str:
            raise MasterLost("the master answered with something else than an envelope")
        try:
            return decode_envelope(reply).checked().result
        except msgspec.MsgspecError as error:
            raise MasterLost(f"the master's answer cannot be read: {error}") from error

    def _register(self, lane: Lane) -> None:
        self._ask(lane, "login", self._token() or "")
        text = msgspec.json.encode(msgspec.structs.replace(self._registration, wanted_id=self.id))
        result = self._ask(lane, "register", text.decode())
        registered = msgspec.convert(result, Registered)
        self.id, self._open = registered.id, not registered.require_token
        self.ready = True
        self.settled.set()

    def _stay(self, lane: Lane) -> None:
        """Keeps the registration until the master goes, or until this worker leaves."""
        while not self._leaving.is_set():
            ends: list[Lane | socket.socket] = [lane, self._wake_read]
            readable, _, _ = select.select(ends, [], [], RENEW)
            if lane in readable and lane.wait_closed(0.0):
                return
            if not readable and self._ask(lane, "renew") is not True:
                return
        # The master counts lookups before it sends them: at zero, none is on its way.
        while self._ask(lane, "leave") != 0:
            if lane.wait_closed(0.02):
                return


def _same(given: object, secret: str) -> bool:
    """Compares in constant time; anything but a str is wrong."""
    return type(given) is str and hmac.compare_digest(
        given.encode("utf-8", "replace"), secret.encode()
    )
