"""Looks whether the token has been rotated, for those who hand it to workers elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable

from nodes.support.supervision import Supervision, supervised_thread

TOKEN_EVERY_S = 2.0
"""Seconds between two looks."""


class TokenWatch:
    """Tells of each token that follows the present one, until it is closed.

    Args:
        token: the token now; None if it cannot be read.
        tell: told of another, in a thread of this one's own.
    """

    def __init__(self, token: Callable[[], str | None], tell: Callable[[str], None]) -> None:
        self._token = token
        self._tell = tell
        self._known: str | None = None
        self._closed = threading.Event()
        supervision = Supervision("the look at the token")
        supervised_thread("token", self._watch, supervision, self._closed)

    def close(self) -> None:
        """Looks no more."""
        self._closed.set()

    def _watch(self) -> None:
        self._known = self._known or self._token()
        while not self._closed.wait(TOKEN_EVERY_S):
            token = self._token()
            if token is not None and token != self._known:
                self._tell(token)
                self._known = token
