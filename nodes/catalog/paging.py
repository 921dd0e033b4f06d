"""Pages: what a lookup found, row by row, up to the bounds of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nodes.catalog.model import Page
from nodes.catalog.questions import MAX_PAGE_BYTES


class PageBuilder:
    """One page, made of rows as they are read.

    Args:
        names: of the catalog's files.
        limit: records of the page, at most.
        origin: the key that positions count from.

    Attributes:
        after: the position that the next page goes on from, once this one is full; None before.
    """

    def __init__(self, names: Sequence[str], limit: int, *, origin: int = 0) -> None:
        self.after: int | None = None
        self._names = names
        self._limit = limit
        self._origin = origin
        self._bodies: list[bytes] = []
        self._files: dict[int, str] = {}
        self._size = 0
        self._last = 0

    def take(self, rows: Iterable[tuple[int, int, bytes]]) -> int:
        """Takes in rows, each a key, the number of a file, and a body, until the page is full.
        Returns how many it took.
        """
        bodies, files, before = self._bodies, self._files, len(self._bodies)
        for key, file, body in rows:
            self._size += len(body) + 1
            if len(bodies) == self._limit or (bodies and self._size > MAX_PAGE_BYTES):
                self.after = self._last
                break
            bodies.append(body)
            if file not in files:
                files[file] = self._names[file]
            self._last = key - self._origin
        return len(bodies) - before

    def page(self) -> Page:
        """The page of what was taken."""
        body = b"[%b]" % b",".join(self._bodies)
        return Page(body, len(self._bodies), self.after, tuple(self._files.values()))
