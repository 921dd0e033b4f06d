"""The SQL schema of a catalog's SQLite file, shared by the builder and the reader.

    meta(key, value)                    "info": the CatalogInfo as JSON
    files(id, name)                     the dataset's files, in order
    records(id, file, f0, f1, ..., body)

`f0`, `f1`, ... hold the fields that lookups are on, in order of first use. The name of a field
comes from the data and never appears in SQL. The columns have no type, so that SQLite converts
nothing: 7 and "7" stay different keys.
"""

from __future__ import annotations

from collections.abc import Iterable

APPLICATION_ID = 0x526C6C43  # "RllC", which marks a SQLite file as a Rollcall catalog
FORMAT_VERSION = 1
"""Raise it with any change of the tables or of what they hold."""

Columns = tuple[str, ...]


class SqlSchema:
    """The columns, indexes and statements for lookups on given fields."""

    def __init__(self, lookups: Iterable[tuple[str, ...]]) -> None:
        chosen = list(lookups)
        self.fields = tuple(dict.fromkeys(field for fields in chosen for field in fields))
        self.columns = {field: f"f{number}" for number, field in enumerate(self.fields)}
        wanted = [self.columns_of(fields) for fields in chosen]
        led = {columns[0] for columns in wanted}
        # `suggest` walks the values of one field. A field that leads no index needs its own.
        wanted += [(column,) for column in self.columns.values() if column not in led]
        self.indexes = {columns: f"i{n}" for n, columns in enumerate(dict.fromkeys(wanted))}

    def columns_of(self, fields: Iterable[str]) -> Columns:
        """The columns of these fields."""
        return tuple(self.columns[field] for field in fields)

    def create_tables(self) -> str:
        """The script that creates the three tables."""
        columns = "".join(f"{column}, " for column in self.columns.values())
        return (
            "CREATE TABLE meta (key PRIMARY KEY, value);"
            "CREATE TABLE files (id INTEGER PRIMARY KEY, name);"
            f"CREATE TABLE records (id INTEGER PRIMARY KEY, file, {columns}body);"
        )

    def insert_records(self, count: int) -> str:
        """The statement for `count` records.

        Its parameters are, for each record, the file's id, the keys of all columns, the body.
        """
        row = f"(NULL, ?, {'?, ' * len(self.columns)}?)"
        return f"INSERT INTO records VALUES {', '.join([row] * count)}"  # noqa: S608 - only `?`

    def find(self, fields: tuple[str, ...]) -> str:
        """The statement that finds the records with given values of these fields.

        Its parameters are a key for each field, the id to start after, the number of rows.
        """
        return f"SELECT id, file, body {self._having(fields)} AND id > ? ORDER BY id LIMIT ?"

    def find_two(self, fields: tuple[str, ...]) -> str:
        """The same for two of the records at most, and no more of them than the file and the body.

        Its parameters are a key for each field.
        """
        return f"SELECT file, body {self._having(fields)} LIMIT 2"

    def _having(self, fields: tuple[str, ...]) -> str:
        columns = self.columns_of(fields)
        equal = " AND ".join(f"{column} = ?" for column in columns)
        return f"FROM records INDEXED BY {self.indexes[columns]} WHERE {equal}"

    def next_value(self, field: str, *, inclusive: bool) -> str:
        """The statement that finds a field's smallest value within bounds.

        Its parameters are the lower bound, itself allowed if `inclusive`, and the upper, which
        is not.
        """
        column = self.columns[field]
        index = next(name for columns, name in self.indexes.items() if columns[0] == column)
        return (
            f"SELECT {column} FROM records INDEXED BY {index}"  # noqa: S608 - our names of columns
            f" WHERE {column} {'>=' if inclusive else '>'} ? AND {column} < ?"
            f" ORDER BY {column} LIMIT 1"
        )
