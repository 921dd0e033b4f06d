"""What the launcher's commands share: options, errors on the terminal, stop signals."""

from __future__ import annotations

import functools
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import click

from nodes.errors import LookupFailed, RollcallError, code_of
from nodes.support.addresses import DEFAULT_ADDRESS, DEFAULT_PORT, bare_host
from nodes.support.listening import insecurity, is_loopback
from nodes.support.moments import parse_moment, parse_span
from nodes.support.text import encodable_json, printable, printable_json

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., object])

EXIT_FAILED = 2
"""The exit code of a command that could not do what it was told; the message is on stderr."""

EXIT_INTERRUPTED = 128 + signal.SIGINT
"""The exit code of a command that Ctrl-C ended, as shells have it."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SAME_STOP_S = 1.0
"""Seconds within which another signal is the same request: whoever closes a terminal, or stops a
group of processes, may well send several at once."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def asked_time(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """A time of the command line, as Unix time in seconds."""
    try:
        return None if text is None else parse_moment(text, datetime.now())
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no time: give one as 12:00:00 or 2026-01-31T12:00:00"
        ) from error


def asked_span(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    """A stretch of time of the command line, in seconds."""
    try:
        return parse_span(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no stretch of time: give one as 30s, 10m, 1h30m or 2d"
        ) from error


master_option = click.option(
    "--master",
    metavar="HOST:PORT",
    default=DEFAULT_ADDRESS,
    envvar="ROLLCALL_MASTER",
    show_default=True,
    show_envvar=True,
    help="The master to talk to.",
)

data_option = click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=None,
    help="Records to serve, a folder or a file.  [default: the sample that ships]",
)

host_option = click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=lambda _ctx, _param, host: bare_host(host),
    help="The address to listen on; :: is every address, of IPv4 as well.",
)

tls_option = click.option(
    "--tls",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=None,
    envvar="ROLLCALL_TLS",
    show_envvar=True,
    help="Use TLS, with the certificates in this folder; see 'rollcall-nodes certs init'.",
)

insecure_option = click.option(
    "--insecure", is_flag=True, help="Listen where others reach it, without TLS."
)

port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="The master's port; 0 lets the system choose.",
)

leave_with_stdin_option = click.option(
    "--leave-with-stdin", is_flag=True, help="Leave at once when standard input ends."
)

balance_option = click.option(
    "--balance",
    type=click.Choice(["load", "tasks", "latency"]),
    default="load",
    show_default=True,
    help="Who gets the next lookup: least load, fewest tasks, or least expected latency.",
)

workers_option = click.option(
    "--workers",
    type=click.IntRange(0, 256),
    default=3,
    show_default=True,
    help="How many to start.",
)

watch_option = click.option(
    "--watch", is_flag=True, help="Reload by itself when the records change."
)

machines_option = click.option(
    "--machines",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=None,
    help="Place workers on the machines of this file, over ssh.",
)

engine_option = click.option(
    "--engine",
    metavar="URL",
    default=None,
    help="Place workers on the nodes of a Ray cluster: ray://HOST:PORT of its head, or ray://auto.",
)

open_engine_option = click.option(
    "--open-engine", is_flag=True, help="Use a Ray cluster even if it asks nobody for a token."
)

require_token_option = click.option(
    "--require-token", is_flag=True, help="Answer lookups only to those who have a token."
)

workers_from_option = click.option(
    "--workers-from",
    metavar="CIDR",
    multiple=True,
    help="Let workers register from this network and this machine only (10.1.0.0/16, say); "
    "may be given several times.  [default: from anywhere, with a worker's token]",
)
metrics_option = click.option(
    "--metrics",
    metavar="HOST:PORT",
    default=None,
    help="Answer /metrics (Prometheus), /healthz and /readyz over HTTP there.",
)

metrics_open_option = click.option(
    "--metrics-open", is_flag=True, help="Let --metrics be an address that other machines reach."
)

tracing_option = click.option(
    "--tracing",
    is_flag=True,
    help="Send a span of each lookup and each attempt by OpenTelemetry, as its variables (OTEL_*) "
    "say; needs the extra 'otel'.",
)

skip_bad_option = click.option(
    "--skip-bad", is_flag=True, help="Leave bad records out instead of failing."
)


def master_options(command: F) -> F:
    """Of whoever talks to a master: its address, and TLS."""
    return master_option(tls_option(command))


def place_options(command: F) -> F:
    """Of whoever starts workers: where."""
    return machines_option(engine_option(open_engine_option(command)))


def monitoring_options(command: F) -> F:
    """Of whoever has a master: how it is watched from outside."""
    return metrics_option(metrics_open_option(tracing_option(command)))


def listen_options(command: F) -> F:
    """Of whoever listens: the address, and TLS."""
    return host_option(tls_option(insecure_option(command)))


def explained(command: Callable[P, None]) -> Callable[P, None]:
    """Lets a command end with an error's message on stderr, and exit code 2; or, when Ctrl-C ends
    it, with that code.

    One called with `--json` prints the error as JSON on stdout as well.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except RollcallError as error:
            fail(error, as_json=bool(kwargs.get("as_json")))
        except KeyboardInterrupt:
            raise SystemExit(EXIT_INTERRUPTED) from None

    return run


