"""A call of a peer's verb that is awaited."""

from __future__ import annotations

import asyncio

from nodes.transport.errors import CallTimeout, TransportError
from nodes.transport.messages import arguments
from nodes.transport.requester import Requester
from nodes.transport.values import Value


class _Waiting:
    """A call whose answer is awaited; a `Pending`."""

    def __init__(self, answer: asyncio.Future[Value]) -> None:
        self.answer = answer

    def replied(self, value: Value) -> None:
        if not self.answer.done():
            self.answer.set_result(value)

    def failed(self, error: TransportError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def ask(
    requester: Requester, where: str, verb: str, args: tuple[Value, ...], timeout_s: float
) -> Value:
    """Calls a verb, and waits for its value.

    Args:
        requester: of the connection.
        where: the peer's address, for errors.
        verb, args: what is called; by value, exact types.
        timeout_s: seconds for all of it.

    Raises:
        CallTimeout, LinkLost, RemoteFailure: there is none.
        TypeError, ValueError: an argument cannot cross; nothing was sent.
    """
    waiting = _Waiting(asyncio.get_running_loop().create_future())
    requester.call(verb, arguments(args), waiting)
    try:
        return await asyncio.wait_for(waiting.answer, timeout_s)
    except TimeoutError as error:
        raise CallTimeout(where, timeout_s) from error
