"""Who may do what: roles found by tokens; wrong tokens slowed, counted, and told of."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from nodes.errors import Forbidden
from nodes.security.tokens import TokenRole, ValidToken, role_of
from nodes.support.event_kinds import EventKind

RECHECK_EVERY_S = 5.0
"""Seconds after which a connection's token is looked at anew: it may have been rotated."""


class LoginThrottle:
    """Wrong tokens: how long each is made to wait, and when to tell of them.

    Pure, and not for several threads; `now` is seconds on any clock that only goes forward.

    Attributes:
        count: all of them so far.
    """

    FIRST = 0.1
    LONGEST = 1.5
    """Seconds that the first waits, and that none exceeds: less than a client's own timeout,
    so that it hears why."""

    HALF_LIFE = 30.0
    """Seconds in which half of what is held against an address is forgotten."""

    MOST_HOSTS = 1024
    MOST_SCORE = 16.0

    EVERY = 20.0
    """Seconds between two events at least, however many there are to tell of."""

    def __init__(self) -> None:
        self.count = 0
        self._hosts: dict[str, tuple[float, float]] = {}
        self._told_at: float | None = None
        self._untold = 0

    def refused(self, host: str, now: float) -> float:
        """Somebody at that address gave a wrong token: seconds to wait before it is told so."""
        self.count += 1
        self._untold += 1
        score, at = self._hosts.pop(host, (0.0, now))
        score = min(self.MOST_SCORE, score * math.exp2((at - now) / self.HALF_LIFE) + 1.0)
        # Put last, so that the first is the one that was quiet for longest.
        self._hosts[host] = (score, now)
        if len(self._hosts) > self.MOST_HOSTS:
            del self._hosts[next(iter(self._hosts))]
        return min(self.LONGEST, self.FIRST * math.exp2(score - 1.0))

    def due(self, host: str, now: float) -> str | None:
        """What to tell of the last one, which was of that address; None if it is too soon."""
        if self._told_at is not None and now - self._told_at < self.EVERY:
            return None
        before = self._untold - 1
        self._told_at, self._untold = now, 0
        text = f"{host} gave a wrong token"
        return (
            f"{text}, and {before} more were given since the last was told of" if before else text
        )


class Authenticator:
    """What a master asks about whoever comes in. For many threads.

    Args:
        tokens: asked for every valid token and its role; see `nodes.security.tokens.valid_tokens`.
        note: told the kind, the worker ("" for the cluster) and the words of an event.
        require_token: whether lookups need a role as well.
    """

    def __init__(
        self,
        *,
        tokens: Callable[[], list[ValidToken]],
        note: Callable[[EventKind, str, str], None],
        require_token: bool,
    ) -> None:
        self.require_token = require_token
        self._valid_tokens = tokens
        self._note = note
        self._lock = threading.Lock()
        self._refusals = LoginThrottle()
        self._closed = threading.Event()

    @property
    def refused(self) -> int:
        """Wrong tokens so far."""
        return self._refusals.count

    def close(self) -> None:
        """Lets go of whoever is made to wait."""
        self._closed.set()

    def role_of(self, token: object) -> TokenRole | None:
        """The role that a token gives now."""
        return role_of(token, self._valid_tokens())

    def refuse(self, host: str) -> None:
        """Counts a wrong token, and returns when its giver may be told so.

        Only the calling thread waits: whoever has the right token never does, wherever from.
        """
        now = time.monotonic()
        with self._lock:
            wait = self._refusals.refused(host, now)
            text = self._refusals.due(host, now)
        if text is not None:
            self._note(EventKind.REFUSED_LOGIN, "", text)
        self._closed.wait(wait)


class Session:
    """One connection: the role it has, by the token it gave. For that connection's thread.

    Args:
        authenticator: tells what a token gives.
        host: the address at the other end.
    """

    def __init__(self, authenticator: Authenticator, host: str) -> None:
        self._authenticator = authenticator
        self._host = host
        self._token: str | None = None
        self._role: TokenRole | None = None
        self._checked = 0.0

    def login(self, token: object) -> str:
        """The verb by which a connection gets a role; returns which. Raises `Forbidden`."""
        role = self._authenticator.role_of(token)
        if role is None or type(token) is not str:
            self._authenticator.refuse(self._host)
            raise Forbidden("that is no token of this cluster, or one that has been replaced")
        self._token, self._role, self._checked = token, role, time.monotonic()
        return str(role)

    def check(self, needed: TokenRole) -> None:
        """Raises `Forbidden` for a connection that has not, or no longer has, that role."""
        now = time.monotonic()
        if self._token is not None and now - self._checked > RECHECK_EVERY_S:
            self._role, self._checked = self._authenticator.role_of(self._token), now
        if self._role is None or not self._role.covers(needed):
            has = f" (the token given is of the role {self._role})" if self._role else ""
            raise Forbidden(
                f"this needs the role {needed}{has}: call login(token) first, with the cluster "
                f"token or one of that role"
            )

    def settle(self, role: TokenRole) -> None:
        """From now on it has that role and no other, whatever becomes of its token: a worker
        stays registered until one of both ends it.
        """
        self._token, self._role = None, role