def fail(error: RollcallError, *, as_json: bool = False) -> NoReturn:
    """Says what went wrong, and ends the process."""
    if as_json:
        print_json(error_json(error))
    # A message of several lines is ours, and means to be: a file to write, bad records.
    lines = [printable(line) for line in str(error).split("\n")]
    click.echo(f"{_program()}: " + "\n".join(lines), err=True)
    raise SystemExit(EXIT_FAILED)


def _program() -> str:
    context = click.get_current_context(silent=True)
    called = context.find_root().info_name if context is not None else None
    return called if called in ("rollcall", "rollcall-web") else "rollcall-nodes"


def error_json(error: RollcallError) -> dict[str, object]:
    """An error as the envelope has it."""
    told = {"error": True, "code": code_of(error), "error_message": str(error)}
    request_id = error.request_id if isinstance(error, LookupFailed) else ""
    return {**told, "request_id": request_id} if request_id else told


def print_json(value: object) -> None:
    """One line of JSON on stdout."""
    import msgspec  # noqa: PLC0415 - not every command prints JSON

    text = printable_json(msgspec.json.encode(value).decode())
    click.echo(encodable_json(text, getattr(sys.stdout, "encoding", None) or "utf-8"))


def say_insecurity(host: str, tls: Path | None) -> None:
    """Says on stderr what is given up by listening there without TLS, if anything is."""
    if tls is None and not is_loopback(host):
        click.echo(insecurity(host), err=True)


def bound_descriptors(most: int) -> None:
    """Lets this process open so many files and connections: enough for what it may be asked,
    whatever the system's habit, and no more.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


class StopSignals:
    """`STOP_SIGNALS`: the first asks to finish, another ends the process at once, unless it comes
    so soon that it is the same request.

    Args:
        first: called for the first.
        clock: monotonic, in seconds.

    Attributes:
        asked: set by the first.
    """

    def __init__(
        self,
        first: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.asked = threading.Event()
        self._clock = clock
        self._asked_at = 0.0
        self._first = first
        for number in STOP_SIGNALS:
            # A hang-up that is ignored is meant to be (nohup). A shell has what it starts in the
            # background ignore SIGINT as well, but that one may still be sent on purpose.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        now = self._clock()
        if not self.asked.is_set():
            self._asked_at = now
            self.asked.set()
            if self._first is not None:
                self._first()
        elif now - self._asked_at >= SAME_STOP_S:
            os._exit(128 + number)


def watch_stdin() -> None:
    """Ends this process with its standard input: whoever started it holds the other end, and
    that end goes with its holder, however that one ended.
    """

    def read() -> None:
        try:
            while os.read(0, 1024):
                pass
        finally:  # what cannot be read has ended as well
            os._exit(0)

    threading.Thread(target=read, name="stdin", daemon=True).start()
