"""When a call to a master is sent again, and what it comes to otherwise. No I/O, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from nodes.errors import BadReply, MasterLost, Overloaded, Stopping
from nodes.support.backoff import Backoff
from nodes.transport import (
    CallTimeout,
    DialFailed,
    HandshakeFailed,
    LinkLost,
    ProtocolError,
    RemoteFailure,
    Value,
)
from nodes.wire import Envelope, decode_envelope

MAX_BREAKS = 3
"""Connections that may break under one call before it is given up. The call itself may be what
breaks them."""

REDIAL_BACKOFF = Backoff(first_s=0.1, factor=1.0)
"""Between two attempts to reach a master that was there before. The wait does not grow, as a call
has little time."""

FULL_RETRY_MS = 200
"""Milliseconds after which a master with no free connection may be asked again."""


class Retry:
    """The retries of one call to a master.

    Args:
        where: the master's address, for errors.
        again: whether the call only reads, and so may be sent again if its connection broke, or
            the master has too much to do.
    """

    __slots__ = ("_again", "_breaks", "_busy", "_stopping", "_tries", "_where")

    def __init__(self, where: str, *, again: bool) -> None:
        self._where = where
        self._again = again
        self._tries = self._breaks = 0
        self._stopping: Stopping | None = None
        self._busy: Overloaded | None = None

    def wait_s(self, error: Exception, *, patient: bool) -> float | None:
        """Seconds to wait before the call is sent again; None to give it up.

        Args:
            error: why it has no answer: the connection broke, or was not made, or the master
                is `Stopping`.
            patient: whether to wait for the master; right if it has answered before. One that
                hangs up is there, and may have too many connections.
        """
        self._tries += 1
        self._breaks += isinstance(error, LinkLost)
        if isinstance(error, Stopping):
            self._stopping = error  # says more than the failures that follow
        if not self._again:
            return None
        if self._tries == 1 and not isinstance(error, DialFailed):
            return 0.0  # the connection may have led to a master that was restarted since
        if not (patient or type(error) is LinkLost) or self._breaks > MAX_BREAKS:
            return None
        return REDIAL_BACKOFF.wait_s(self._tries, random.random())  # noqa: S311 - jitter, no secret

    def overload_wait_s(self, busy: Overloaded, left_s: float) -> float | None:
        """Seconds after which a master that is overloaded is asked again; None if it said no time,
        or if there is less left.
        """
        self._busy = busy
        # Jittered, so that clients refused together do not come back together.
        jitter = random.uniform(1.0, 2.0)  # noqa: S311 - no secret
        wait = (busy.retry_after_ms or 0) / 1000 * jitter
        return wait if self._again and 0 < wait < left_s else None

    def lost(self, error: Exception) -> MasterLost | Overloaded:
        """What the call comes to that ends with that error."""
        if self._busy is not None and isinstance(error, CallTimeout):
            return self._busy  # its turn did not come
        error = self._stopping or error
        if isinstance(error, ProtocolError):
            return BadReply(self._where, str(error).removeprefix(f"{self._where}: "))
        # A master that fails the TLS handshake is running.
        absent = isinstance(error, DialFailed) and not isinstance(error, HandshakeFailed)
        hint = "; is it running? 'rollcall-nodes up' starts one" if absent else ""
        what = str(error).removeprefix(f"{self._where}: ")
        return MasterLost(f"master {self._where}: {what}{hint}")


def refused(where: str, verb: str, error: RemoteFailure) -> Overloaded | MasterLost:
    """What it means that a master answered the call of a verb with an exception."""
    if error.kind == Overloaded.code.capitalize():
        return Overloaded(error.message, retry_after_ms=FULL_RETRY_MS)
    if error.kind == AttributeError.__name__:
        return BadReply(where, f"it does not know {verb}")
    return MasterLost(f"the master {where} refused {verb}: {error}")


Decode = Callable[[str], Envelope]
"""How a reply of some verb is decoded: as `nodes.wire.decode_envelope`."""

NoEnvelope = (msgspec.MsgspecError, RecursionError)
"""What is raised by a reply that is none."""

NO_ENVELOPE = "no envelope in its reply"


def read_reply(reply: Value, decode: Decode = decode_envelope) -> Envelope:
    """The envelope in a reply. Raises one of `NoEnvelope` if there is none."""
    if type(reply) is not str:
        raise msgspec.ValidationError(NO_ENVELOPE)
    return decode(reply)
