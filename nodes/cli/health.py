"""`health`: whether lookups are answered, for supervisors and probes, by its exit code."""

from __future__ import annotations

import time
from pathlib import Path

import click

from nodes.cli.common import explained, json_option, master_options, print_json
from nodes.client.attached import AttachedCluster
from nodes.errors import LookupFailed
from nodes.monitoring.readiness import readiness
from nodes.support.text import printable
from nodes.support.units import rounded_ms
from nodes.wire import LookupShape

EXIT_NOT_READY = 1
"""The exit code while the master is there, and a lookup would not be answered."""

PROBE_VALUES: dict[str, str | float] = {"text": "health check", "integer": 0, "number": 0.0}
"""What a lookup is asked for, by the type of its field: that it finds nothing is an answer."""


@click.command()
@click.option("--deep", is_flag=True, help="Ask a lookup as well, as a client does.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 60.0),
    default=3.0,
    show_default=True,
    help="Seconds for each question.",
)
@master_options
@json_option
@explained
def health(deep: bool, timeout: float, master: str, tls: Path | None, as_json: bool) -> None:
    """Say whether lookups are answered, for supervisors and probes.

    Ends with 0 if they are, with 1 if the master is there and they are not, and with 2 if it
    could not be asked.
    """
    with AttachedCluster(master, timeout=timeout, tls=tls) as cluster:
        ready, said = readiness(cluster.snapshot())
        told: dict[str, object] = {"verdict": said}
        if deep:
            failure, took_ms = _ask(cluster)
            ready = not failure
            told |= {"lookup_ms": took_ms, "lookup_error": failure}
            outcome = f"not answered: {failure}" if failure else f"answered in {took_ms:.2f} ms"
            said = f"{said}  a lookup is {outcome}"
    print_json({"ready": ready, **told}) if as_json else click.echo(printable(said))
    if not ready:
        raise SystemExit(EXIT_NOT_READY)


def _ask(cluster: AttachedCluster) -> tuple[str, float]:
    """Asks the first lookup that there is. Returns why it failed, "" if it did not, and how many
    milliseconds it took.
    """
    began = time.monotonic()
    try:
        shape = cluster.describe().lookups[0]
        began = time.monotonic()
        cluster.page(shape.name, *_arguments(shape), limit=1).checked()
    except LookupFailed as error:
        return error.message, rounded_ms(time.monotonic() - began)
    return "", rounded_ms(time.monotonic() - began)


def _arguments(shape: LookupShape) -> list[str | float]:
    return [PROBE_VALUES[kind] for kind in shape.types]
