"""The cursor of a page: where the next one begins, signed, so that nobody can make one up.

    5f2c91d0a3b4:1000:1765432100:9f0c...    version, position, time, signature

The time is the Unix second at which that version of the records was last seen in service. A page
of the present records makes it anew, a page of earlier ones keeps it: however it is paged,
records that were replaced can be read for `OLD_PAGES_S` seconds more and no longer.
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
"""Seconds that pages of records go on after others took their place."""

_CURSOR = re.compile(r"([0-9a-f]{1,64}):([0-9]{1,18}):([0-9]{1,12}):[0-9a-f]{32}")

Question = tuple[str, Sequence[str | int | float]]
"""A lookup's name and its arguments, as `nodes.catalog.coerce` returns them."""


class Cursor(NamedTuple):
    """What a cursor says: the catalog's version, the position a page begins after, and the Unix
    second at which that version was last in service.
    """

    version: str
    position: int
    served_at: int


def cursor_version(text: str) -> str:
    """The version that a cursor says it is of, "" if it is no cursor. Nothing is proved by it:
    it tells whom to ask.
    """
    found = _CURSOR.fullmatch(text)
    return found[1] if found is not None else ""


class Cursors:
    """Makes and reads the cursors of one cluster. A cursor leads on from where its own lookup
    was, with the same arguments, and nowhere else.

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
            question: what was asked.
            version: of the catalog that the page was of.
            position: see `nodes.catalog.Page`.
            before: the cursor that the page was asked with.
            present: the version that is served now.
        """
        served_at = int(self._clock())
        if before is not None and version != present:
            served_at = before.served_at
        said = f"{version}:{position}:{served_at}"
        return f"{said}:{self._signature(question, said)}"

    def read(self, text: object, question: Question, *, version: str, present: str) -> Cursor:
        """What a cursor says, if it leads anywhere.

        Args:
            text: what was given as one.
            question: what is asked now.
            version: of the catalog that would answer.
            present: the version that is served now.

        Raises:
            BadRequest: it is none of that question, or of records that are gone.
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
