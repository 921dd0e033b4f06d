"""Connections to a store: where it is, how it is dialled, and what is said when that fails."""

from __future__ import annotations

import os

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper

from nodes.errors import DataError, StoreDown

SUBJECT = "the store"
"""How every message of a store that does not answer begins; what it does comes before a colon."""

DEFAULTS = {
    "application_name": "rollcall",
    "connect_timeout": "2",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "5000",
}
"""What holds unless the URL says otherwise: a server that is cut off is noticed within seconds."""


def conninfo(variable: str) -> str:
    """What the driver needs to know, from the environment variable of that name.

    Raises:
        DataError: it is not set, or is no URL of PostgreSQL.
    """
    url = os.environ.get(variable)
    if not url:
        raise DataError(
            f"the environment variable {variable} is not set: it holds where the store is, as"
            " postgresql://USER@HOST/DATABASE"
        )
    try:
        return make_conninfo("", **{**DEFAULTS, **conninfo_to_dict(url), "client_encoding": "UTF8"})
    except psycopg.Error:
        raise DataError(
            f"what is in the environment variable {variable} is no URL of PostgreSQL:"
            " postgresql://USER@HOST/DATABASE is one"
        ) from None


def prepare(db: psycopg.Connection | psycopg.AsyncConnection) -> None:
    """Has values cross in one form each: the server then plans a statement once."""
    db.adapters.register_dumper(int, Int8Dumper)
    db.adapters.register_dumper(str, StrDumper)


def connect(variable: str) -> psycopg.Connection:
    """A connection, for code that may wait.

    Raises:
        DataError: as `conninfo`.
        StoreDown: the store cannot be reached.
    """
    try:
        db = psycopg.connect(conninfo(variable), autocommit=True)
    except psycopg.Error as error:
        raise unreachable(variable) from error
    prepare(db)
    return db


def unreachable(variable: str) -> StoreDown:
    """The error for a store that nobody answers for."""
    return StoreDown(
        f"{SUBJECT} cannot be reached: see that PostgreSQL runs where {variable} says, and lets"
        " us in"
    )


def refusal(error: psycopg.Error) -> StoreDown:
    """The error for a store that answers, but not what it was asked."""
    match error:
        case psycopg.errors.UndefinedTable():
            return StoreDown(
                f"{SUBJECT} no longer has these records: 'rollcall-nodes reload' serves the newest"
            )
        case psycopg.errors.InsufficientPrivilege():
            return StoreDown(f"{SUBJECT} does not let us read: GRANT SELECT on its tables")
    return StoreDown(f"{SUBJECT} refused the question (SQLSTATE {error.sqlstate or 'unknown'})")


def too_late(within: float) -> StoreDown:
    """The error for a store that does not answer in time."""
    return StoreDown(f"{SUBJECT} did not answer within {max(0.0, within):.2f} s")
