"""Errors of the operating system, in words for people."""

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


def explain_os_error(error: Exception) -> str:
    """What went wrong, without the number of the error, and without the file or the address, which
    whoever tells of it names; the error's own text if it is no error of the system.
    """
    if isinstance(error, socket.gaierror):
        return "no host has that name"
    if not isinstance(error, OSError) or not error.errno:
        return str(error)
    # Event loops have texts of their own for the same number.
    text = os.strerror(error.errno)
    return WORDS.get(error.errno, f"{text[:1].lower()}{text[1:]}")
