"""The SQL that asks a table of records: pages, suggestions, and whether it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nodes.catalog.postgres.values import Column
from nodes.catalog.questions import MAX_PAGE_BYTES


class Table(NamedTuple):
    """A table of records, as statements need to know it.

    Attributes:
        name: Its name, quoted, after its schema's if that was given.
        key: The expression of the number by which its records are ordered.
        file: The expression of the number of the file that a record is from.
        body: The expression of a record's JSON, as bytes.
        columns: The columns that lookups are on, by field.
        origin: The key below all others: positions count from there.
        shown: Of fields whose keys are folded, the columns of the texts as they are.
        spread: The tables with all keys of fields of which some hold lists, by those fields; their
            columns are `v0`, ..., `id` and `shown`.
    """

    name: str
    key: str
    file: str
    body: str
    columns: Mapping[str, Column]
    origin: int
    shown: Mapping[str, str] = {}
    spread: Mapping[tuple[str, ...], str] = {}


class _Sorted(NamedTuple):
    """Where records lie in the order of some fields, and then of their keys."""

    tables: str
    columns: tuple[str, ...]
    key: str


def _sorted_by(table: Table, fields: Sequence[str]) -> _Sorted:
    spread = table.spread.get(tuple(fields))
    if spread is None:
        columns = tuple(f"t.{table.columns[field].name}" for field in fields)
        return _Sorted(f"{table.name} AS t", columns, table.key)
    columns = tuple(f"k.v{number}" for number in range(len(fields)))
    return _Sorted(f"{spread} AS k JOIN {table.name} AS t ON t.id = k.id", columns, "k.id")


def find(table: Table, fields: Sequence[str]) -> str:
    """The statement that finds the records with given values of these fields.

    Its parameters are a value for each field, the key to start after, the number of rows.
    """
    at = _sorted_by(table, fields)
    conditions = [*_equal(table, fields, at), f"{at.key} > %s::int8"]
    return _page(table, at, conditions, [at.key])


def find_beginnings(table: Table, fields: Sequence[str], *, following: bool, bounded: bool) -> str:
    """The statement that finds the records with given values of these fields, and one within bounds
    of the last, in the order of that.

    Its parameters are a value for each field but the last; the lower bound, itself allowed, or if
    `following` another record, twice its key, to go on after; the upper, which is not, if
    `bounded`; the number of rows.
    """
    at = _sorted_by(table, fields)
    *same, last = fields
    value = at.columns[-1]
    conditions = _equal(table, same, at)
    if following:
        own = f"(SELECT o.{table.columns[last].name} FROM {table.name} AS o WHERE o.id = %s::int8)"  # noqa: S608 - our names
        conditions.append(f"({value}, {at.key}) > ({own}, %s::int8)")
    else:
        conditions.append(f"{value} >= %s::text")
    if bounded:
        conditions.append(f"{value} < %s::text")
    return _page(table, at, conditions, [value, at.key])


def _equal(table: Table, fields: Sequence[str], at: _Sorted) -> list[str]:
    return [
        f"{column} = %s::{table.columns[field].sql_type}"
        for field, column in zip(fields, at.columns, strict=False)
    ]


def _page(table: Table, at: _Sorted, conditions: Sequence[str], order: Sequence[str]) -> str:
    """A page's rows. The server sends no more of them than a page may have bytes, and the one that
    is too much: it tells that there are more. That is the second, where the first is larger than a
    page.
    """
    names = [f"o{number}" for number in range(len(order))]
    ordered, by = ", ".join(order), ", ".join(names)
    sorted_by = ", ".join(f"{one} AS {name}" for one, name in zip(order, names, strict=True))
    rows = (
        f"SELECT {at.key} AS id, {table.file} AS file, {table.body} AS body, {sorted_by}"  # noqa: S608 - our names, and quoted ones
        f" FROM {at.tables} WHERE {' AND '.join(conditions)} ORDER BY {ordered} LIMIT %s::int8"
    )
    return (
        f"SELECT id, file, body FROM (SELECT id, file, body, {by},"  # noqa: S608 - as above
        f" row_number() OVER (ORDER BY {by}) AS nth,"
        f" sum(octet_length(body) + 1) OVER (ORDER BY {by} ROWS UNBOUNDED PRECEDING)"
        f" - octet_length(body) - 1 AS bytes_before FROM ({rows}) AS rows) AS sized"
        f" WHERE nth <= 2 OR bytes_before <= {MAX_PAGE_BYTES} ORDER BY {by}"
    )


def suggest(table: Table, field: str, *, bounded: bool) -> str:
    """The statement that lists a field's distinct values within bounds, in order: a loose index
    scan, one search for each value, however many records have it.

    Its parameters, by name, are `low`, itself allowed, `high`, which is not (if `bounded`), and
    `most` values.
    """
    at, kind = _sorted_by(table, [field]), table.columns[field].sql_type
    source = at.tables.partition(" JOIN ")[0]
    [column] = at.columns
    # Texts in the order of their characters, as everywhere here, whatever the server's language.
    value = column + (' COLLATE "C"' if kind == "text" else "")
    below = f" AND {value} < %(high)s::{kind}" if bounded else ""
    shown = "v"
    if field in table.shown:
        text = "k.shown" if source.endswith(" k") else f"t.{table.shown[field]}"
        first = f"SELECT {text} FROM {source} WHERE {column} = v ORDER BY {at.key} LIMIT 1"  # noqa: S608 - as above
        shown = f"coalesce(({first}), v)"

    def smallest(condition: str) -> str:
        return (
            f"SELECT {value} AS v FROM {source}"  # noqa: S608 - as above
            f" WHERE {value} {condition}{below} ORDER BY {value} LIMIT 1"
        )

    return (
        f"WITH RECURSIVE found AS (({smallest(f'>= %(low)s::{kind}')}) UNION ALL"  # noqa: S608 - as above
        f" SELECT ({smallest('> found.v')}) FROM found WHERE found.v IS NOT NULL)"
        f" SELECT {shown} FROM found WHERE v IS NOT NULL LIMIT %(most)s::int8"
    )


def ping(table: Table) -> str:
    """The statement that reads one record."""
    return f"SELECT {table.key} FROM {table.name} AS t LIMIT 1"  # noqa: S608 - as above
