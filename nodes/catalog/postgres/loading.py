"""Loading: a compiled catalog copied into a store, as a table of its version and a row that names
it. All of it is one transaction: of a load that is killed, nothing is left.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from nodes.catalog.model import CatalogInfo, Progress
from nodes.catalog.postgres.connecting import connect, refusal
from nodes.catalog.postgres.values import escaped, exact
from nodes.catalog.postgres.versions import CREATE_CATALOGS, of_version, table_name
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
        _copy_table(db, built, progress)
    size = db.execute("SELECT pg_total_relation_size(%s)", (table_name(built.version),)).fetchone()
    info = msgspec.structs.replace(built, path="", bytes=size[0] if size else 0)
    db.execute(
        "DELETE FROM rollcall_catalogs WHERE version = %s", (built.version,)
    )  # one that was there before is the newest again
    db.execute(
        "INSERT INTO rollcall_catalogs (version, dataset, info) VALUES (%s, %s, %s)",
        (info.version, info.name, msgspec.json.encode(info)),
    )


def _copy_table(db: psycopg.Connection, built: CatalogInfo, progress: Progress) -> None:
    schema = SqlSchema(lookup.fields for lookup in built.lookups)
    kinds = [_kind(built, field) for field in schema.fields]
    table = table_name(built.version)
    columns = "".join(
        f"{name} {SQL_TYPES[kind]}, "
        for name, kind in zip(schema.columns.values(), kinds, strict=True)
    )
    db.execute(f"DROP TABLE IF EXISTS {table}")  # one that somebody took the name of away
    db.execute(f"CREATE TABLE {table} (id int8, file int4, {columns}body bytea)")
    with (
        closing(sqlite3.connect(f"{Path(built.path).as_uri()}?mode=ro", uri=True)) as source,
        db.cursor() as cursor,
        cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY, FREEZE)") as copy,
    ):
        copy.set_types(["int8", "int4", *(COPY_TYPES[kind] for kind in kinds), "bytea"])
        write = copy.write_row
        for number, row in enumerate(_rows(source, schema, kinds)):
            if not number % STEP_RECORDS:
                progress("copy", number, built.records)
            write(row)
    progress("copy", built.records, built.records)
    indexes = ["(id)", *(f"({', '.join(columns)}, id)" for columns in schema.indexes)]
    db.execute("SET LOCAL maintenance_work_mem = '256MB'")
    for done, on in enumerate(indexes):
        progress("store index", done, len(indexes))
        unique = "UNIQUE " if not done else ""
        db.execute(f"CREATE {unique}INDEX {table}_i{done} ON {table} {on}")
    db.execute(f"ANALYZE {table}")
    progress("store index", len(indexes), len(indexes))


def _kind(built: CatalogInfo, field: str) -> str:
    return next(
        lookup.types[lookup.fields.index(field)]
        for lookup in built.lookups
        if field in lookup.fields
    )


def _rows(
    source: sqlite3.Connection, schema: SqlSchema, kinds: Sequence[str]
) -> Iterator[Sequence[Any]]:
    """Every record: its number, its file's, the keys of all columns, its JSON."""
    names = ", ".join(schema.columns.values())
    rows = source.execute(f"SELECT id, file, {names}, body FROM records ORDER BY id")  # noqa: S608 - our names
    converters: dict[str, Convert] = {"text": escaped, "number": exact}
    wanted = [(at, converters[kind]) for at, kind in enumerate(kinds, 2) if kind in converters]
    for row in rows:
        changed = list(row)
        for at, convert in wanted:
            if changed[at] is not None:
                changed[at] = convert(changed[at])
        yield changed


def _too_long(built: CatalogInfo) -> str:
    """Why an index cannot be made, with the field that has the longest values."""
    schema = SqlSchema(lookup.fields for lookup in built.lookups)
    texts = [field for field in schema.fields if _kind(built, field) == "text"]
    with closing(sqlite3.connect(f"{Path(built.path).as_uri()}?mode=ro", uri=True)) as source:
        longest, field = max(
            (
                source.execute(
                    f"SELECT max(length(CAST({schema.columns[field]} AS BLOB))) FROM records"  # noqa: S608 - our names
                ).fetchone()[0],
                field,
            )
            for field in texts
        )
    return (
        f"a record's value of {field} takes {longest} bytes, and PostgreSQL indexes about 2,700 at"
        " most: take the lookups on that field out of dataset.toml, or shorten the value"
    )


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
                db.execute(f"DROP TABLE IF EXISTS {table_name(version)}")
        except psycopg.errors.LockNotAvailable:
            continue  # somebody reads from it for long: the next load drops it
