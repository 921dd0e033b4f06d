"""A connection to a master for one event loop: shared by many calls, it logs in, and dials again,
by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

import msgspec

from nodes.client.retry import Retry, read_reply, refused
from nodes.errors import BadRequest, Forbidden, Stopping
from nodes.support.addresses import parse_address
from nodes.support.deadline import seconds_left
from nodes.transport import (
    CallTimeout,
    Connection,
    DialFailed,
    LinkLost,
    RemoteFailure,
    Secure,
    Service,
    TransportError,
    Value,
    dial,
    encode_arguments,
)
from nodes.transport.caller import CALL_OVERHEAD_BYTES
from nodes.transport.connection import MAX_CALLS_IN_FLIGHT
from nodes.transport.limits import DEFAULTS
from nodes.wire import Envelope

DIAL_TIMEOUT_S = 1.0
"""Seconds that a connection may take."""

MAX_ARGUMENTS_BYTES = DEFAULTS.frame_in - CALL_OVERHEAD_BYTES
"""Bytes of a call's arguments that a master takes."""


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
        self._where = f"{connection.peer.host}:{connection.peer.port}"
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
        owner: AsyncMasterConnection,
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


class AsyncMasterConnection:
    """A master at an address, called over one connection. For one event loop.

    As many calls are under way as a master answers one client at a time; more wait for their turn,
    first come, first served.

    Args:
        address: "HOST:PORT".
        token, tls: see `nodes.client.connection.MasterConnection`.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Callable[[], str | None],
        tls: Secure | None = None,
    ) -> None:
        self._host, self._port = parse_address(address)
        self.where = f"{self._host}:{self._port}"
        self._token = token
        self._tls = tls
        self._met = False
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: MasterLink | None = None
        self._links: set[MasterLink] = set()
        self._dialling: asyncio.Task[Connection] | None = None
        self._waiting: deque[SharedCall] = deque()
        self._send_due = False

    async def call(
        self,
        verb: str,
        *args: Value,
        timeout: float,
        named: Mapping[str, Value] | None = None,
        patient: bool = True,
    ) -> Envelope:
        """Calls a verb that only reads, and returns its envelope, a success.

        Args:
            verb, args, named: the master's verb and its by-value arguments.
            timeout: seconds, for all of it.
            patient: whether to wait, within that time, for a master that has answered before and
                is gone: it may just be restarted.

        Raises:
            MasterLost, LookupFailed, BadRequest: as `nodes.client.connection.MasterConnection`.
            RuntimeError: it was used on another event loop before.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                raise RuntimeError("an AsyncClient belongs to the event loop that first used it")
            self._loop = loop
        try:
            arguments = encode_arguments(args, named)
            if len(arguments) > MAX_ARGUMENTS_BYTES:
                raise ValueError(f"{len(arguments)} bytes of arguments are too many")
        except (TypeError, ValueError) as error:
            raise BadRequest(f"an argument of {verb} cannot be sent: {error}") from error
        deadline = loop.time() + timeout
        retry = Retry(self.where, again=True)
        while True:
            try:
                reply = await self._once(verb, arguments, deadline, timeout)
                break
            except (LinkLost, Stopping, DialFailed) as error:
                wait = retry.wait_s(error, patient=patient and self._met)
                if wait is None or self._closed or loop.time() + wait >= deadline:
                    raise retry.lost(error) from error
                await asyncio.sleep(wait)
            except (TransportError, msgspec.MsgspecError) as error:
                raise retry.lost(error) from error
        self._met = True
        return reply.checked()

    async def _once(self, verb: str, arguments: bytes, deadline: float, timeout: float) -> Envelope:
        logged_in: MasterLink | None = None
        while True:
            left = self._left(deadline)
            call = SharedCall(self, verb, arguments, left_s=left, timeout_s=timeout)
            self._begin(call)
            try:
                envelope = read_reply(await call.answer)
                link = cast("MasterLink", call.link)  # it was sent, as it has an answer
                if envelope.code == Forbidden.code and link is not logged_in:
                    # The call was not carried out. A connection keeps its role: one login for all.
                    left = self._left(deadline)
                    if await link.log_in(self._token, seen=call.seen, timeout_s=left):
                        logged_in = link
                        continue
            except RemoteFailure as error:
                if call.link is not None:
                    self.leave(call.link)  # if the master is full, it closes this connection
                raise refused(verb, error) from error
            if envelope.code == Stopping.code:
                self._met = True
                self.leave(link)
                raise Stopping(envelope.error_message)
            return envelope

    def _left(self, deadline: float) -> float:
        return seconds_left(deadline, asyncio.get_running_loop().time())

    # -- sending --------------------------------------------------------------------

    def _begin(self, call: SharedCall) -> None:
        if self._closed:
            call.failed(self._gone())
        else:
            self._waiting.append(call)
            self._send_soon()

    def _send_soon(self) -> None:
        # Not at once: what others are about to send goes in the same write.
        if not self._send_due and self._loop is not None:
            self._send_due = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        """Sends the calls whose turn it is."""
        self._send_due = False
        waiting, link = self._waiting, self._link
        while waiting and waiting[0].answer.done():
            waiting.popleft().forget()
        if not waiting:
            return
        if link is None or link.connection.ended:
            self._dial()
            return
        calls = []
        now = asyncio.get_running_loop().time()
        while waiting and link.in_flight < MAX_CALLS_IN_FLIGHT:
            call = waiting.popleft()
            if call.answer.done():
                call.forget()
                continue
            link.in_flight += 1
            call.link, call.seen, call.sent_at = link, link.logins, now
            calls.append((call.verb, call.arguments, call))
        link.connection.call_all(calls)

    def freed(self) -> None:
        """A call is over: there is room for another."""
        if self._waiting:
            self._send_soon()

    def leave(self, link: MasterLink) -> None:
        """Sends nothing more on that connection; what it is still asked may be answered."""
        if self._link is link:
            self._link = None
        if not link.retired:
            link.retire()

    # -- connections ----------------------------------------------------------------

    def _dial(self) -> None:
        if self._dialling is None:
            self._links = {link for link in self._links if not link.connection.ended}
            work = dial(
                self._host,
                self._port,
                service=Service(),
                timeout_s=DIAL_TIMEOUT_S,
                tls=self._tls,
            )
            self._dialling = asyncio.get_running_loop().create_task(work)
            self._dialling.add_done_callback(self._dialled)

    def _dialled(self, dialling: asyncio.Task[Connection]) -> None:
        self._dialling = None
        if dialling.cancelled():
            self._fail_waiting(self._gone())
        elif (error := dialling.exception()) is not None:
            # A defect of ours, too, is for those to hear who wait.
            self._fail_waiting(error if isinstance(error, Exception) else self._gone())
        elif self._closed:
            dialling.result().abort()
        else:
            self._link = MasterLink(dialling.result())
            self._links.add(self._link)
            self._send()

    def _fail_waiting(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            call.failed(error)

    def _gone(self) -> LinkLost:
        return LinkLost(f"{self.where}: no longer in use")

    def close(self) -> None:
        """Ends the connection; calls under way raise `MasterLost`."""
        self._closed = True
        if self._dialling is not None:
            self._dialling.cancel()
        for link in self._links:
            link.connection.requester.lose(self._gone())
            link.connection.abort()
        self._fail_waiting(self._gone())

    async def wait_closed(self) -> None:
        """Waits until all that `close` ends has ended."""
        if self._dialling is not None:
            await asyncio.wait([self._dialling])
        for link in self._links:
            await link.connection.wait_ended()
