"""Loading: a compiled catalog copied into a store, as a table of its version and a row that names
it. All of it is one transaction: of a load that is killed, nothing is left.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg

from nodes.catalog.model import CatalogInfo, Progress
from nodes.catalog.postgres.connecting import connect, refusal
from nodes.catalog.postgres.values import escaped, exact
from nodes.catalog.postgres.versions import (
    CREATE_CATALOGS,
    key_types,
    of_version,
    spread_name,
    table_name,
    tables_of,
)
from nodes.catalog.sql_schema import SqlSchema
from nodes.errors import DataError, StoreDown

KEPT_VERSIONS = 3
"""Catalogs of a dataset that are kept, whatever their age."""

KEPT_S = 900
"""Seconds for which one is kept that was replaced: cursors lead on through it for ten minutes."""

LOCK_KEY = 0x526F6C6C63616C6C
"""Of the advisory lock by which one load waits for another."""

LOCK_TIMEOUT_S = 10
"""Seconds that an old table may take to be free; if it is not, the next load drops it."""

STEP_RECORDS = 10_000
"""Records between two reports of progress."""

SQL_TYPES = {"text": 'text COLLATE "C"', "integer": "int8", "number": "numeric"}
COPY_TYPES = {"text": "text", "integer": "int8", "number": "numeric"}

Convert = Callable[[Any], Any]


def load_catalog(built: CatalogInfo, url_env: str, progress: Progress) -> CatalogInfo:
    """Copies a compiled catalog into the store: it is the newest of its dataset from then on.

    Args:
        built: the catalog, in a file.
        url_env: the environment variable that holds the store's URL.
        progress: told of the stages "copy", which counts records, and "store index".

    Returns:
        The catalog as it is in the store.

    Raises:
        DataError: a value is none that the store can index, or its encoding is not UTF-8.
        StoreDown: the store cannot be reached, or refuses.
    """
    with closing(connect(url_env)) as db:
        try:
            _check_encoding(db)
            with db.transaction():
                _load(db, built, progress)
            _drop_old(db, built.name)
            loaded = of_version(db, built.version, url_env)
        except psycopg.errors.ProgramLimitExceeded:
            raise DataError(_too_long(built)) from None
        except psycopg.OperationalError as error:
            raise StoreDown("the store went away during the load: nothing was changed") from error
        except psycopg.Error as error:
            raise refusal(error) from error
    if loaded is None:
        raise DataError(f"catalog {built.version} was dropped while it was loaded: load it again")
    return loaded


def _check_encoding(db: psycopg.Connection) -> None:
    row = db.execute("SHOW server_encoding").fetchone()
    if row is None or row[0] != "UTF8":
        raise DataError("the store's database must have the encoding UTF8: create one that has")


def _load(db: psycopg.Connection, built: CatalogInfo, progress: Progress) -> None:
    db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
    db.execute(CREATE_CATALOGS)
    if of_version(db, built.version, "") is None:
        _copy_tables(db, built, progress)
    size = db.execute(
        "SELECT sum(pg_total_relation_size(name))::int8 FROM unnest(%s::text[]) AS name",
        (tables_of(db, built.version),),
    ).fetchone()
    info = msgspec.structs.replace(built, path="", bytes=size[0] if size else 0)
    db.execute(
        "DELETE FROM rollcall_catalogs WHERE version = %s", (built.version,)
    )  # one that was there before is the newest again
    db.execute(
        "INSERT INTO rollcall_catalogs (version, dataset, info) VALUES (%s, %s, %s)",
        (info.version, info.name, msgspec.json.encode(info)),
    )


class _Copied(NamedTuple):
    """A table of the catalog's file, as it is copied.

    Attributes:
        name: Its name in the store.
        query: Reads its rows from the file.
        columns: The names of its columns.
        kinds: What each holds: a key of `SQL_TYPES`, or a type of PostgreSQL.
        indexes: The columns of each index; the first is unique.
    """

    name: str
    query: str
    columns: Sequence[str]
    kinds: Sequence[str]
    indexes: Sequence[Sequence[str]]


def _copied(built: CatalogInfo) -> Iterator[_Copied]:
    """The table of the records, and those beside it."""
    schema, types, name = SqlSchema(built.lookups), key_types(built), table_name(built.version)
    keys, shown = list(schema.columns.values()), list(schema.shown.values())
    columns = ["id", "file", *keys, *shown, "body"]
    kinds = ["int8", "int4", *map(types.__getitem__, schema.fields), *["text"] * len(shown)]
    yield _Copied(
        name,
        f"SELECT {', '.join(columns)} FROM records ORDER BY id",  # noqa: S608 - our names
        columns,
        [*kinds, "bytea"],
        [["id"], *([*columns, "id"] for columns in schema.indexes)],
    )
    for fields, table in schema.spread.items():
        values = [f"v{number}" for number in range(len(fields))]
        yield _Copied(
            spread_name(name, table),
            f"SELECT {', '.join(values)}, id, shown FROM {table}",  # noqa: S608 - our names
            [*values, "id", "shown"],
            [*map(types.__getitem__, fields), "int8", "text"],
            [[*values, "id"]],
        )


def _copy_tables(db: psycopg.Connection, built: CatalogInfo, progress: Progress) -> None:
    for name in tables_of(db, built.version):  # of one that somebody took the name of away
        db.execute(f"DROP TABLE {name}")
    tables = list(_copied(built))
    for table in tables:
        _copy_rows(db, table, built, progress)
    progress("copy", built.records, built.records)
    db.execute("SET LOCAL maintenance_work_mem = '256MB'")
    indexes = [(table.name, at, on) for table in tables for at, on in enumerate(table.indexes)]
    for done, (name, at, on) in enumerate(indexes):
        progress("store index", done, len(indexes))
        unique = "UNIQUE " if not at else ""
        db.execute(f"CREATE {unique}INDEX {name}_i{at} ON {name} ({', '.join(on)})")
    for table in tables:
        db.execute(f"ANALYZE {table.name}")
    progress("store index", len(indexes), len(indexes))


def _copy_rows(
    db: psycopg.Connection, table: _Copied, built: CatalogInfo, progress: Progress
) -> None:
    columns = ", ".join(
        f"{column} {SQL_TYPES.get(kind, kind)}"
        for column, kind in zip(table.columns, table.kinds, strict=True)
    )
    db.execute(f"CREATE TABLE {table.name} ({columns})")
    with (
        closing(sqlite3.connect(f"{Path(built.path).as_uri()}?mode=ro", uri=True)) as source,
        db.cursor() as cursor,
        cursor.copy(f"COPY {table.name} FROM STDIN (FORMAT BINARY, FREEZE)") as copy,
    ):
        copy.set_types([COPY_TYPES.get(kind, kind) for kind in table.kinds])
        write = copy.write_row
        for number, row in enumerate(_rows(source, table)):
            if not number % STEP_RECORDS and number < built.records:
                progress("copy", number, built.records)
            write(row)


def _rows(source: sqlite3.Connection, table: _Copied) -> Iterator[Sequence[Any]]:
    """Every row, with values that PostgreSQL holds."""
    converters: dict[str, Convert] = {"text": escaped, "number": exact}
    wanted = [(at, converters[kind]) for at, kind in enumerate(table.kinds) if kind in converters]
    for row in source.execute(table.query):
        changed = list(row)
        for at, convert in wanted:
            if changed[at] is not None:
                changed[at] = convert(changed[at])
        yield changed


def _too_long(built: CatalogInfo) -> str:
    """Why an index cannot be made, with the field that has the longest values."""
    schema, types = SqlSchema(built.lookups), key_types(built)
    texts = [field for field in schema.fields if types[field] == "text"]
    with closing(sqlite3.connect(f"{Path(built.path).as_uri()}?mode=ro", uri=True)) as source:
        longest, field = max(
            (
                source.execute(_longest(schema, field)).fetchone()[0],
                field,
            )
            for field in texts
        )
    return (
        f"a record's value of {field} takes {longest} bytes, and PostgreSQL indexes about 2,700 at"
        " most: take the lookups on that field out of dataset.toml, or shorten the value"
    )


def _longest(schema: SqlSchema, field: str) -> str:
    """The statement that finds how many bytes a field's longest key takes."""
    spread = schema.spread.get((field,))
    column, table = ("v0", spread) if spread else (schema.columns[field], "records")
    return f"SELECT coalesce(max(length(CAST({column} AS BLOB))), 0) FROM {table}"  # noqa: S608 - our names


def _drop_old(db: psycopg.Connection, dataset: str) -> None:
    """Drops catalogs that are neither among the newest nor replaced of late."""
    old = db.execute(
        "SELECT version FROM (SELECT version, row_number() OVER (ORDER BY number DESC) AS age,"
        " lead(loaded_at) OVER (ORDER BY number) AS replaced_at FROM rollcall_catalogs"
        " WHERE dataset = %s) AS listed"
        " WHERE age > %s AND replaced_at < now() - make_interval(secs => %s)",
        (dataset, KEPT_VERSIONS, float(KEPT_S)),
    ).fetchall()
    for (version,) in old:
        try:
            with db.transaction():
                db.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
                db.execute("DELETE FROM rollcall_catalogs WHERE version = %s", (version,))
                for name in tables_of(db, version):
                    db.execute(f"DROP TABLE {name}")
        except psycopg.errors.LockNotAvailable:
            continue  # somebody reads from it for long: the next load drops it
