"""A connection to a master for many threads: it logs in, and dials again, by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from nodes.client.retry import Retry, read_reply, refused
from nodes.errors import BadRequest, Forbidden, Overloaded, Stopping
from nodes.support.addresses import parse_address
from nodes.support.deadline import seconds_left
from nodes.transport import (
    DialFailed,
    LanePool,
    LinkLost,
    RemoteFailure,
    TransportError,
    Value,
)
from nodes.wire import Envelope

if TYPE_CHECKING:
    from nodes.transport import Secure


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
        self._where = f"{self.host}:{self.port}"
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
        retry = Retry(self._where, again=again)
        while True:
            try:
                reply = self._once(verb, args, named, left, again=again)
                self._met = True
                return reply.checked() if reply.error else reply
            except Overloaded as busy:
                wait = retry.overload_wait_s(busy, deadline - time.monotonic())
                if wait is None:
                    raise
                time.sleep(wait)
            except (LinkLost, Stopping, DialFailed) as error:
                pause = retry.wait_s(error, patient=self._patient and self._met)
                if pause is None or time.monotonic() + pause >= deadline + grace_s:
                    raise retry.lost(error) from error
                time.sleep(pause)
            except (TransportError, msgspec.MsgspecError) as error:
                raise retry.lost(error) from error
            left = seconds_left(deadline + grace_s, time.monotonic())

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
            envelope = read_reply(lane.call(verb, *args, timeout=timeout, named=named))
            if not envelope.error:
                return envelope
            if envelope.code == Forbidden.code and (token := self._token()) is not None:
                # The call was not carried out. A lane keeps its role: it logs in once.
                left = seconds_left(deadline, time.monotonic())
                read_reply(lane.call("login", token, timeout=left)).checked()
                left = seconds_left(deadline, time.monotonic())
                envelope = read_reply(lane.call(verb, *args, timeout=left, named=named))
            if envelope.code == Stopping.code:
                self._met = True
                lane.close()
                self._pool.empty()  # its other lanes lead to the same master
                raise Stopping(envelope.error_message)
            return envelope
        except RemoteFailure as error:
            raise refused(verb, error) from error
        except (TypeError, ValueError) as error:
            raise BadRequest(f"an argument of {verb} cannot be sent: {error}") from error
        finally:
            self._pool.give(lane)

    def close(self) -> None:
        """Closes every lane; calls under way raise MasterLost."""
        self._pool.close()
