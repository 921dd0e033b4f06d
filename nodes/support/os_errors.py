"""Errors of the operating system, and of SQLite's files, in words for people."""

from __future__ import annotations

import errno
import os
import socket

WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection ended",
    errno.ETIMEDOUT: "no answer in time",
    errno.EHOSTUNREACH: "the host cannot be reached",
    errno.ENETUNREACH: "the network cannot be reached",
    errno.ENOSPC: "the disk is full",
    errno.EACCES: "permission denied",
    errno.EMFILE: "too many files are open",
}

SQLITE_WORDS = {
    5: "another program holds it",  # SQLITE_BUSY
    6: "another program holds it",  # SQLITE_LOCKED
    8: "it may only be read",  # SQLITE_READONLY
    10: "the disk is full, or failed",  # SQLITE_IOERR
    11: "it is damaged",  # SQLITE_CORRUPT
    13: "the disk is full",  # SQLITE_FULL
    14: "it cannot be opened",  # SQLITE_CANTOPEN
    26: "it is damaged",  # SQLITE_NOTADB
}
"""By number, as screens that need no SQLite do not wait until it is imported."""


def explain_os_error(error: Exception) -> str:
    """What went wrong, without the number of the error, and without the file or the address, which
    whoever tells of it names; the error's own text if it is neither of the system nor of SQLite.
    """
    if isinstance(code := getattr(error, "sqlite_errorcode", None), int):
        return SQLITE_WORDS.get(code & 0xFF, str(error))
    if isinstance(error, socket.gaierror):
        return "no host has that name"
    if not isinstance(error, OSError) or not error.errno:
        return str(error)
    # Event loops have texts of their own for the same number.
    text = os.strerror(error.errno)
    return WORDS.get(error.errno, f"{text[:1].lower()}{text[1:]}")
