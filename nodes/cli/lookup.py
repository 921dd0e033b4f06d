"""`lookup`: ask one thing, or many from standard input."""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from nodes.cli.common import (
    EXIT_FAILED,
    error_json,
    explained,
    json_option,
    master_options,
    print_json,
)
from nodes.cli.questions import Question, question_batches
from nodes.client.blocking import Client
from nodes.client.lookups import BATCH_LOOKUPS
from nodes.errors import BadRequest, LookupFailed, MasterLost, RollcallError
from nodes.support.addresses import DEFAULT_ADDRESS
from nodes.support.text import printable
from nodes.wire import Envelope

EXIT_FOUND, EXIT_NOT_FOUND = 0, 1

UNREADABLE = Envelope(
    error=True,
    code=BadRequest.code,
    error_message="it is not written as a shell would, nor a JSON array of a lookup and its"
    " arguments, or no UTF-8; check its quotes",
)
"""What a line is answered that no master is asked."""

EPILOG = """\b
Exit codes:
  0  found
  1  not found (in a list: at least one was not)
  2  error (in a list: at least one)
"""


def _complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of lookups, then real values of the field that comes next, from the master."""
    words: list[str] = [w for w in (ctx.params.get("verb"), *(ctx.params.get("args") or ())) if w]
    try:
        address, tls = ctx.params.get("master") or DEFAULT_ADDRESS, ctx.params.get("tls")
        with Client(address, timeout=1.0, tls=tls) as client:
            shapes = {one.name: one for one in client.describe().lookups}
            if not words:
                return [name for name in shapes if name.startswith(incomplete)]
            shape = shapes[words[0]]
            if len(words) > len(shape.fields):
                return []
            values: list[str] = []
            for field in shape.sources(len(words) - 1):
                with contextlib.suppress(BadRequest):  # no lookup is on it
                    values += client.suggest(field, incomplete)
            # What a shell would show as something else, it is not offered.
            return [value for value in dict.fromkeys(values) if value.isprintable()]
    except (RollcallError, KeyError):
        return []  # nothing to offer; the command itself will say why


# A value may start with a dash, as a negative number does.
@click.command(epilog=EPILOG, context_settings={"ignore_unknown_options": True})
@click.argument("verb", required=False, shell_complete=_complete)
@click.argument("args", nargs=-1, shell_complete=_complete)
@master_options
@click.option(
    "--timeout", type=click.FloatRange(0.001, 60), default=2.0, show_default=True, help="Seconds."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=1000,
    show_default=True,
    help="Records of one page.",
)
@click.option("--after", default=None, help="The cursor of the page before.")
@click.option(
    "--traceparent",
    metavar="TEXT",
    default=None,
    envvar="TRACEPARENT",
    show_envvar=True,
    help="What it is a part of, for who traces requests; see W3C's trace context.",
)
@json_option
@explained
def lookup(
    verb: str | None,
    args: tuple[str, ...],
    master: str,
    tls: Path | None,
    timeout: float,
    limit: int,
    after: str | None,
    traceparent: str | None,
    as_json: bool,
) -> None:
    """Ask VERB with ARGS, as in: lookup getbyyear "New York City" 2002

    Without VERB, ask every line of standard input, written as a shell would,
    or a JSON array of a lookup and its arguments.
    """
    if verb is not None and verb.startswith("-"):
        raise click.NoSuchOption(verb)
    worst = EXIT_FOUND
    with Client(master, timeout=timeout, tls=tls, traceparent=lambda: traceparent) as client:
        try:
            if verb is not None:
                replies = [client.page(verb, *args, limit=limit, after=after)]
                worst = _print_all([Question([verb, *args])], replies, as_json=as_json)
            else:
                if isinstance(sys.stdin, io.TextIOWrapper):
                    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
                for batch in question_batches(sys.stdin, BATCH_LOOKUPS):
                    replies = _ask(client, batch, limit)
                    worst = max(worst, _print_all(batch, replies, as_json=as_json))
        except (LookupFailed, MasterLost) as error:
            worst = EXIT_FAILED
            _print_error(error, as_json=as_json)
    raise SystemExit(worst)


def _ask(client: Client, batch: list[Question], limit: int) -> list[Envelope]:
    """An answer for each line; no word at all stands for one that cannot be read."""
    replies = iter(client.first_pages([one.words for one in batch if one.words], limit=limit))
    return [next(replies) if one.words else UNREADABLE for one in batch]


def _print_all(batch: Sequence[Question], replies: list[Envelope], *, as_json: bool) -> int:
    """Prints the answers, each found, not found, or an error; returns the worst of these."""
    worst = EXIT_FOUND
    for asked, reply in zip(batch, replies, strict=True):
        try:
            _print(reply.checked(), asked, as_json=as_json)
            worst = max(worst, EXIT_FOUND if reply.count else EXIT_NOT_FOUND)
        except LookupFailed as error:
            worst = EXIT_FAILED
            _print_error(error, as_json=as_json, line=asked.line)
    return worst


def _print_error(error: RollcallError, *, as_json: bool, line: int = 0) -> None:
    """Tells of an error; of one that a line of standard input led to, with its number."""
    if as_json:
        print_json({**error_json(error), "line": line} if line else error_json(error))
    else:
        where = f"line {line}: " if line else ""
        click.echo(f"rollcall-nodes: {where}{printable(str(error))}", err=True)


def _print(reply: Envelope, question: Question, *, as_json: bool) -> None:
    if as_json:
        omitted = {"code", "error_message", "retry_after_ms", "request_id"}
        if not reply.worker:  # one of a batch: who answered, and when, is said of none alone
            omitted |= {"worker", "attempts", "elapsed_ms"}
        whole = msgspec.structs.asdict(reply)
        kept = {key: value for key, value in whole.items() if key not in omitted}
        print_json(kept)
        return
    for record in reply.result:
        print_json(record)
    asked = printable(shlex.join(map(str, question.words)))
    if question.line:
        asked = f"line {question.line}: {asked}"
    if not reply.count:
        click.echo(f"{asked}: not found", err=True)
    elif reply.after is not None:
        click.echo(f"{asked}: more; go on with --after {printable(reply.after)}", err=True)
