"""No token is ever in any output: every test's is searched for every token that was made so far.

Searched are what a test printed and logged, what the processes and commands that it ran printed,
and the logs and journals that it leaves. A test that is about showing one has the mark
`shows_token`.
"""

from __future__ import annotations

import functools
import re
import secrets
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner

TOKEN_CHARS = len(secrets.token_urlsafe(32))
_LONG = re.compile(rb"[A-Za-z0-9_-]{%d,}" % TOKEN_CHARS)

FILES_OF_SECRETS = ("token", "cursors")
"""How the names of files begin in which tokens are; what they have, processes may have made."""

FOLDERS = ("logs", "journal")
"""Folders of what a cluster writes down, in that of its state."""


class SecretWatch:
    """Knows the tokens that were made, and what was printed since it was last asked."""

    def __init__(self) -> None:
        self._made: set[bytes] = set()
        self._printed: list[object] = []

    def install(self) -> None:
        """Notes from now on what is made and printed in this process, and by those it runs."""
        _noted(secrets, "token_urlsafe", lambda token: self._made.add(token.encode()))
        _noted(subprocess.Popen, "communicate", self._printed.extend)
        _noted(CliRunner, "invoke", lambda done: self._printed.append(done.output))

    def learn(self, folder: Path) -> None:
        """The tokens in the files of a folder are tokens as well."""
        for path in _files(folder):
            if path.name.startswith(FILES_OF_SECRETS):
                self._made |= set(_LONG.findall(path.read_bytes()))

    def shown(self, texts: Iterable[str]) -> str:
        """Where a token is, of these texts and what was printed; "" for nowhere."""
        printed, self._printed[:] = list(self._printed), []
        for text in (*texts, *printed):
            data = text.encode("utf-8", "replace") if isinstance(text, str) else text
            if isinstance(data, bytes) and (token := self._find(data)):
                at = data.index(token)
                return f"after {data[max(0, at - 200) : at].decode(errors='replace')!r}"
        return ""

    def written(self, folder: Path) -> list[Path]:
        """The logs and journals in a folder that a token is in."""
        return [
            path
            for path in _files(folder)
            if path.parent.name in FOLDERS or path.parent.parent.name in FOLDERS
            if self._find(path.read_bytes())
        ]

    def _find(self, data: bytes) -> bytes:
        for found in _LONG.finditer(data):
            run = found[0]
            for start in range(len(run) - TOKEN_CHARS + 1):
                if run[start : start + TOKEN_CHARS] in self._made:
                    return run[start : start + TOKEN_CHARS]
        return b""


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _noted(owner: Any, name: str, note: Callable[[Any], object]) -> None:
    """Has what a function returns noted as well."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def noting(*args: Any, **named: Any) -> Any:
        result = real(*args, **named)
        note(result)
        return result

    setattr(owner, name, noting)
