"""The catalogs that a worker reads from: the present one, earlier ones, and an open one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from nodes.catalog import Argument, Catalog, coerce
from nodes.errors import BadRequest, DataError, InternalError
from nodes.security.cursors import Cursor, Cursors, Question
from nodes.support.text import excerpt
from nodes.wire import MAX_REFUSAL_CHARS, answer_part, error_envelope, item_envelope

KEY_WAIT_S = 1.0
"""Seconds that a page waits for the key of its cursor. The key comes with the answer to the
registration, which a lookup from the master may overtake."""


class CatalogVersions:
    """The catalog that a worker serves now, and earlier ones that are still paged through.

    The present catalog is replaced as a whole: a lookup reads from the one it began with.

    Args:
        catalog: the present one.
        key_wait_s: seconds that a page waits for the key of its cursor.
    """

    MAX_EARLIER = 2

    def __init__(self, catalog: Catalog, *, key_wait_s: float = KEY_WAIT_S) -> None:
        self.catalog = catalog
        self._key_wait_s = key_wait_s
        self._lock = threading.Lock()
        self._before: dict[str, Catalog] = {}
        self._cursors: Cursors | None = None
        self._keyed = threading.Event()

    @property
    def cursors(self) -> Cursors:
        """Signs pages. Raises `InternalError` if no master has given the key yet."""
        self._keyed.wait(self._key_wait_s)
        if self._cursors is None:
            raise InternalError("it knows no key for cursors: it has not registered yet")
        return self._cursors

    def sign_with(self, cursors: Cursors) -> None:
        """Signs pages with these cursors, the cluster's, from now on."""
        self._cursors = cursors
        self._keyed.set()

    def switch(self, catalog: Catalog) -> None:
        """Serves that catalog from the next lookup on."""
        self.catalog = catalog

    def version(self, wanted: str) -> Catalog | None:
        """The catalog of that version, or None if it is gone. Each version is a file named after
        it, so a worker that started later finds the earlier versions as well.
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
            while len(self._before) > self.MAX_EARLIER:
                # The one used longest ago goes; whoever still reads from it keeps it open.
                del self._before[next(iter(self._before))]
            return found


class OpenCatalog:
    """A catalog as one connection reads it.

    Args:
        catalog: the one to read.
        versions: asked for the present version, and for the key of cursors.
    """

    def __init__(self, catalog: Catalog, versions: CatalogVersions) -> None:
        self.catalog = catalog
        self._versions = versions
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
            item: should be a list of the lookup's name and its arguments.
            limit: records of the page, at most.
            room: whether the batch has room for records; if not, the page is empty, and its cursor
                leads to the first record.
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
            return error_envelope(BadRequest(excerpt(error.message, MAX_REFUSAL_CHARS)))
        part = answer_part(b"[]", count=0, after=first, catalog=self._version, files=())
        return item_envelope(part)
