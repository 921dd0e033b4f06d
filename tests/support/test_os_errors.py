"""Errors of the operating system, in words for people."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
from pathlib import Path

import pytest

from nodes.client.blocking import Client
from nodes.errors import DataError, MasterLost
from nodes.master.recording import read_part
from nodes.support.os_errors import explain_os_error


def sqlite_error(code: int) -> sqlite3.Error:
    """An error with SQLite's own words, as its module raises it."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"), "connection refused"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/file"), "the disk is full"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/a"), "is a directory"),
        (socket.gaierror(-2, "Name or service not known"), "no host has that name"),
        (TimeoutError("timed out"), "timed out"),
        (sqlite_error(sqlite3.SQLITE_FULL), "the disk is full"),
        (sqlite_error(sqlite3.SQLITE_IOERR_SHORT_READ), "the disk is full, or failed"),
        (sqlite3.ProgrammingError("no text"), "no text"),
        (ValueError("no text"), "no text"),
    ],
)
def test_an_error_is_told_without_its_number_and_what_it_is_about(
    error: Exception, said: str
) -> None:
    assert explain_os_error(error) == said


def test_no_error_of_the_system_is_quoted_with_its_number() -> None:
    for number in errno.errorcode:
        said = explain_os_error(OSError(number, os.strerror(number), "a file"))
        assert "Errno" not in said


def test_a_master_that_is_not_there_is_named_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(MasterLost) as refused, Client(f"127.0.0.1:{port}") as client:
        client.getbyname("xander")
    where = f"master 127.0.0.1:{port}: connection refused; is it running?"
    assert str(refused.value).startswith(where)


def test_a_recording_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        read_part(tmp_path, 0.0, 1000)
    assert str(refused.value) == f"the recording {tmp_path} cannot be read: it is no file"
