"""Cursors: signed texts that say where the next page of a lookup begins.

    5f2c91d0a3b4:1000:1765432100:9f0c...    version, position, time, signature

The signature keeps clients from making up cursors. The time is the Unix second at which that
version of the records was last in service: a page of the present version sets it, a page of an
earlier version passes it on. So replaced records can be read for `OLD_PAGES_S` more seconds and
no longer, however many pages are asked for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

import msgspec

from nodes.errors import BadRequest

OLD_PAGES_S = 600.0
"""Seconds for which replaced records can still be paged through."""

_CURSOR = re.compile(r"([0-9a-z]{1,64}):([0-9]{1,20}):([0-9]{1,12}):[0-9a-f]{32}")

Question = tuple[str, Sequence[str | int | float]]
"""A lookup's name and its arguments, as `nodes.catalog.coerce` returns them."""


class Cursor(NamedTuple):
    """A decoded cursor: the catalog's version, the position after which the page begins, and the
    Unix second at which that version was last in service.
    """

    version: str
    position: int
    served_at: int


def cursor_version(text: str) -> str:
    """The version that a cursor names, "" if it is no cursor. Its signature is not checked: this
    only tells which worker to ask.
    """
    found = _CURSOR.fullmatch(text)
    return found[1] if found is not None else ""


class Cursors:
    """Makes and reads the cursors of one cluster. A cursor is good only for the lookup that it was
    made for, with the same arguments.

    Args:
        key: the cluster's secret, up to 64 bytes.
        clock: Unix time in seconds.
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock

    def make(
        self,
        question: Question,
        *,
        version: str,
        position: int,
        before: Cursor | None,
        present: str,
    ) -> str:
        """The cursor of the page after one that ended at `position`.

        Args:
            question: the lookup and its arguments.
            version: of the catalog that the page is from.
            position: see `nodes.catalog.Page`.
            before: the cursor that the page was asked with; None for the first page.
            present: the version that is in service now.
        """
        served_at = int(self._clock())
        if before is not None and version != present:
            served_at = before.served_at
        said = f"{version}:{position}:{served_at}"
        return f"{said}:{self._signature(question, said)}"

    def read(self, text: object, question: Question, *, version: str, present: str) -> Cursor:
        """Decodes a cursor that was made for that question.

        Args:
            text: what the client gave as a cursor.
            question: the lookup and its arguments.
            version: of the catalog that will answer.
            present: the version that is in service now.

        Raises:
            BadRequest: it is not a cursor of that question, or its records are gone.
        """
        found = _CURSOR.fullmatch(text) if type(text) is str else None
        if found is None or not self._is_signed(found[0], question):
            raise BadRequest("after is not a cursor of a page; start again from the first page")
        cursor = Cursor(found[1], int(found[2]), int(found[3]))
        over = cursor.version != present and self._clock() - cursor.served_at > OLD_PAGES_S
        if cursor.version != version or over:
            raise BadRequest(
                f"the records changed since that page (catalog {cursor.version[:12]}, now"
                f" {present}); start again from the first page"
            )
        return cursor

    def _is_signed(self, text: str, question: Question) -> bool:
        said, _, signature = text.rpartition(":")
        return compare_digest(signature, self._signature(question, said))

    def _signature(self, question: Question, said: str) -> str:
        content = msgspec.msgpack.encode((question, said))
        return blake2b(content, key=self._key, digest_size=16, person=b"cursor").hexdigest()
