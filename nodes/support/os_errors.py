"""Errors of the operating system, and of SQLite's files, in words for people."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3

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
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk is full, or failed",
    sqlite3.SQLITE_READONLY: "it may only be read",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_BUSY: "another program holds it",
    sqlite3.SQLITE_LOCKED: "another program holds it",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is damaged",
}


def explain_os_error(error: Exception) -> str:
    """What went wrong, without the number of the error, and without the file or the address, which
    whoever tells of it names; the error's own text if it is neither of the system nor of SQLite.
    """
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return SQLITE_WORDS.get(code, str(error))
    if isinstance(error, socket.gaierror):
        return "no host has that name"
    if not isinstance(error, OSError) or not error.errno:
        return str(error)
    # Event loops have texts of their own for the same number.
    text = os.strerror(error.errno)
    return WORDS.get(error.errno, f"{text[:1].lower()}{text[1:]}")
