"""The catalogs in a store that were loaded: a row that names each, and its table."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg

from nodes.catalog.model import CatalogInfo
from nodes.catalog.postgres.connecting import refusal
from nodes.catalog.postgres.statements import Table
from nodes.catalog.postgres.values import loaded_column
from nodes.catalog.sql_schema import SqlSchema
from nodes.catalog.store import StoreLocator
from nodes.errors import DataError

CREATE_CATALOGS = (
    "CREATE TABLE IF NOT EXISTS rollcall_catalogs (version text PRIMARY KEY,"
    " number bigint GENERATED ALWAYS AS IDENTITY, loaded_at timestamptz NOT NULL DEFAULT now(),"
    " dataset text NOT NULL, info bytea NOT NULL)"
)
"""`number` tells which is the newest; `info` is the `CatalogInfo` as JSON."""


def table_name(version: str) -> str:
    """The name of the table of that version, which needs no quotes."""
    return f"rollcall_{version}"


def table_of(info: CatalogInfo) -> Table:
    """How the table of a loaded catalog is asked."""
    schema = SqlSchema(info.lookups)
    kinds = key_types(info)
    columns = {field: loaded_column(name, kinds[field]) for field, name in schema.columns.items()}
    name = table_name(info.version)
    return Table(
        name,
        "t.id",
        "t.file",
        "t.body",
        columns,
        origin=0,
        shown=schema.shown,
        spread={fields: spread_name(name, table) for fields, table in schema.spread.items()},
    )


def spread_name(name: str, table: str) -> str:
    """The name of a table beside that of the records, for one of `SqlSchema.spread`."""
    return f"{name}_{table}"


def key_types(info: CatalogInfo) -> dict[str, str]:
    """The types of the fields that lookups compare."""
    return {
        field: kind
        for lookup in info.lookups
        for field, kind in zip(lookup.fields, lookup.types, strict=True)
    }


def tables_of(db: psycopg.Connection, version: str) -> list[str]:
    """The names of all tables of that version that are there."""
    found = db.execute(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)"
        " AND relname ~ %s ORDER BY relname",
        (f"^{table_name(version)}(_k[0-9]+)?$",),
    ).fetchall()
    return [name for (name,) in found]


def newest(db: psycopg.Connection, dataset: str, url_env: str) -> CatalogInfo:
    """The newest catalog of that dataset.

    Raises:
        DataError: there is none.
    """
    found = _find(
        db,
        "SELECT info FROM rollcall_catalogs WHERE dataset = %s ORDER BY number DESC LIMIT 1",
        dataset,
        url_env,
    )
    if found is None:
        raise DataError(
            f"the store has no catalog of {dataset!r}: load one with 'rollcall-nodes data load'"
        )
    return found


def of_version(db: psycopg.Connection, version: str, url_env: str) -> CatalogInfo | None:
    """The catalog of that version; None if there is none."""
    return _find(db, "SELECT info FROM rollcall_catalogs WHERE version = %s", version, url_env)


def _find(
    db: psycopg.Connection, statement: str, parameter: str, url_env: str
) -> CatalogInfo | None:
    try:
        row: tuple[Any, ...] | None = db.execute(statement, (parameter,)).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.Error as error:
        raise refusal(error) from error
    if row is None:
        return None
    try:
        info = msgspec.json.decode(row[0], type=CatalogInfo)
    except msgspec.MsgspecError:
        raise DataError(
            "the store has a catalog of another version of Rollcall: load it again with"
            " 'rollcall-nodes data load'"
        ) from None
    return msgspec.structs.replace(info, path=str(StoreLocator(url_env, info.version)))
