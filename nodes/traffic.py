"""A load of sample lookups, drawn from the values that are really there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from nodes.client import Client
from nodes.errors import BadRequest, RollcallError
from nodes.routing import Figures
from nodes.wire import LookupShape

SAMPLE = 100
"""Values of each field that the samples are drawn from."""

Question = tuple[str, tuple[str | int | float, ...]]


class Second(NamedTuple):
    """One second of it: wanted and reached. Latency in milliseconds."""

    rate: float
    answered: int
    errors: int
    p99_ms: float


def questions(client: Client, random: Random) -> Iterator[Question]:
    """Lookups without end, in turn, with arguments from records that exist where that can be.

    Arguments:
        client: asked for the lookups, and for values and records to draw from.
        random: draws.

    Raises:
        RollcallError: the master cannot be asked.
    """
    shapes = client.describe().lookups
    values = {field: client.suggest(field, limit=SAMPLE) for s in shapes for field in s.fields}
    records: list[dict[str, object]] = []
    for shape in shapes:
        if len(shape.fields) == 1 and values[shape.fields[0]]:
            for value in random.sample(values[shape.fields[0]], min(10, len(values))):
                records += client.page(shape.name, value, limit=SAMPLE).result
    while True:
        for shape in shapes:
            yield shape.name, _arguments(shape, records, values, random)


def _arguments(
    shape: LookupShape, records: list[dict[str, object]], values: dict[str, list[str]],
    random: Random,
) -> tuple[str | int | float, ...]:  # fmt: skip
    """Those of one record, so that there is an answer; else a value of each field."""
    if records:
        record = random.choice(records)
        found = [record.get(field) for field in shape.fields]
        known = tuple(value for value in found if isinstance(value, str | int | float))
        if len(known) == len(shape.fields):
            return known
    return tuple(random.choice(values[field] or [""]) for field in shape.fields)


def traffic(
    address: str,
    rate: float,
    *,
    stopping: threading.Event,
    random: Random,
    tls: Path | None = None,
) -> Iterator[Second]:
    """Asks `rate` lookups a second until `stopping` is set; yields a report each second.

    Open loop: each lookup has its due time, and its latency counts from then on, so that a
    slow answer is not hidden by the questions that were not asked meanwhile.
    """
    with Client(address, tls=tls) as client:
        source = questions(client, random)
        figures = Figures(window=1)
        answered = errors = 0
        due = report_at = time.monotonic()
        report_at += 1.0
        while not stopping.wait(max(0.0, min(due, report_at) - time.monotonic())):
            now = time.monotonic()
            if now >= report_at:
                p99 = figures.percentile(0.99, now) or 0.0
                yield Second(rate, answered, errors, round(p99 * 1000, 3))
                answered = errors = 0
                report_at = max(report_at + 1.0, now)
                continue
            name, args = next(source)
            try:
                client.page(name, *args)
                answered += 1
            except BadRequest:
                raise
            except RollcallError:
                errors += 1
            figures.add(time.monotonic() - due, time.monotonic())
            # Far behind, it asks as fast as it can, and forgets what it will never catch up.
            due = max(due + 1.0 / rate, time.monotonic() - 1.0)
