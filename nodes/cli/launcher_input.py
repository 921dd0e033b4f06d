"""What a launcher tells a worker over its standard input: secrets, and that it is there."""

from __future__ import annotations

import logging
import os
import threading

import msgspec

from nodes.errors import StartError
from nodes.wire import LauncherSecrets, decode_secrets

logger = logging.getLogger("rollcall.cli")

MAX_LINE_BYTES = 10_000


class LauncherInput:
    """The launcher's lines: secrets first, then other tokens as they are rotated.

    Attributes:
        instance: the secret by which the launcher knows this worker.

    Raises:
        StartError: what comes first is something else.
    """

    def __init__(self) -> None:
        # Not that of `sys.stdin`: Python aborts at its end when a thread is still reading there.
        self._lines = os.fdopen(0, "rb", buffering=0, closefd=False)
        secrets = _secrets(self._lines.readline(MAX_LINE_BYTES))
        if secrets is None or not secrets.instance:
            raise StartError(
                "--secrets-from-stdin is for a launcher that starts workers elsewhere: leave it out"
            )
        self.instance = secrets.instance
        self._token = secrets.token

    def token(self) -> str | None:
        """The token to register with, as it is now."""
        return self._token or None

    def watch(self) -> None:
        """Takes in what else comes, in a thread; ends this process when nothing more can."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        try:
            while line := self._lines.readline(MAX_LINE_BYTES):
                secrets = _secrets(line)
                if secrets is None:
                    logger.warning("the launcher said something that is no line of secrets")
                else:
                    self._token = secrets.token
        finally:  # what cannot be read has ended as well
            os._exit(0)


def _secrets(line: bytes) -> LauncherSecrets | None:
    try:
        return decode_secrets(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
