"""The SQL schema of a catalog's SQLite file, shared by the builder and the reader.

    meta(key, value)                    "info": the CatalogInfo as JSON
    files(id, name)                     the dataset's files, in order
    records(id, file, f0, ..., s0, ..., body)
    k0(v0, v1, ..., id, shown), ...     all keys of the records, where fields hold lists
    w0, ...                             full-text indexes (FTS5) of the words in records

`f0`, `f1`, ... hold the keys of the fields that lookups compare, in order of first use: texts as
they are, or folded, and then `s0`, ... holds the texts as they are where that differs. The name of
a field comes from the data and never appears in SQL. The columns have no type, so that SQLite
converts nothing: 7 and "7" stay different keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nodes.catalog.model import ANY, Lookup

APPLICATION_ID = 0x526C6C43  # "RllC", which marks a SQLite file as a Rollcall catalog
FORMAT_VERSION = 2
"""Raise it with any change of the tables or of what they hold."""

Columns = tuple[str, ...]


class _Sorted(NamedTuple):
    """What is sorted, by which columns, and then by which id."""

    source: str
    columns: Columns
    id: str

    @property
    def rows(self) -> str:
        """The start of a statement that reads records."""
        return f"SELECT r.id, r.file, r.body FROM {self.source}"  # noqa: S608 - our names

    @property
    def equal(self) -> str:
        """The condition that all columns have given values."""
        return " AND ".join(f"{column} = ?" for column in self.columns)


class SqlSchema:
    """The columns, tables, indexes and statements for lookups."""

    def __init__(self, lookups: Iterable[Lookup]) -> None:
        chosen = list(lookups)
        compared = [lookup.fields for lookup in chosen if lookup.kind != ANY]
        folded = {field for lookup in chosen for field in lookup.folded}
        lists = {field for lookup in chosen for field in lookup.lists}
        self.fields = tuple(dict.fromkeys(field for fields in compared for field in fields))
        self.columns = {field: f"f{number}" for number, field in enumerate(self.fields)}
        self.shown = {f: f"s{n}" for n, f in enumerate(self.fields) if f in folded}
        spread = [fields for fields in compared if not lists.isdisjoint(fields)]
        # `suggest` walks the values of one field.
        spread += [(field,) for field in self.fields if field in lists]
        self.spread = {fields: f"k{n}" for n, fields in enumerate(dict.fromkeys(spread))}
        self.lists = tuple(field for field in self.fields if field in lists)
        wanted = [self.columns_of(fields) for fields in compared if fields not in self.spread]
        led = {columns[0] for columns in wanted}
        # The same: a field that leads no index needs its own.
        wanted += [
            (column,)
            for field, column in self.columns.items()
            if column not in led and field not in lists
        ]
        self.indexes = {columns: f"i{n}" for n, columns in enumerate(dict.fromkeys(wanted))}
        searched = dict.fromkeys(lookup.searched for lookup in chosen if lookup.kind == ANY)
        self.words = {fields: f"w{n}" for n, fields in enumerate(searched)}

    def columns_of(self, fields: Iterable[str]) -> Columns:
        """The columns of these fields."""
        return tuple(self.columns[field] for field in fields)

    def create_tables(self) -> str:
        """The script that creates the tables that every catalog has."""
        columns = "".join(
            f"{column}, " for column in (*self.columns.values(), *self.shown.values())
        )
        return (
            "CREATE TABLE meta (key PRIMARY KEY, value);"
            "CREATE TABLE files (id INTEGER PRIMARY KEY, name);"
            f"CREATE TABLE records (id INTEGER PRIMARY KEY, file, {columns}body);"
        )

    def insert_records(self, count: int) -> str:
        """The statement for `count` records.

        Its parameters are, for each record, the file's id, the keys of all columns, the texts that
        are shown for those that are folded, the body.
        """
        row = f"(NULL, ?, {'?, ' * (len(self.columns) + len(self.shown))}?)"
        return f"INSERT INTO records VALUES {', '.join([row] * count)}"  # noqa: S608 - only `?`

    def find(self, fields: tuple[str, ...]) -> str:
        """The statement that finds the records with given values of these fields.

        Its parameters are a key for each field, the id to start after, the number of rows.
        """
        at = self._sorted_by(fields)
        return f"{at.rows} WHERE {at.equal} AND {at.id} > ? ORDER BY {at.id} LIMIT ?"

    def find_two(self, fields: tuple[str, ...]) -> str:
        """The same for two of the records at most, and no more of them than the file and the body.

        Its parameters are a key for each field.
        """
        at = self._sorted_by(fields)
        return f"SELECT r.file, r.body FROM {at.source} WHERE {at.equal} LIMIT 2"  # noqa: S608 - our names

    def find_range(self, fields: tuple[str, ...], *, inclusive: bool) -> str:
        """The statement that finds the records with given values of these fields, and a value
        within bounds of the last, in the order of that.

        Its parameters are a key for each field but the last, the lower bound, itself allowed if
        `inclusive`, the upper, which is not, the number of rows.
        """
        at = self._sorted_by(fields)
        *same, last = at.columns
        equal = "".join(f"{column} = ? AND " for column in same)
        return (
            f"{at.rows} WHERE {equal}{last} {'>=' if inclusive else '>'} ? AND {last} < ?"
            f" ORDER BY {last}, {at.id} LIMIT ?"
        )

    def value_of(self, field: str) -> str:
        """The statement that reads a field's key; its parameter is the record's id."""
        return f"SELECT {self.columns[field]} FROM records WHERE id = ?"  # noqa: S608 - our names

    def search(self, searched: tuple[str, ...]) -> str:
        """The statement that finds the records with some words in these fields.

        Its parameters are the words as FTS5 takes them, the id to start after, the number of rows.
        """
        table = self.words[searched]
        return (
            f"SELECT r.id, r.file, r.body FROM {table} CROSS JOIN records AS r"  # noqa: S608 - our names
            f" ON r.id = {table}.rowid WHERE {table} MATCH ? AND {table}.rowid > ?"
            f" ORDER BY {table}.rowid LIMIT ?"
        )

    def ping(self, lookups: Iterable[Lookup]) -> tuple[str, str]:
        """A statement that reads the keys of a record, and one that finds it again by these, if any
        lookup compares any. The parameter of the first is the record's id; those of the second are
        the keys, the id to start after, the number of rows.
        """
        fields = next((lookup.fields for lookup in lookups if lookup.kind != ANY), ())
        read = f"SELECT {', '.join(self.columns_of(fields)) or 'NULL'} FROM records WHERE id = ?"  # noqa: S608 - our names
        return read, self.find(fields) if fields else ""

    def _sorted_by(self, fields: tuple[str, ...]) -> _Sorted:
        """Where records lie in the order of these fields, and then of their ids."""
        table = self.spread.get(fields)
        if table is None:
            columns = self.columns_of(fields)
            source, key = f"records AS r INDEXED BY {self.indexes[columns]}", "r.id"
        else:
            columns = tuple(f"v{number}" for number in range(len(fields)))
            source, key = f"{table} AS k CROSS JOIN records AS r ON r.id = k.id", "k.id"
        return _Sorted(source, columns, key)

    def next_value(self, field: str, *, inclusive: bool) -> str:
        """The statement that finds a field's smallest key within bounds, and the text to show for
        it; NULL if that is the same.

        Its parameters are the lower bound, itself allowed if `inclusive`, and the upper, which
        is not.
        """
        table = self.spread.get((field,))
        if table is not None:
            column, shown, source = "v0", "shown", table
        else:
            column, shown = self.columns[field], self.shown.get(field, "NULL")
            index = next(name for columns, name in self.indexes.items() if columns[0] == column)
            source = f"records INDEXED BY {index}"
        return (
            f"SELECT {column}, {shown} FROM {source}"  # noqa: S608 - our names of columns
            f" WHERE {column} {'>=' if inclusive else '>'} ? AND {column} < ?"
            f" ORDER BY {column} LIMIT 1"
        )
