"""What a command that lasts logs: how much, in which form, to stderr; and to an audit file."""

from __future__ import annotations

import atexit
import functools
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click

from nodes.support.background_stream import BackgroundStream
from nodes.support.log_lines import JsonLogFormatter, LogFormatter

logger = logging.getLogger("rollcall.cli")

LEVELS = ("debug", "info", "warning", "error")

audit_option = click.option(
    "--audit",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=None,
    help="Write every act of an operator to this file as well, one line of JSON each.",
)

_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default=None,
    envvar="ROLLCALL_LOG_FORMAT",
    show_envvar=True,
    help="One line of text, or one JSON object, for each record of the log.  [default: text]",
)


def log_options(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of its log, and starts that before the command.

    Args:
        default: the level of its log, one of `LEVELS`. Events of the cluster are in it only where
            one of the options is given.
    """
    level = click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default=None,
        envvar="ROLLCALL_LOG_LEVEL",
        show_envvar=True,
        help="What is logged to stderr. With this or --log-format, events of the cluster are: bad "
        f"ones as warnings, others as info.  [default: {default}]",
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*, log_level: str | None, log_format: str | None, **others: object) -> None:
            asked = log_level is not None or log_format is not None
            log_to_stderr(log_level or default, as_json=log_format == "json", events=asked)
            command(**others)

        return level(_format(run))

    return decorate


def log_to_stderr(level: str, *, as_json: bool = False, events: bool = False) -> None:
    """Sends the log to stderr, one line a record, and what a thread did not catch as well.

    Args:
        level: one of `LEVELS`.
        as_json: whether each line is a JSON object.
        events: whether events of the cluster are in it.
    """
    stream = BackgroundStream(sys.stderr)
    atexit.register(stream.finish)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLogFormatter() if as_json else LogFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("rollcall.events").disabled = not events

    def log(uncaught: threading.ExceptHookArgs) -> None:
        if uncaught.exc_value is not None:
            name = uncaught.thread.name if uncaught.thread is not None else "?"
            logger.critical("the thread %s ended", name, exc_info=uncaught.exc_value)

    threading.excepthook = log
