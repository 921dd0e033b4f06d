"""The audit file: every act of an operator, one line of JSON each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from nodes.errors import StartError
from nodes.support.files import OWNER_ONLY
from nodes.support.os_errors import explain_os_error
from nodes.support.text import printable_json
from nodes.support.units import counted


class AuditFile:
    """A file that lines are appended to. It is opened anew for each: whoever moves it away has the
    next line in another. For one thread at a time.

    Args:
        path: of the file; only its owner can read one that is made here.
        report: told what cannot be written.

    Raises:
        StartError: nothing can be written there.
    """

    def __init__(self, path: Path, report: Callable[[str], object]) -> None:
        self._path = path.absolute()
        self._report = report
        self._missing = 0
        self._torn = False
        try:
            self._append(b"")
        except OSError as error:
            raise StartError(
                f"the audit file {path} cannot be written: {explain_os_error(error)}"
            ) from error

    def write(self, entry: Mapping[str, object]) -> None:
        """Appends an entry; what cannot be written is told and counted, and nobody waits for it."""
        line = printable_json(msgspec.json.encode(entry).decode()).encode() + b"\n"
        try:
            self._append(b"\n" + line if self._torn else line)
            self._torn = False
        except OSError as error:
            self._missing += 1
            self._report(
                f"the audit file {self._path} cannot be written: {explain_os_error(error)}; "
                f"so far it lacks {counted(self._missing, 'act')} of this master"
            )

    def _append(self, line: bytes) -> None:
        # A pipe that nobody reads is refused, not waited for.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(self._path, flags, OWNER_ONLY)
        try:
            if os.write(descriptor, line) < len(line):
                self._torn = True
                raise OSError("only a part of a line was written")
        finally:
            os.close(descriptor)
