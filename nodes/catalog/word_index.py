"""Word indexes: the words of records, found by SQLite's full-text index FTS5.

Each record also has a word that names its block of `BLOCK_RECORDS` records. A search for several
words goes block by block: so each step of it looks at no more than a block, even where words that
are frequent never meet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from nodes.catalog.keys import IndexKey, key_text
from nodes.catalog.text_forms import words
from nodes.errors import DataError

BLOCK_RECORDS = 1 << 16
"""About a millisecond's work for each word that is looked for."""

_BLOCK_MARK = "\ue000"
"""What the name of a block begins with: of no category that words are made of."""

NO_FTS5 = (
    "the SQLite of this Python has no full-text index (FTS5), which lookups of the kind any need:"
    " use another Python, or take them out of dataset.toml"
)


def create_words(db: sqlite3.Connection, table: str) -> None:
    """Creates an index.

    Raises:
        DataError: this machine cannot.
    """
    try:
        # The words are made here. To this tokenizer, all that is not ASCII is part of a word.
        db.execute(
            f"CREATE VIRTUAL TABLE {table} USING"
            " fts5(words, content='', columnsize=0, detail=none, tokenize='ascii')"
        )
    except sqlite3.OperationalError as error:
        raise _explained(error) from error


def check_words(db: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Raises `DataError` where these indexes cannot be read on this machine."""
    try:
        for table in tables:
            db.execute(f"SELECT rowid FROM {table} LIMIT 0")  # noqa: S608 - our name
    except sqlite3.OperationalError as error:
        raise _explained(error) from error


def _explained(error: sqlite3.Error) -> Exception:
    return DataError(NO_FTS5) if "no such module" in str(error) else error


def add_words(
    db: sqlite3.Connection, table: str, first: int, keys: Iterable[Iterable[IndexKey]]
) -> None:
    """Adds records to an index.

    Args:
        db: The catalog.
        table: The index.
        first: The id of the first record; the others' follow.
        keys: Of each record, all keys of the fields that are searched.
    """
    db.executemany(
        f"INSERT INTO {table}(rowid, words) VALUES (?, ?)",  # noqa: S608 - our name
        (
            (number, f"{block_word(number)} {' '.join(_words(of_record))}")
            for number, of_record in enumerate(keys, first)
        ),
    )


def _words(keys: Iterable[IndexKey]) -> list[str]:
    return [word for key in keys for word in words(key_text(key))]


def finish_words(db: sqlite3.Connection, table: str) -> None:
    """Puts an index in the form that is read fastest."""
    db.execute(f"INSERT INTO {table}({table}) VALUES ('optimize')")  # noqa: S608 - our name


def block_word(number: int) -> str:
    """The word that names the block of the record with that id."""
    return f"{_BLOCK_MARK}{number // BLOCK_RECORDS}"


def match(wanted: Sequence[str]) -> str:
    """What FTS5 takes to find all of these words."""
    return " ".join(f'"{word}"' for word in wanted)
