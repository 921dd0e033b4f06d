"""Spread lookups, on fields that hold lists: for each a table with every key of each record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from nodes.catalog.keys import IndexKey
from nodes.catalog.sql_schema import SqlSchema

MAX_KEYS = 10_000
"""Keys by which one lookup may find one record: where it is on several lists, each element of one
goes with each of the others."""

Element = tuple[int, int, IndexKey, IndexKey]
"""The number of the field, the record's id, the key, and the text to show for it or None."""


def create_elements(db: sqlite3.Connection) -> None:
    """Creates the table in which the elements of lists wait until all records are read."""
    # The ids have a type, as those of records: what is joined by them is found by its index.
    db.execute("CREATE TEMP TABLE elements (field INTEGER, id INTEGER, value, shown)")


def add_elements(db: sqlite3.Connection, elements: Iterable[Element]) -> None:
    """Adds elements."""
    db.executemany("INSERT INTO elements VALUES (?, ?, ?, ?)", elements)


def sort_elements(db: sqlite3.Connection) -> None:
    """Has the elements of a record found."""
    db.execute("CREATE INDEX temp.sorted ON elements (field, id)")


def write_spread(db: sqlite3.Connection, schema: SqlSchema, fields: tuple[str, ...]) -> None:
    """Writes the table of lookups on these fields, from the records and the elements."""
    table = schema.spread[fields]
    names = [f"v{number}" for number in range(len(fields))]
    joins, values = [], []
    for name, field in zip(names, fields, strict=True):
        column = f"r.{schema.columns[field]}"
        if field in schema.lists:
            number = schema.fields.index(field)
            joins.append(
                f" LEFT JOIN elements AS {name} ON {name}.field = {number} AND {name}.id = r.id"
            )
            column = f"coalesce({name}.value, {column})"
        values.append(column)
    shown, first = "NULL", ""
    if len(fields) == 1 and fields[0] in schema.shown:
        own = schema.shown[fields[0]]
        first = ", v0.rowid"
        shown = f"CASE WHEN v0.id IS NULL THEN r.{own} ELSE v0.shown END"
    keys = ", ".join(names)
    db.execute(f"CREATE TABLE {table} ({keys}, id, shown, PRIMARY KEY ({keys}, id)) WITHOUT ROWID")
    # In its order, so that the table grows at its end. As text, folded, two keys may be one.
    db.execute(
        f"INSERT OR IGNORE INTO {table} SELECT {', '.join(values)}, r.id, {shown}"  # noqa: S608 - our names
        f" FROM records AS r{''.join(joins)}"
        f" WHERE {' AND '.join(f'{value} IS NOT NULL' for value in values)}"
        f" ORDER BY {', '.join(str(at) for at in range(1, len(fields) + 2))}{first}"
    )


def crowded_record(
    db: sqlite3.Connection, schema: SqlSchema, fields: tuple[str, ...]
) -> tuple[int, int] | None:
    """The file's number and the id of a record that has more than `MAX_KEYS` keys of these fields;
    None if there is none.
    """
    numbers = [schema.fields.index(field) for field in fields if field in schema.lists]
    if len(numbers) < 2:
        return None
    counts = " * ".join(
        f"max(1, (SELECT count(*) FROM elements WHERE field = {number} AND id = one.id))"  # noqa: S608 - our numbers
        for number in numbers
    )
    found: tuple[int, int] | None = db.execute(
        f"SELECT r.file, r.id FROM (SELECT DISTINCT id FROM elements WHERE field = {numbers[0]})"  # noqa: S608 - as above
        f" AS one JOIN records AS r ON r.id = one.id WHERE {counts} > {MAX_KEYS} LIMIT 1"
    ).fetchone()
    return found
