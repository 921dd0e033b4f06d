"""The workload: lookups drawn from the records that are really there."""

from __future__ import annotations

import contextlib
import itertools
import string
from collections.abc import Sequence
from random import Random
from typing import Any

from nodes.client.blocking import Client
from nodes.errors import BadRequest, RollcallError, code_of
from nodes.load.runner import MakeCall, Outcome
from nodes.wire import LookupShape

LookupCall = tuple[str, tuple[str | int | float, ...]]

MAX_VALUES = 100
"""Values that are asked for at once."""

Record = dict[str, Any]


def sample_lookups(
    client: Client, random: Random, *, only: Sequence[str] = (), count: int = 1000
) -> list[LookupCall]:
    """So many lookups, of each name in turn, by values of records that exist where that can be.

    Args:
        client: asked for the lookups, for values, and for records to draw from.
        random: draws.
        only: the names of the lookups to ask; all that there are if empty.

    Raises:
        BadRequest: there is no lookup of that name.
        RollcallError: the master cannot be asked.
    """
    there = client.describe().lookups
    unknown = set(only) - {shape.name for shape in there}
    if unknown:
        names = ", ".join(shape.name for shape in there)
        raise BadRequest(f"there is no lookup {sorted(unknown)[0]}; there are {names}")
    shapes = [shape for shape in there if not only or shape.name in only]
    fields = {field for one in there for at in range(len(one.fields)) for field in one.sources(at)}
    values = {field: _values(client, field) for field in fields}
    records = _records(client, there, values, random)
    turns = itertools.islice(itertools.cycle(shapes), count)
    return [(shape.name, _arguments(shape, records, values, random)) for shape in turns]


def _values(client: Client, field: str) -> list[str]:
    """Values of the field: the first ones, and the first under each letter and digit; none of a
    field that is only searched.
    """
    prefixes = ("", *string.ascii_letters, *string.digits)
    found = (client.suggest(field, prefix, limit=MAX_VALUES) for prefix in prefixes)
    try:
        return list(dict.fromkeys(itertools.chain.from_iterable(found)))
    except BadRequest:
        return []


def _records(
    client: Client, shapes: Sequence[LookupShape], values: dict[str, list[str]], random: Random
) -> list[Record]:
    """Records of some values, for lookups on several fields."""
    records: list[Record] = []
    for shape in shapes:
        known = [value for field in shape.sources(0) for value in values[field]]
        if len(shape.fields) == 1:
            for value in random.sample(known, min(10, len(known))):
                with contextlib.suppress(BadRequest):  # a text without a word
                    records += client.page(shape.name, value, limit=MAX_VALUES).result
    return records


def _arguments(
    shape: LookupShape, records: list[Record], values: dict[str, list[str]], random: Random
) -> tuple[str | int | float, ...]:
    """Of several fields, those of one record, so that there is an answer; else any values."""
    if shape.searched:
        return (_words(shape, records, values, random),)
    if records and len(shape.fields) > 1:
        record = random.choice(records)
        found = [record.get(field) for field in shape.fields]
        known = tuple(value for value in found if isinstance(value, str | int | float))
        if len(known) == len(shape.fields):
            return known
    return tuple(random.choice(values[field] or [""]) for field in shape.fields)


def _words(
    shape: LookupShape, records: list[Record], values: dict[str, list[str]], random: Random
) -> str:
    """A word of some record, as far as any is known."""
    texts = [value for field in shape.searched for value in values[field][:MAX_VALUES]]
    texts += [str(record.get(field, "")) for record in records for field in shape.searched]
    known = [word for text in texts for word in text.split() if word.isalnum()]
    return random.choice(known or ["0"])


def make_caller(client: Client, questions: Sequence[LookupCall], *, batch: int = 1) -> MakeCall:
    """Asks one after the other of `questions`, round and round, `batch` of them at once."""
    source = itertools.cycle(questions)

    def one() -> Sequence[Outcome]:
        name, args = next(source)
        try:
            return ((client.page(name, *args).worker, ""),)
        except RollcallError as error:
            return (("", code_of(error)),)

    def several() -> Sequence[Outcome]:
        asked = [next(source) for _ in range(batch)]
        try:
            answers = client.lookup_many([(name, *args) for name, args in asked])
        except RollcallError as error:
            return (("", code_of(error)),) * batch
        # Which worker answered a lookup of a batch is not told.
        return [("", code_of(one) if isinstance(one, RollcallError) else "") for one in answers]

    return one if batch == 1 else several
