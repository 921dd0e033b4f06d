"""Logins: which role a token gives to a connection, and how wrong tokens are slowed down."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from nodes.errors import BadRequest, Forbidden
from nodes.security.tokens import TokenRole, ValidToken, match_token
from nodes.support.event_kinds import EventKind

RECHECK_EVERY_S = 5.0
"""Seconds after which a connection's token is checked again: it may have been rotated."""


class LoginThrottle:
    """Decides how long the answer to a wrong token is held back, and when to report one.

    Each wrong token from an address doubles its wait, and what is held against an address fades
    with time. Pure, and not thread-safe; `now` is seconds on any clock that only goes forward.

    Args:
        first_wait_s: seconds that the first wrong token from an address waits.
        longest_wait_s: seconds that no wait exceeds. They are fewer than a client's own timeout,
            so that it hears why it was refused.

    Attributes:
        count: wrong tokens so far.
    """

    FIRST_WAIT_S = 0.1
    LONGEST_WAIT_S = 1.5

    SCORE_HALF_LIFE_S = 30.0
    """Seconds in which the score of an address falls to half."""

    MAX_SCORE = 16.0
    MAX_HOSTS = 1024

    REPORT_EVERY_S = 20.0
    """Seconds between two reports at least, however many wrong tokens there are."""

    def __init__(
        self, *, first_wait_s: float = FIRST_WAIT_S, longest_wait_s: float = LONGEST_WAIT_S
    ) -> None:
        self.count = 0
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._scores: dict[str, tuple[float, float]] = {}
        """The score of each address, and when it was noted: the quietest address first."""
        self._reported_at: float | None = None
        self._unreported = 0

    def refused(self, host: str, now: float) -> float:
        """Notes a wrong token from that address; returns the seconds to wait before the answer."""
        self.count += 1
        self._unreported += 1
        score, at = self._scores.pop(host, (0.0, now))
        faded = score * math.exp2((at - now) / self.SCORE_HALF_LIFE_S)
        score = min(self.MAX_SCORE, faded + 1.0)
        self._scores[host] = (score, now)
        if len(self._scores) > self.MAX_HOSTS:
            del self._scores[next(iter(self._scores))]
        return min(self._longest_wait_s, self._first_wait_s * math.exp2(score - 1.0))

    def report(self, host: str, now: float) -> str | None:
        """What to report of the last wrong token, which came from that address; None if the
        last report was too short a while ago.
        """
        if self._reported_at is not None and now - self._reported_at < self.REPORT_EVERY_S:
            return None
        others = self._unreported - 1
        self._reported_at, self._unreported = now, 0
        more = f"; {others} more wrong tokens since the last report" if others else ""
        return f"{host} gave a wrong token{more}"


class Authenticator:
    """Tells which role a token gives, and for how long whoever gives a wrong one is held back.

    Args:
        tokens: asked for every valid token and its role; see `nodes.security.kept_tokens`.
        note: told the kind, the worker ("" for the cluster) and the words of an event.
        require_token: whether lookups need a role as well.

    Attributes:
        recheck_every_s: seconds after which a session checks its token again.
        throttle: how long wrong tokens wait.
    """

    def __init__(
        self,
        *,
        tokens: Callable[[], list[ValidToken]],
        note: Callable[[EventKind, str, str], None],
        require_token: bool,
        recheck_every_s: float = RECHECK_EVERY_S,
        throttle: LoginThrottle | None = None,
    ) -> None:
        self.require_token = require_token
        self.recheck_every_s = recheck_every_s
        self.throttle = throttle or LoginThrottle()
        self._valid_tokens = tokens
        self._note = note

    @property
    def refused(self) -> int:
        """Wrong tokens so far."""
        return self.throttle.count

    def look(self) -> None:
        """Sees to it that the tokens are where those who log in look for them. To be called about
        each second.
        """
        self._valid_tokens()

    def match(self, token: object) -> ValidToken | None:
        """Which token that is, with the role that it gives now; None if it is not valid."""
        return match_token(token, self._valid_tokens())

    def refuse(self, host: str) -> float:
        """Counts a wrong token from that address. Returns the seconds after which it may be
        answered. A right token is never held back, whatever its address.
        """
        now = time.monotonic()
        wait_s = self.throttle.refused(host, now)
        report = self.throttle.report(host, now)
        if report is not None:
            self._note(EventKind.REFUSED_LOGIN, "", report)
        return wait_s


class WrongToken(Forbidden):
    """The token is none of this cluster.

    Args:
        wait_s: seconds after which this may be said.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__("that is no token of this cluster, or one that has been replaced")
        self.wait_s = wait_s


class Session:
    """The role of one connection, by the token it gave.

    Args:
        authenticator: tells what a token gives.
        host: the address at the other end.
    """

    def __init__(self, authenticator: Authenticator, host: str) -> None:
        self._authenticator = authenticator
        self._host = host
        self._given: ValidToken | None = None
        self._most: TokenRole | None = None
        self._role: TokenRole | None = None
        self._checked_at = 0.0

    @property
    def role(self) -> TokenRole | None:
        """The role that the connection had when it was last checked."""
        return self._role

    @property
    def token_shown(self) -> str:
        """Which token it gave, in words that tell nothing of the token; "" for none."""
        if self._given is None:
            return ""
        named = f" {self._given.name!r}" if self._given.name else ""
        return f"{self._given.role} token{named}"

    def login(self, token: object, most: object = None) -> str:
        """Gives the connection the role of a token, and returns it.

        Args:
            token: one of the cluster's.
            most: the name of a role; what it does not cover is not given. None for all of it.

        Raises:
            WrongToken: it is no token of the cluster.
            BadRequest: there is no such role.
            Forbidden: the token gives nothing of that role.
        """
        limit = _role_called(most)
        valid = self._authenticator.match(token)
        if valid is None:
            raise WrongToken(self._authenticator.refuse(self._host))
        role = valid.role.limited_to(limit)
        if role is None:
            raise Forbidden(f"the token given is of the role {valid.role}, which is no {limit}'s")
        self._given, self._most, self._role = valid, limit, role
        self._checked_at = time.monotonic()
        return str(role)

    def check(self, needed: TokenRole) -> None:
        """Raises `Forbidden` unless the connection has that role, and has it still."""
        now = time.monotonic()
        due = now - self._checked_at > self._authenticator.recheck_every_s
        if self._given is not None and due:
            valid = self._authenticator.match(self._given.token)
            self._role = None if valid is None else valid.role.limited_to(self._most)
            self._checked_at = now
        if self._role is None or not self._role.covers(needed):
            raise Forbidden(
                f"this needs the role {needed}{self._has()}: commands take its token, or the "
                "cluster's, from where 'rollcall-nodes token path' says; scripts call login(token)"
            )

    def _has(self) -> str:
        if self._role is None or self._given is None:
            return ""
        if self._role is not self._given.role:
            return f" (this connection asked for no more than {self._role})"
        return f" (the token given is of the role {self._role})"

    def settle(self, role: TokenRole) -> None:
        """Gives the connection that role for as long as it lasts, even if its token is rotated:
        a worker stays registered until one of both ends it.
        """
        self._given, self._role = None, role


def _role_called(name: object) -> TokenRole | None:
    """The role of that name; None for None. Raises `BadRequest`."""
    if name is None:
        return None
    if type(name) is not str or name not in set(TokenRole):
        raise BadRequest(f"a role is one of {', '.join(TokenRole)}")
    return TokenRole(name)
