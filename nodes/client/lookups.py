"""What the blocking and the asyncio client have in common: arguments checked, and options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from nodes.errors import BadRequest, LookupFailed
from nodes.transport import Value
from nodes.wire import LOOKUP_TIMEOUT_S, PAGE_RECORDS

Record = dict[str, Any]
"""One record, as plain data."""

Answered = list[Record] | LookupFailed
"""The outcome of one lookup of a batch."""

BATCH_LOOKUPS = 1000
"""Lookups sent in one message; a longer list takes several."""

ANSWER_GRACE_S = 0.5
"""Seconds that an answer may take to arrive after the lookup's own deadline."""


def checked_timeout(timeout: float) -> float:
    """A client's timeout. Raises `ValueError` if it is not a finite number above 0."""
    if type(timeout) in (int, float) and 0 < timeout < math.inf:
        return timeout
    raise ValueError(f"timeout must be a number of seconds above 0, not {timeout!r}")


def lookup_options(
    limit: int = PAGE_RECORDS, after: str | None = None, timeout_s: float = LOOKUP_TIMEOUT_S
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
    return options


def batch_text(lookups: Sequence[Sequence[str | float]]) -> str:
    """The lookups of a batch as they are sent. Raises `BadRequest`."""
    try:
        return msgspec.json.encode(lookups).decode()
    except (TypeError, UnicodeEncodeError) as error:
        raise BadRequest(f"a lookup of the batch cannot be sent: {error}") from error
