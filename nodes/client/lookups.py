"""What the blocking and the asyncio client have in common: arguments checked, and options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from nodes.errors import BadReply, BadRequest, DeadlineExceeded, LookupFailed
from nodes.transport import Value
from nodes.wire import LOOKUP_TIMEOUT_S, MAX_COUNT, MAX_TIMEOUT_S, PAGE_RECORDS, Envelope, Page

T = TypeVar("T")

Record = dict[str, Any]
"""One record, as plain data."""

Answered = list[Record] | LookupFailed
"""The outcome of one lookup of a batch."""

TraceparentSource = Callable[[], str | None]
"""Says what a lookup is a part of, as W3C's `traceparent`; None, or "", for nothing."""

BATCH_LOOKUPS = 1000
"""Lookups sent in one message; a longer list takes several."""

ANSWER_GRACE_S = 0.5
"""Seconds that an answer may take to arrive after the lookup's own deadline."""


def checked_timeout(timeout: float) -> float:
    """A client's timeout. Raises `ValueError` if it is no number above 0, or too large."""
    if type(timeout) in (int, float) and 0 < timeout <= MAX_TIMEOUT_S:
        return timeout
    raise ValueError(
        f"timeout must be a number of seconds above 0 and at most {MAX_TIMEOUT_S:g}, "
        f"not {str(timeout)[:40]!r}"
    )


def pages_late(timeout_s: float) -> DeadlineExceeded:
    """What an answer comes to that has more pages than time."""
    return DeadlineExceeded(
        f"not all of it came within {timeout_s:g} s; take it page by page with pages(), ask for "
        "less at once, or give the client a longer timeout"
    )


def check_page(where: str, page: Envelope, *, limit: int, after: str | None) -> Envelope:
    """A page that answers what was asked.

    Args:
        where: the master's address, for the error.
        page: as it came, a success.
        limit: records that were asked for.
        after: the cursor after which it was to begin, None for the first.

    Raises:
        BadReply: it does not: who went on from there would never come to an end.
    """
    records = page.result
    if type(records) is not list:
        raise BadReply(where, "an answer without records")
    if len(records) > limit:
        raise BadReply(where, f"{len(records)} records on a page of {limit}")
    if after is not None and page.after is not None and (page.after == after or not records):
        raise BadReply(where, "a page that leads to no other")
    return page


def check_options(limit: int, after: str | None = None) -> None:
    """Raises `BadRequest` for options of a page that none can have. What a limit may be, and
    whether a cursor is one, workers say.
    """
    if type(limit) is not int or not 0 <= limit < MAX_COUNT:
        raise BadRequest("limit must be a whole number of records, from 1 up")
    if after is not None and type(after) is not str:
        raise BadRequest(f"after must be the cursor of a page, not {type(after).__name__[:40]}")


def converted(where: str, value: object, kind: type[T]) -> T:
    """A reply's result as what it is to be. Raises `BadReply`."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadReply(where, "something else than was asked for") from error


def checked_pages(where: str, pages: list[Page], asked: int) -> list[Page]:
    """The first pages of a batch. Raises `BadReply` if they are not as many as were asked."""
    if len(pages) != asked:
        raise BadReply(where, f"{len(pages)} answers to {asked} lookups")
    return pages


def lookup_options(
    limit: int = PAGE_RECORDS,
    after: str | None = None,
    timeout_s: float = LOOKUP_TIMEOUT_S,
    traceparent: TraceparentSource | None = None,
) -> dict[str, Value]:
    """The options of a lookup, without those that have the master's own defaults: these need not
    be sent each time.
    """
    options: dict[str, Value] = {}
    if limit != PAGE_RECORDS:
        options["limit"] = limit
    if after is not None:
        options["after"] = after
    if timeout_s != LOOKUP_TIMEOUT_S:
        options["timeout_s"] = timeout_s
    if traceparent is not None and (parent := traceparent()):
        options["traceparent"] = parent
    return options


def batch_text(lookups: Sequence[Sequence[str | float]]) -> str:
    """The lookups of a batch as they are sent. Raises `BadRequest`."""
    try:
        return msgspec.json.encode(lookups).decode()
    except (TypeError, UnicodeEncodeError) as error:
        raise BadRequest(f"a lookup of the batch cannot be sent: {error}") from error
