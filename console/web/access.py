"""Access by a one-time link: whoever opens it first gets a session; pure but for randomness.

The link's key is in an address, which browsers remember and people paste: it is worth something
once. What stands for the session from then on is in a cookie that no script reads.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import sha256

SESSION_VALID_S = 12 * 3600.0
"""Seconds after which a session's cookie is worth nothing: a working day."""

MAX_SESSIONS = 16
"""Sessions that are known at once: the oldest gives way to a new one."""


def _new_secret() -> str:
    return secrets.token_urlsafe(32)


class WebAccess:
    """The key of the present link, and the sessions that links have begun.

    Args:
        clock: seconds of a clock that never goes back.
        new_secret: makes a text that cannot be guessed.

    Attributes:
        key: of the link that was not used yet.
    """

    def __init__(
        self, clock: Callable[[], float], new_secret: Callable[[], str] = _new_secret
    ) -> None:
        self._clock = clock
        self._new_secret = new_secret
        self._ends: dict[bytes, float] = {}
        """When each session ends, by its cookie's digest: the oldest first."""
        self.key = new_secret()

    def redeem(self, key: str) -> str | None:
        """The cookie of a new session, for the key of the present link, which another takes the
        place of; None for any other key.
        """
        if not secrets.compare_digest(_digest(key), _digest(self.key)):
            return None
        self.key = self._new_secret()
        cookie = self._new_secret()
        self._ends[_digest(cookie)] = self._clock() + SESSION_VALID_S
        while len(self._ends) > MAX_SESSIONS:
            del self._ends[next(iter(self._ends))]
        return cookie

    def admits(self, cookie: str) -> bool:
        """Whether that is the cookie of a session that has not ended."""
        # By digests: how long a search takes says nothing of a secret.
        return self._ends.get(_digest(cookie), 0.0) > self._clock()


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "replace")).digest()
