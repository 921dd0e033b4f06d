"""The status line: conditions that last, side by side."""

from __future__ import annotations

from enum import StrEnum

from console.text import clean


class Condition(StrEnum):
    """What the status line may tell of."""

    STARTING = "starting"
    LOST = "lost"
    FROZEN = "frozen"
    JOURNAL = "journal"
    TRAFFIC = "traffic"


class Status:
    """The conditions that hold, in the order in which they began."""

    def __init__(self) -> None:
        self._texts: dict[Condition, str] = {}

    def set(self, condition: Condition, text: str) -> None:
        """What is said of a condition; "" when it has ended."""
        if text:
            self._texts[condition] = text
        else:
            self._texts.pop(condition, None)

    @property
    def line(self) -> str:
        """All that is to be said; "" for nothing."""
        return clean("   ".join(self._texts.values()))
