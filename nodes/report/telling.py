"""Times and figures of a report in words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

DAY_S = 86400.0


class Clock:
    """Tells times in one zone.

    Args:
        utc_offset_s: of the zone, east of UTC.
        first, last: what is told of; within one day, a time needs no date.

    Attributes:
        offset_s: as given.
        dated: whether times need a date.
    """

    def __init__(self, utc_offset_s: int, first: float, last: float) -> None:
        self.offset_s = utc_offset_s
        self._zone = timezone(timedelta(seconds=utc_offset_s))
        self.dated = self.date(first) != self.date(last)

    def date(self, at: float) -> str:
        """The day of it."""
        return self._told(at, "%Y-%m-%d")

    def full(self, at: float) -> str:
        """The day and the time."""
        return self._told(at, "%Y-%m-%d %H:%M:%S")

    def time(self, at: float) -> str:
        """The time and, where there are several, the day."""
        return self._told(at, "%m-%d %H:%M:%S" if self.dated else "%H:%M:%S")

    def tick(self, at: float, step_s: float) -> str:
        """A time at an axis."""
        if self.dated:
            return self._told(at, "%m-%d" if step_s >= DAY_S else "%m-%d %H:%M")
        return self._told(at, "%H:%M" if step_s >= 60 else "%H:%M:%S")

    @property
    def zone(self) -> str:
        """The zone, as UTC+01:00."""
        return str(self._zone)

    def _told(self, at: float, form: str) -> str:
        try:
            return datetime.fromtimestamp(at, self._zone).strftime(form)
        except (OverflowError, OSError, ValueError):
            return f"{at:.0f}"


def number(value: float) -> str:
    """A figure in a few digits: 1,234, 12.3, 0.41."""
    if value >= 99.95 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2g}"


def said(words: str) -> str:
    """A verdict's words, as they stand in a page: there, two spaces are none."""
    return words.replace("  ", " \N{MIDDLE DOT} ")


def share(part: float, whole: float) -> str:
    """A part in percent; none of it is 0 %, and not all of it is never 100 %."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if 0 < percent < 0.01:
        return "< 0.01 %"
    if 99.99 < percent < 100:
        return "> 99.99 %"
    return f"{percent:.3g} %" if percent < 99 else f"{percent:.4g} %"
