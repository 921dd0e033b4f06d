"""One connection to a master, and the calls that share it on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from nodes.client.retry import read_reply
from nodes.transport import CallTimeout, Connection, LinkLost, Value
from nodes.wire import Envelope


class MasterLink:
    """One connection to a master, and what is known of it.

    Args:
        connection: that one.

    Attributes:
        in_flight: calls that were sent and not answered, those that nobody awaits any more
            included: their sequence numbers are taken.
        logins: how often a token was given on it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._where = connection.peer.where
        self.in_flight = 0
        self.logins = 0
        self.retired = False
        self._last_login: Envelope | None = None
        self._logging_in = asyncio.Lock()

    async def log_in(self, token: Callable[[], str | None], *, seen: int, timeout_s: float) -> bool:
        """Logs in, once for all calls that were refused meanwhile.

        Args:
            token: returns the token, None if there is none.
            seen: the `logins` when the refused call was sent.
            timeout_s: seconds for all of it.

        Returns:
            Whether there was a token.

        Raises:
            Forbidden: it is wrong.
            TransportError: there is no answer.
        """
        try:
            async with asyncio.timeout(timeout_s), self._logging_in:
                if self.logins == seen:
                    given = token()
                    if given is None:
                        return False
                    reply = await self.connection.call("login", given, timeout_s=timeout_s)
                    self._last_login = read_reply(reply)
                    self.logins += 1
        except TimeoutError as error:
            raise CallTimeout(self._where, timeout_s) from error
        if self._last_login is not None:
            self._last_login.checked()
        return True

    def ended(self) -> None:
        """A call was answered."""
        self.in_flight -= 1
        if self.retired and not self.in_flight:
            self.connection.abort()

    def retire(self) -> None:
        """No more calls on it: it is closed when the last one is answered."""
        self.retired = True
        if not self.in_flight:
            self.connection.abort()


class CallOwner(Protocol):
    """Who sends calls, and is told what it means for others that one has ended."""

    @property
    def where(self) -> str:
        """The master's address, for errors."""

    def freed(self) -> None:
        """A call is over: there is room for another."""

    def leave(self, link: MasterLink) -> None:
        """Nothing more can be sent on that connection."""


class SharedCall:
    """A call that is awaited, and waits for its turn or its answer; a `Pending`.

    Args:
        owner: sends it.
        verb, arguments: what is called; encoded.
        left_s: seconds until it ends without an answer.
        timeout_s: those that it had at first, for the error.

    Attributes:
        answer: what is awaited. Who cancels it gives up the call, not its place in the connection.
        link: that it was sent on, None as long as it waits for its turn.
        seen: the `logins` of that link when it was sent.
        sent_at: when.
    """

    __slots__ = (
        "_owner",
        "_timeout_s",
        "_timer",
        "answer",
        "arguments",
        "link",
        "seen",
        "sent_at",
        "verb",
    )

    def __init__(
        self,
        owner: CallOwner,
        verb: str,
        arguments: bytes,
        *,
        left_s: float,
        timeout_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.verb = verb
        self.arguments = arguments
        self.link: MasterLink | None = None
        self.seen = 0
        self.sent_at = 0.0
        self.answer: asyncio.Future[Value] = loop.create_future()
        self._owner = owner
        self._timeout_s = timeout_s
        self._timer = loop.call_later(left_s, self._expire)

    def replied(self, value: Value) -> None:
        self._over()
        if not self.answer.done():
            self.answer.set_result(value)

    def failed(self, error: Exception) -> None:
        self._over()
        if isinstance(error, LinkLost) and self.link is not None:
            self._owner.leave(self.link)
        if not self.answer.done():
            self.answer.set_exception(error)

    def forget(self) -> None:
        """Nobody awaits it, and it was not sent."""
        self._timer.cancel()

    def _over(self) -> None:
        self._timer.cancel()
        if self.link is not None:
            self.link.ended()
            self._owner.freed()

    def _expire(self) -> None:
        # Also of a call that was cancelled: else nobody would find out that a connection is dead.
        link = self.link
        late = CallTimeout(self._owner.where, self._timeout_s)
        if not self.answer.done():
            self.answer.set_exception(late)
        if link is not None and link.connection.since <= self.sent_at:
            # Whoever has time left asks on another connection.
            link.connection.requester.lose(LinkLost(str(late)))
            link.connection.abort()
