"""What a command that lasts logs: how much, in which form, to stderr; and to an audit file."""

from __future__ import annotations

import atexit
import functools
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from nodes.support.background_stream import BackgroundStream
from nodes.support.log_lines import JsonLogFormatter, LogFormatter

F = TypeVar("F", bound=Callable[..., object])

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


def log_choices(default: str, what: str = "What is logged to stderr.") -> Callable[[F], F]:
    """Gives a command the options of a log, `log_level` and `log_format`.

    Args:
        default: the level that their help tells; see `start_log`.
        what: their help, in a sentence.
    """
    level = click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default=None,
        envvar="ROLLCALL_LOG_LEVEL",
        show_envvar=True,
        help=f"{what} With this or --log-format, events of the cluster are: bad ones as warnings, "
        f"others as info.  [default: {default}]",
    )

    return lambda command: level(_format(command))


def log_options(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of its log, and starts that before the command.

    Args:
        default: see `start_log`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*, log_level: str | None, log_format: str | None, **others: object) -> None:
            start_log(log_level, log_format, default)
            command(**others)

        return log_choices(default)(run)

    return decorate


def start_log(level: str | None, form: str | None, default: str) -> None:
    """Starts this process's log, as its options say.

    Args:
        level, form: the options' values; None for what is not given.
        default: the level of its log otherwise, one of `LEVELS`. Events of the cluster are in it
            only where one of the options is given.
    """
    asked = level is not None or form is not None
    log_to_stderr(level or default, as_json=form == "json", events=asked)


def workers_log_options(level: str | None, form: str | None) -> tuple[str, ...]:
    """What workers are started with, so that they log as their launcher was asked to: on whatever
    machine, where this one's environment says nothing.

    Args:
        level, form: the options' values; None for what is not given.
    """
    given = (("--log-level", level), ("--log-format", form))
    return tuple(part for option, value in given if value is not None for part in (option, value))


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
