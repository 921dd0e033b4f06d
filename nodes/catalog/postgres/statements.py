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
    """

    name: str
    key: str
    file: str
    body: str
    columns: Mapping[str, Column]
    origin: int


def find(table: Table, fields: Sequence[str]) -> str:
    """The statement that finds the records with given values of these fields.

    Its parameters are a value for each field, the key to start after, the number of rows. The
    server sends no more rows than a page may have bytes, and the one that is too much: it tells
    that there are more. That is the second, where the first is larger than a page.
    """
    columns = [table.columns[field] for field in fields]
    equal = " AND ".join(f"t.{one.name} = %s::{one.sql_type}" for one in columns)
    rows = (
        f"SELECT {table.key} AS id, {table.file} AS file, {table.body} AS body"  # noqa: S608 - our names, and quoted ones
        f" FROM {table.name} AS t WHERE {equal} AND {table.key} > %s::int8"
        f" ORDER BY {table.key} LIMIT %s::int8"
    )
    return (
        "SELECT id, file, body FROM (SELECT id, file, body, row_number() OVER (ORDER BY id) AS nth,"  # noqa: S608 - as above
        " sum(octet_length(body) + 1) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING)"
        f" - octet_length(body) - 1 AS bytes_before FROM ({rows}) AS rows) AS sized"
        f" WHERE nth <= 2 OR bytes_before <= {MAX_PAGE_BYTES} ORDER BY id"
    )


def suggest(table: Table, field: str, *, bounded: bool) -> str:
    """The statement that lists a field's distinct values within bounds, in order: a loose index
    scan, one search for each value, however many records have it.

    Its parameters, by name, are `low`, itself allowed, `high`, which is not (if `bounded`), and
    `most` values.
    """
    column = table.columns[field]
    # Texts in the order of their characters, as everywhere here, whatever the server's language.
    value = f"t.{column.name}" + (' COLLATE "C"' if column.sql_type == "text" else "")
    below = f" AND {value} < %(high)s::{column.sql_type}" if bounded else ""

    def smallest(condition: str) -> str:
        return (
            f"SELECT {value} AS v FROM {table.name} AS t"  # noqa: S608 - as above
            f" WHERE {value} {condition}{below} ORDER BY {value} LIMIT 1"
        )

    return (
        f"WITH RECURSIVE found AS (({smallest(f'>= %(low)s::{column.sql_type}')}) UNION ALL"  # noqa: S608 - as above
        f" SELECT ({smallest('> found.v')}) FROM found WHERE found.v IS NOT NULL)"
        " SELECT v FROM found WHERE v IS NOT NULL LIMIT %(most)s::int8"
    )


def ping(table: Table) -> str:
    """The statement that reads one record."""
    return f"SELECT {table.key} FROM {table.name} AS t LIMIT 1"  # noqa: S608 - as above
