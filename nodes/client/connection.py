"""A connection to a master for many threads: it logs in, and dials again, by itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from nodes.errors import BadRequest, Forbidden, MasterLost, Overloaded, Stopping
from nodes.support.addresses import parse_address
from nodes.support.backoff import Backoff
from nodes.support.deadline import seconds_left
from nodes.transport import (
    DialFailed,
    HandshakeFailed,
    LanePool,
    LinkLost,
    RemoteFailure,
    TransportError,
    Value,
)
from nodes.wire import Envelope, decode_envelope

if TYPE_CHECKING:
    from nodes.transport import Secure

MAX_BREAKS = 3
"""Connections that may break under one call before it is given up. The call itself may be what
breaks them."""

REDIAL_BACKOFF = Backoff(first_s=0.1, factor=1.0)
"""Between two attempts to reach a master that was there before. The wait does not grow, as a call
has little time."""

FULL_RETRY_MS = 200
"""Milliseconds after which a master with no free connection may be asked again."""


class MasterConnection:
    """A master at an address, called over a pool of lanes. Thread-safe.

    Args:
        address: "HOST:PORT".
        token: returns the token to log in with, None if there is none. It is called each time the
            master asks for one, as the token may have been rotated.
        patient: whether a call that only reads waits, within its time, for a master that has
            answered before and is gone: it may just be restarted.
        tls: see `Lane.dial`.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Callable[[], str | None],
        patient: bool = False,
        tls: Secure | None = None,
    ) -> None:
        self.host, self.port = parse_address(address)
        self._patient = patient
        self._met = False
        self._token = token
        self._pool = LanePool(self.host, self.port, tls=tls)

    def call(
        self,
        verb: str,
        *args: Value,
        timeout: float,
        grace_s: float = 0.0,
        again: bool = True,
        named: Mapping[str, Value] | None = None,
    ) -> Envelope:
        """Calls a verb and returns its envelope, a success.

        Args:
            verb, args: the master's verb and its by-value arguments.
            named: arguments by name.
            timeout: seconds, for all of it.
            grace_s: seconds more that the answer may take to arrive.
            again: whether the call only reads, and so may be sent again if its connection broke,
                or the master has too much to do.

        Raises:
            MasterLost: no answer came.
            LookupFailed: the answer is an error; see `nodes.errors`.
            BadRequest: an argument cannot be sent.
        """
        deadline = time.monotonic() + timeout
        left = timeout + grace_s
        tries = breaks = 0
        stopping: Stopping | None = None
        while True:
            tries += 1
            try:
                reply = self._once(verb, args, named, left, again=again)
                self._met = True
                return reply.checked() if reply.error else reply
            except Overloaded as busy:
                # Jittered, so that clients refused together do not come back together.
                jitter = random.uniform(1.0, 2.0)  # noqa: S311 - no secret
                wait = (busy.retry_after_ms or 0) / 1000 * jitter
                if not again or not wait or time.monotonic() + wait >= deadline:
                    raise
                time.sleep(wait)
            except (LinkLost, Stopping, DialFailed) as error:
                breaks += isinstance(error, LinkLost)
                if isinstance(error, Stopping):
                    stopping = error  # says more than the failures that follow
                pause = self._pause(error, tries, breaks) if again else None
                if pause is None or time.monotonic() + pause >= deadline + grace_s:
                    raise self._lost(stopping or error) from error
                time.sleep(pause)
            except (TransportError, msgspec.MsgspecError) as error:
                raise self._lost(stopping or error) from error
            left = seconds_left(deadline + grace_s, time.monotonic())

    def _pause(self, error: Exception, tries: int, breaks: int) -> float | None:
        """Seconds to wait before the call is sent again; None to give it up."""
        if tries == 1 and not isinstance(error, DialFailed):
            return 0.0  # the lane may have led to a master that was restarted since
        if not (self._patient and self._met) or breaks > MAX_BREAKS:
            return None
        return REDIAL_BACKOFF.wait_s(tries, random.random())  # noqa: S311 - jitter, no secret

    def _lost(self, error: Exception) -> MasterLost:
        where = f"master {self.host}:{self.port}"
        # A master that fails the TLS handshake is running.
        absent = isinstance(error, DialFailed) and not isinstance(error, HandshakeFailed)
        hint = "; is it running? 'rollcall-nodes up' starts one" if absent else ""
        return MasterLost(f"{where}: {error}{hint}")

    def _once(
        self,
        verb: str,
        args: tuple[Value, ...],
        named: Mapping[str, Value] | None,
        timeout: float,
        *,
        again: bool,
    ) -> Envelope:
        deadline = time.monotonic() + timeout
        lane = self._pool.take(timeout=timeout, sure=not again)
        try:
            envelope = _envelope(lane.call(verb, *args, timeout=timeout, named=named))
            if not envelope.error:
                return envelope
            if envelope.code == Forbidden.code and (token := self._token()) is not None:
                # The call was not carried out. A lane keeps its role: it logs in once.
                left = seconds_left(deadline, time.monotonic())
                _envelope(lane.call("login", token, timeout=left)).checked()
                left = seconds_left(deadline, time.monotonic())
                envelope = _envelope(lane.call(verb, *args, timeout=left, named=named))
            if envelope.code == Stopping.code:
                self._met = True
                lane.close()
                self._pool.empty()  # its other lanes lead to the same master
                raise Stopping(envelope.error_message)
            return envelope
        except RemoteFailure as error:
            if error.kind == Overloaded.code.capitalize():
                raise Overloaded(error.message, retry_after_ms=FULL_RETRY_MS) from error
            raise MasterLost(f"the master refused {verb}: {error}") from error
        except (TypeError, ValueError) as error:
            raise BadRequest(f"an argument of {verb} cannot be sent: {error}") from error
        finally:
            self._pool.give(lane)

    def close(self) -> None:
        """Closes every lane; calls under way raise MasterLost."""
        self._pool.close()


def _envelope(reply: Value) -> Envelope:
    if type(reply) is not str:
        raise LinkLost("answered with something else than an envelope")
    return decode_envelope(reply)
