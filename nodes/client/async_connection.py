"""A connection to a master for one event loop: shared by many calls, it logs in, and dials again,
by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from nodes.client.retry import (
    NO_ENVELOPE,
    Decode,
    NoEnvelope,
    Retry,
    read_reply,
    refused,
)
from nodes.client.shared_call import MasterLink, SharedCall
from nodes.errors import BadReply, BadRequest, Forbidden, Overloaded, Stopping
from nodes.support.addresses import Address, parse_address
from nodes.support.deadline import seconds_left
from nodes.transport import (
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
from nodes.transport.limits import DEFAULTS
from nodes.transport.requests import MAX_CALLS_IN_FLIGHT
from nodes.wire import Envelope, decode_envelope

DIAL_TIMEOUT_S = 1.0
"""Seconds that a connection may take."""

MAX_ARGUMENTS_BYTES = DEFAULTS.frame_in - CALL_OVERHEAD_BYTES
"""Bytes of a call's arguments that a master takes."""


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
        self.where = str(Address(self._host, self._port))
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
        grace_s: float = 0.0,
        named: Mapping[str, Value] | None = None,
        patient: bool = True,
        decode: Decode = decode_envelope,
    ) -> Envelope:
        """Calls a verb that only reads, and returns its envelope, a success.

        Args:
            verb, args, named: the master's verb and its by-value arguments.
            timeout: seconds, for all of it.
            grace_s: seconds more that the answer may take to arrive.
            patient: whether to wait, within that time, for a master that has answered before and
                is gone: it may just be restarted.
            decode: of its reply.

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
                raise ValueError(
                    f"{len(arguments)} bytes of arguments are too many; ask for less at once"
                )
        except (TypeError, ValueError) as error:
            raise BadRequest(f"an argument of {verb} cannot be sent: {error}") from error
        deadline = loop.time() + timeout
        retry = Retry(self.where, again=True)
        while True:
            try:
                until = deadline + grace_s
                reply = await self._once(verb, arguments, until, timeout + grace_s, decode)
                self._met = True
                return reply.checked()
            except Overloaded as busy:
                wait = retry.overload_wait_s(busy, deadline - loop.time())
                if wait is None:
                    raise
            except (LinkLost, Stopping, DialFailed) as error:
                wait = retry.wait_s(error, patient=patient and self._met)
                if wait is None or self._closed or loop.time() + wait >= deadline + grace_s:
                    raise retry.lost(error) from error
            except NoEnvelope as error:
                raise BadReply(self.where, NO_ENVELOPE) from error
            except TransportError as error:
                raise retry.lost(error) from error
            await asyncio.sleep(wait)

    async def _once(
        self, verb: str, arguments: bytes, deadline: float, timeout: float, decode: Decode
    ) -> Envelope:
        logged_in: MasterLink | None = None
        while True:
            left = self._left(deadline)
            call = SharedCall(self, verb, arguments, left_s=left, timeout_s=timeout)
            self._begin(call)
            try:
                envelope = read_reply(await call.answer, decode)
                link = cast("MasterLink", call.link)  # it was sent, as it has an answer
                if envelope.code == Forbidden.code and link is not logged_in:
                    # The call was not carried out. A connection keeps its role: one login for all.
                    left = self._left(deadline)
                    if await link.log_in(self._token, seen=call.seen, timeout_s=left):
                        logged_in = link
                        continue
            except RemoteFailure as error:
                meaning = refused(self.where, verb, error)
                if isinstance(meaning, Overloaded) and call.link is not None:
                    self.leave(call.link)  # the master has no room for it, and closes it
                raise meaning from error
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
        now = asyncio.get_running_loop().time()
        while waiting and link.in_flight < MAX_CALLS_IN_FLIGHT:
            call = waiting.popleft()
            if call.answer.done():
                call.forget()
                continue
            link.in_flight += 1
            call.link, call.seen, call.sent_at = link, link.logins, now
            link.connection.requester.call(call.verb, call.arguments, call)

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
