"""Natural order: numbers in names count as numbers."""

from __future__ import annotations

_WIDTH = 12
"""Digits to which a number is filled up; longer ones are compared as text."""


def natural_key(name: str) -> str:
    """A key that sorts w10 after w9: the number at the end of the name, filled up with zeros."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return f"{stem}{digits.zfill(_WIDTH)}" if digits else stem
