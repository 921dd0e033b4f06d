"""What a catalog is to those who read from it, wherever its records lie.

There are two implementations: `sqlite_reader`, a file that each worker reads by itself,
and `postgres`, a table that many machines ask over the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nodes.catalog.arguments import Argument
from nodes.catalog.model import CatalogInfo, Page
from nodes.support.slices import Sliced


class Catalog(Protocol):
    """An open catalog.

    Attributes:
        info: what it holds.
    """

    info: CatalogInfo

    @property
    def is_intact(self) -> bool:
        """Whether it is as it was built: what is read from it meanwhile is right."""

    def reader(self) -> Reader:
        """A reader of its own; to be closed after use."""

    def other_version(self, version: str) -> Sliced[Catalog]:
        """The catalog of the same dataset that has that version.

        Raises:
            DataError: it is gone.
        """

    def close(self) -> None:
        """Lets go of it: it may be cleared away. Open readers go on as long as it is there."""


class Reader(Protocol):
    """A reader of one catalog, for one thread or event loop.

    What waits for another machine is in slices: on an event loop, nobody is held up by it.
    """

    def find_in_slices(
        self, lookup: str, args: Sequence[object], *, limit: int, start: int, within: float
    ) -> Sliced[Page]:
        """Find the records whose fields equal `args`, in their order.

        Args:
            lookup: The lookup's name.
            args: A value for each of its fields; see `coerce`.
            limit: The most records on the page, 1 to `MAX_PAGE_RECORDS`. A page is also
                limited to `MAX_PAGE_BYTES`.
            start: `after` of the page before, 0 for the first page.
            within: Seconds after which nobody waits for the page any more.

        Raises:
            BadRequest: There is no such lookup, or the arguments are wrong.
            DataError: The catalog is damaged.
            StoreDown: The records cannot be asked for just now.
        """

    def find_single(
        self, lookup: str, args: Sequence[Argument]
    ) -> tuple[bytes, tuple[str, ...]] | None:
        """The fast path of `find_in_slices`, for a lookup that finds one record or none.

        Args:
            lookup: The lookup's name.
            args: Texts of at most `MAX_TEXT_CHARS` and integers of 64 bits.

        Returns:
            What the page has within its brackets, and the names of its files; None if
            `find_in_slices` has to look.
        """

    def coerced(self, lookup: str, args: Sequence[object]) -> tuple[Argument, ...]:
        """A lookup's arguments as `find_in_slices` takes them. Raises `BadRequest` as it does."""

    def suggest_in_slices(
        self, field: str, prefix: str, *, limit: int, within: float
    ) -> Sliced[list[str]]:
        """Suggest distinct values of a lookup's field that start with `prefix`, in order.

        Case matters. Integers from 0 up are matched by their digits; a field of other numbers
        has no suggestions.

        Args:
            field: A field that a lookup is on.
            prefix: The beginning of the values, "" for all.
            limit: The most values, 1 to `MAX_SUGGESTIONS`.
            within: Seconds after which nobody waits for them any more.

        Raises:
            BadRequest: No lookup is on that field, or an argument is wrong.
            DataError, StoreDown: as `find_in_slices`.
        """

    def probe_in_slices(self) -> Sliced[str]:
        """Reads for real.

        Returns:
            Why the records cannot be read just now, by no fault of this process; "" if they can.

        Raises:
            DataError: The catalog is damaged.
        """

    def close(self) -> None:
        """Closes it; a second time does nothing."""
