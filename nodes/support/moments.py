"""Times as people type them."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

_UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def parse_span(text: str) -> float:
    """A stretch of time in seconds: 90, 90s, 5m, 1h30m, 2d.

    Raises:
        ValueError: it is none.
    """
    parts = _SPAN.fullmatch(text)
    if parts is not None and any(parts.groups()):
        counts = zip(parts.groups(), _UNITS_S.values(), strict=True)
        seconds = float(sum(int(count) * unit_s for count, unit_s in counts if count))
    else:
        seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError("it is no stretch of time")
    return seconds


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
