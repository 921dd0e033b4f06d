"""The service manager, told how this process is: systemd's notifications (`man sd_notify`).

They are datagrams to a socket that the environment names; where it names none, nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

SOCKET_VARIABLE = "NOTIFY_SOCKET"
WATCHDOG_VARIABLES = ("WATCHDOG_USEC", "WATCHDOG_PID")

MAX_STATUS_CHARS = 500

SAID_WITHIN_S = 1.0
"""Seconds that what is said but once may take."""


class ServiceManager:
    """Whoever started this process and wants to hear of it, if anybody does.

    What names it is taken out of the environment: workers that this process starts are its own,
    and no services.

    Args:
        environment: of this process.

    Attributes:
        watchdog_s: seconds within which it must hear `alive` again and again; None if it need not.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        path = environment.pop(SOCKET_VARIABLE, "")
        micros, pid = (environment.pop(name, "") for name in WATCHDOG_VARIABLES)
        # A name that begins with @ is one of the abstract namespace.
        self._path = f"\0{path[1:]}" if path.startswith("@") else path
        meant = pid in ("", str(os.getpid()))
        due = int(micros) / 1e6 if micros.isdecimal() and self._path and meant else 0.0
        self.watchdog_s = due or None
        self._status = ""
        self._is_ready = False

    @property
    def listens(self) -> bool:
        """Whether anybody wants to hear of this process."""
        return bool(self._path)

    def starting(self, status: str, patience_s: float) -> None:
        """It gets on with its start, however long that takes in all; nothing is sent once it is up.

        Args:
            status: what it does, in a line.
            patience_s: seconds within which it is ready or gets on again, or is not sound.
        """
        if not self._is_ready:
            self._status = status
            extended = f"EXTEND_TIMEOUT_USEC={round(patience_s * 1e6)}"
            self._send(extended, f"STATUS={_line(status)}")

    def ready(self, status: str) -> None:
        """It is up."""
        self._status, self._is_ready = status, True
        self._send("READY=1", f"STATUS={_line(status)}", wait_s=SAID_WITHIN_S)

    def status(self, status: str) -> None:
        """How it is, in a line; sent where it is another than before."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={_line(status)}")

    def stopping(self) -> None:
        """It ends."""
        self._send("STOPPING=1", "STATUS=stopping", wait_s=SAID_WITHIN_S)

    def alive(self) -> None:
        """It runs; to be called from what has to run, more often than each `watchdog_s`."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str, wait_s: float = 0.0) -> None:
        if not self._path:
            return
        # Who does not listen any more, or has no room for so long, is not waited for.
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(wait_s)
                sender.sendto("\n".join(lines).encode("utf-8", "replace"), self._path)
        except OSError:
            return


def _line(text: str) -> str:
    return " ".join(text[:MAX_STATUS_CHARS].split())
