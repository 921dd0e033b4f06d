"""The catalogs that a worker reads from: the present one, earlier ones, and an open one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from nodes.catalog import Argument, Catalog
from nodes.errors import BadRequest, DataError, InternalError
from nodes.security.cursors import Cursor, Cursors, Question, cursor_version
from nodes.support.slices import Sliced, awaited
from nodes.support.text import excerpt
from nodes.wire import (
    LOOKUP_TIMEOUT_S,
    MAX_REFUSAL_CHARS,
    answer_part,
    error_envelope,
    item_envelope,
)


class CatalogVersions:
    """The catalog that a worker serves now, and those before it that pages are still asked of.

    Each is opened once. The present one is replaced as a whole: a lookup reads from the one it
    began with.

    Attributes:
        present: the catalog that is served now.
        cursors: how pages are signed; None until a master has said so.
        mend: has the present one got anew, where it is damaged; returns what is done once it is.
    """

    MAX_EARLIER = 2

    def __init__(self, catalog: Catalog) -> None:
        self.cursors: Cursors | None = None
        self.mend: Callable[[], asyncio.Future[None]] | None = None
        self.present = OpenCatalog(catalog, self)
        self._before: dict[str, OpenCatalog] = {}

    def switch(self, catalog: Catalog) -> None:
        """Serves that one from the next lookup on."""
        before, self.present = self.present, OpenCatalog(catalog, self)
        if before.catalog.is_intact:
            self._keep(before)
        else:
            before.close()

    def mended(self, wait_s: float) -> Sliced[bool]:
        """Lets go of catalogs that are damaged, and waits until the present one is got anew, for so
        many seconds at most. Returns whether it is worth another try.
        """
        if self.present.catalog.info.in_store:
            return False
        for one in [one for one in self._before.values() if not one.catalog.is_intact]:
            self._before.pop(one.version).close()
        if self.mend is not None and not self.present.catalog.is_intact:
            yield from awaited(asyncio.wait({self.mend()}, timeout=wait_s))
        return self.present.catalog.is_intact

    def for_page(self, after: str | None) -> Sliced[OpenCatalog]:
        """What to read a page from: the present catalog or, for a page after another, that one's.
        If that is gone, the present one, which says what is wrong with the cursor.
        """
        if after is None or after.startswith(self.present.version):
            return self.present
        return (yield from self._version(cursor_version(after))) or self.present

    def _version(self, wanted: str) -> Sliced[OpenCatalog | None]:
        """The catalog of that version, or None if it is gone."""
        present = self.present
        if wanted == present.version:
            return present
        found = self._before.pop(wanted, None)
        if found is None:
            now = present.catalog.info
            try:
                catalog = yield from present.catalog.other_version(wanted)
            except DataError:
                return None
            if (catalog.info.name, catalog.info.version) != (now.name, wanted):
                return None
            # Meanwhile, another lookup may have opened it as well.
            found = self._before.pop(wanted, None) or OpenCatalog(catalog, self)
        self._keep(found)
        return found

    def _keep(self, earlier: OpenCatalog) -> None:
        self._before[earlier.version] = earlier
        while len(self._before) > self.MAX_EARLIER:
            # The one asked for longest ago.
            self._before.pop(next(iter(self._before))).close()

    def close(self) -> None:
        """Lets go of all of them."""
        for one in (self.present, *self._before.values()):
            one.close()


class OpenCatalog:
    """A catalog that is read from.

    Args:
        catalog: the one to read.
        versions: asked for the present version, and for the key of cursors.
    """

    def __init__(self, catalog: Catalog, versions: CatalogVersions) -> None:
        self.catalog = catalog
        self._versions = versions
        self.reader = catalog.reader()
        self.version = catalog.info.version

    def close(self) -> None:
        """Lets go of it."""
        self.reader.close()
        self.catalog.close()

    @property
    def _cursors(self) -> Cursors:
        cursors = self._versions.cursors
        if cursors is None:
            raise InternalError("it knows no key for cursors: it has not registered yet")
        return cursors

    def answer(
        self,
        name: str,
        args: tuple[Any, ...],
        *,
        limit: int,
        after: str | None,
        within: float = LOOKUP_TIMEOUT_S,
    ) -> Sliced[bytes]:
        """One page of a lookup, as finished JSON, of use within so many seconds.

        Raises:
            BadRequest, StoreDown, DataError: see `nodes.catalog.Reader`.
        """
        before = None if after is None else self._read(after, self._question(name, args))
        start = before.position if before else 0
        page = yield from self.reader.find_in_slices(
            name, args, limit=limit, start=start, within=within
        )
        following = None
        if page.after is not None:
            following = self._cursor(self._question(name, args), page.after, before)
        return answer_part(
            page.body, count=page.count, after=following, catalog=self.version, files=page.files
        )

    def answer_fast(self, asked: Sequence[Argument]) -> bytes | None:
        """The fast path of `answer`, for the first page of a lookup that finds one record or none.

        Args:
            asked: the lookup's name and its arguments; see `nodes.catalog.Reader`.
        """
        name, *args = asked
        found = self.reader.find_single(str(name), args)
        if found is None:
            return None
        body, files = found
        return answer_part(
            b"[%b]" % body, count=len(files), after=None, catalog=self.version, files=files
        )

    def _question(self, name: str, args: tuple[object, ...]) -> Question:
        """What a cursor goes on with."""
        return name, self.reader.coerced(name, args)

    def _read(self, after: str, question: Question) -> Cursor:
        present = self._versions.present.version
        return self._cursors.read(after, question, version=self.version, present=present)

    def _cursor(self, question: Question, position: int, before: Cursor | None = None) -> str:
        return self._cursors.make(
            question,
            version=self.version,
            position=position,
            before=before,
            present=self._versions.present.version,
        )

    def answer_item(
        self, item: object, *, limit: int, room: bool, within: float = LOOKUP_TIMEOUT_S
    ) -> Sliced[bytes]:
        """The envelope of one lookup of a batch.

        Args:
            item: should be a list of the lookup's name and its arguments.
            limit: records of the page, at most.
            room: whether the batch has room for records; if not, the page is empty, and its cursor
                leads to the first record.
            within: seconds after which it is of no use.
        """
        match item:
            case [str() as name, *args]:
                pass
            case _:
                wrong = "a lookup is an array of its name and its arguments"
                return error_envelope(BadRequest(wrong))
        try:
            if room:
                part = yield from self.answer(
                    name, tuple(args), limit=limit, after=None, within=within
                )
                return item_envelope(part)
            first = self._cursor(self._question(name, tuple(args)), 0)
        except BadRequest as error:
            return error_envelope(BadRequest(excerpt(error.message, MAX_REFUSAL_CHARS)))
        part = answer_part(b"[]", count=0, after=first, catalog=self.version, files=())
        return item_envelope(part)
