"""Times as people type them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta


def parse_moment(text: str, now: datetime) -> float:
    """A time as Unix time in seconds.

    It may be given so; as 2026-01-31T12:00:00, local time unless it says otherwise; or as 12:00
    or 12:00:00, the last time that the clock showed that.

    Args:
        text: what was typed.
        now: before which a time without a date lies.

    Raises:
        ValueError: it is no time.
    """
    try:
        return _moment(text, now)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from error


def _moment(text: str, now: datetime) -> float:
    try:
        at = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(at):
            return at
        raise ValueError("it is no time")
    if "-" in text:
        return datetime.fromisoformat(text).timestamp()
    clock = datetime.fromisoformat(f"{now.date().isoformat()}T{text}")
    return (clock if clock <= now else clock - timedelta(days=1)).timestamp()
