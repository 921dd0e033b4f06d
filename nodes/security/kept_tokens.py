"""The tokens of a running cluster outlive their folder: what its master has read, it puts back.

A token that somebody takes away on purpose is replaced (`rollcall-nodes token rotate`), and that of
a role may be removed. The cluster's own is never simply gone, nor the folder with all of them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from nodes.security.tokens import (
    ValidToken,
    files_of_tokens,
    present_tokens,
    token_file,
    valid_tokens,
)
from nodes.support.files import write_atomically
from nodes.support.paths import make_private


class KeptTokens:
    """The tokens that are valid now. For one thread at a time.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._read: dict[str, bytes] = {}
        self._present: list[ValidToken] = []
        """Those that are no old ones: what is valid while there is no way to put files back."""

    def __call__(self) -> list[ValidToken]:
        """Every valid token and its role, read anew; files that are lost are put back first."""
        own = token_file()
        if self._read and not own.exists():
            with contextlib.suppress(OSError):
                self._put_back()
        if self._read and not own.exists():
            return self._present
        self._read = {}
        for path in files_of_tokens():
            with contextlib.suppress(OSError):
                self._read[path.name] = path.read_bytes()
        self._present = present_tokens()
        return valid_tokens(self._clock)

    def _put_back(self) -> None:
        """Raises `OSError`."""
        folder = token_file().parent
        lost = self._read if not folder.is_dir() else {token_file().name}
        make_private(folder)
        for name in lost:
            if name in self._read:
                write_atomically(folder / name, self._read[name])
