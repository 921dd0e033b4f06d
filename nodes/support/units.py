"""Durations and latencies as people read them."""

from __future__ import annotations


def milliseconds(value: float | None) -> str:
    """A latency in at most five characters: 0.41, 8.3, 120, 1.20s, 12.5s; a dash for none."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value:.2f}"
    if value < 10:
        return f"{value:.1f}"
    if value < 1000:
        return f"{value:.0f}"
    seconds = value / 1000
    if seconds >= 3600:
        return ">1h"
    digits = 2 if seconds < 9.995 else 1 if seconds < 99.95 else 0
    return f"{seconds:.{digits}f}s"


def latency(value: float | None) -> str:
    """A latency with its unit, for where no heading says it: 0.41 ms, 1.20s."""
    text = milliseconds(value)
    return f"{text} ms" if text[-1].isdigit() else text


def rounded_ms(seconds: float) -> float:
    """A latency in milliseconds, to the microsecond, as programs are told it."""
    return round(seconds * 1000, 3)


def known_ms(seconds: float | None) -> float | None:
    """`rounded_ms` of a latency that may not be known."""
    return None if seconds is None else rounded_ms(seconds)


def measured(seconds: float | None) -> str:
    """A measured time in three digits with its unit: 410 us, 8.31 ms; "-" for none."""
    if seconds is None:
        return "-"
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.3g} us"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s"


def duration(seconds: float) -> str:
    """A stretch of time in its two largest units: 42s, 3m07s, 2h05m, 4d03h, 1200d."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    days = whole // 86400
    return f"{days}d{whole % 86400 // 3600:02d}h" if days < 1000 else f"{days}d"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things, as "1 client" and "2 clients"; `plural` where it does not end in s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
