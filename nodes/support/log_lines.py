"""Lines of logs: one a record, as text or as JSON, with a time that says its zone."""

from __future__ import annotations

import json
import logging
from datetime import datetime

from nodes.support.text import printable, printable_json

EXTRAS = ("request_id", "trace_id", "event", "worker", "number")
"""What records say besides their message: of which lookup they are, or which event."""


def iso_time(at: float) -> str:
    """Unix time as local time that says its offset, by ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="milliseconds")


class LogFormatter(logging.Formatter):
    """One line a record, whatever is in it; a traceback follows, each line of it indented.

    No record can look like two, and none reaches a terminal as anything but text.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: object = None) -> str:  # noqa: N802 - logging's name
        """The time of a record."""
        del datefmt
        return iso_time(record.created)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as above
        """The line of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - as above
        """The lines of a traceback, of which none begins like a record."""
        text = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join(f"    {printable(line)}" for line in text.splitlines())


class JsonLogFormatter(logging.Formatter):
    """One JSON object a record, its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        entry = {
            "time": iso_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: vars(record)[name] for name in EXTRAS if name in vars(record)}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(entry, ensure_ascii=False))
