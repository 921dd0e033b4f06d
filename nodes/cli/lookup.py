"""`lookup`: ask one thing, or many from standard input."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable

import click
import msgspec

from nodes.cli.common import FAILED, as_json, error_json, explained, master_option, print_json
from nodes.client import Client
from nodes.errors import BadRequest, LookupFailed, MasterLost, RollcallError
from nodes.text import printable
from nodes.wire import Envelope

FOUND, NOT_FOUND = 0, 1
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
        with Client(ctx.params.get("master") or "127.0.0.1:23000", timeout=1.0) as client:
            shapes = {one.name: one for one in client.describe().lookups}
            if not words:
                return [name for name in shapes if name.startswith(incomplete)]
            fields = shapes[words[0]].fields
            if len(words) > len(fields):
                return []
            values = client.suggest(fields[len(words) - 1], incomplete)
            # What a shell would show as something else, it is not offered.
            return [value for value in values if value.isprintable()]
    except (RollcallError, KeyError):
        return []  # nothing to offer; the command itself will say why


@click.command(epilog=EPILOG)
@click.argument("verb", required=False, shell_complete=_complete)
@click.argument("args", nargs=-1, shell_complete=_complete)
@master_option
@click.option(
    "--timeout", type=click.FloatRange(0.001, 60), default=2.0, show_default=True, help="Seconds."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True,
              help="Records of one page.")  # fmt: skip
@click.option("--after", default=None, help="The cursor of the page before.")
@as_json
@explained
def lookup(
    verb: str | None, args: tuple[str, ...], master: str, timeout: float, limit: int,
    after: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Ask VERB with ARGS, as in: lookup getbyyear "New York City" 2002

    Without VERB, ask every line of standard input, written as a shell would.
    """
    questions: Iterable[list[str]]
    questions = [[verb, *args]] if verb else _from_stdin()
    worst = FOUND
    with Client(master, timeout=timeout) as client:
        for words in questions:
            try:
                if not words:
                    raise BadRequest("a line is not written as a shell would; check its quotes")
                reply = client.page(words[0], *words[1:], limit=limit, after=after)
            except (LookupFailed, MasterLost) as error:
                worst = FAILED
                _print_error(error, as_json=as_json)
                if isinstance(error, MasterLost):
                    break
            else:
                worst = max(worst, FOUND if reply.count else NOT_FOUND)
                _print(reply, words, as_json=as_json)
    raise SystemExit(worst)


def _from_stdin() -> Iterable[list[str]]:
    """The words of each line; none for one that cannot be read. Empty ones and # are left out."""
    for line in sys.stdin:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            yield []
        else:
            if words:
                yield words


def _print_error(error: RollcallError, *, as_json: bool) -> None:
    if as_json:
        print_json(error_json(error))
    else:
        click.echo(f"rollcall-nodes: {printable(str(error))}", err=True)


def _print(reply: Envelope, words: list[str], *, as_json: bool) -> None:
    if as_json:
        omitted = {"code", "error_message", "retry_after_ms"}
        whole = msgspec.structs.asdict(reply)
        kept = {key: value for key, value in whole.items() if key not in omitted}
        print_json(kept)
        return
    for record in reply.result:
        print_json(record)
    asked = printable(shlex.join(words))
    if not reply.count:
        click.echo(f"{asked}: not found", err=True)
    elif reply.after is not None:
        click.echo(f"{asked}: more; go on with --after {printable(reply.after)}", err=True)
