"""Tables that others change, as they are described to lookups when a worker opens them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg

from nodes.catalog.model import CatalogInfo, Lookup
from nodes.catalog.postgres.connecting import refusal
from nodes.catalog.postgres.statements import Table
from nodes.catalog.postgres.values import LIVE_TYPES, live_column, quoted_name
from nodes.catalog.store import LIVE, LiveTable, StoreLocator
from nodes.errors import DataError

KEY_TYPES = ("int2", "int4", "int8")

LOWEST_KEY = -(2**63)

_COLUMNS = (
    "SELECT a.attname, t.typname FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid"
    " WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)
_KIND = (
    "SELECT relkind::text, (SELECT coalesce(sum(greatest(part.reltuples, 0)), 0)::int8"
    " FROM pg_class AS part WHERE part.oid = c.oid OR part.oid IN"
    " (SELECT relid FROM pg_partition_tree(c.oid))),"
    " EXISTS (SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid"
    " AND a.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid"
    " AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attname = %s)"
    " FROM pg_class AS c WHERE c.oid = to_regclass(%s)"
)
ORDINARY = "r"
"""The kind of a table whose own indexes tell whether its key is unique. Of a view, of a foreign
table, and of one whose parts are foreign, nobody can tell."""


class Described(NamedTuple):
    """A live table, described."""

    info: CatalogInfo
    table: Table


def describe_live(db: psycopg.Connection, live: LiveTable, url_env: str) -> Described:
    """Looks at the columns of a live table.

    Raises:
        DataError: it is not there, or lookups cannot be on it; the message says what to change.
    """
    name = ".".join('"' + part.replace('"', '""') + '"' for part in live.table)
    try:
        found: dict[str, str] = dict(db.execute(_COLUMNS, (name,)).fetchall())
        kind: tuple[Any, ...] | None = db.execute(_KIND, (live.key, name)).fetchone()
    except psycopg.Error as error:
        raise refusal(error) from error
    shown = ".".join(live.table)
    if kind is None:
        raise DataError(f"the store has no table {shown}; [store] table names it")
    relkind, records, is_unique = kind
    _check_key(shown, live.key, found, known=relkind == ORDINARY, is_unique=is_unique)
    lookups = tuple(
        Lookup(lookup, fields, tuple(_type_of(shown, lookup, field, found) for field in fields))
        for lookup, fields in live.lookups.items()
    )
    info = CatalogInfo(
        path=str(StoreLocator(url_env, live=live)),
        name=live.dataset,
        version=LIVE,
        records=records,
        lookups=lookups,
        fields=tuple(found),
        files=(shown,),
        bytes=0,
    )
    return Described(info, _table(live, found))


def _table(live: LiveTable, found: Mapping[str, str]) -> Table:
    fields = {field for fields in live.lookups.values() for field in fields}
    return Table(
        name=".".join(map(quoted_name, live.table)),
        key=f"t.{quoted_name(live.key)}",
        file="0",
        body="convert_to(row_to_json(t)::text, 'UTF8')",
        columns={field: live_column(field, found[field]) for field in sorted(fields)},
        origin=LOWEST_KEY,
    )


def _check_key(
    table: str, key: str, found: Mapping[str, str], *, known: bool, is_unique: bool
) -> None:
    if key not in found:
        raise DataError(f"the table {table} has no column {key}; it has {', '.join(found)[:500]}")
    if found[key] not in KEY_TYPES:
        raise DataError(
            f"the column {key} of the table {table} is of the type {found[key]}: pages are ordered"
            " by a column of unique integers"
        )
    if known and not is_unique:
        raise DataError(
            f"the column {key} of the table {table} is not known to be unique: make it the primary"
            f" key, or CREATE UNIQUE INDEX ON {table} ({key})"
        )


def _type_of(table: str, lookup: str, field: str, found: Mapping[str, str]) -> str:
    if field not in found:
        raise DataError(
            f"the table {table} has no column {field}, which {lookup} is on;"
            f" it has {', '.join(found)[:500]}"
        )
    if found[field] not in LIVE_TYPES:
        raise DataError(
            f"the column {field} of the table {table} is of the type {found[field]}; a lookup, as"
            f" {lookup}, may be on {', '.join(LIVE_TYPES)}"
        )
    return LIVE_TYPES[found[field]]
