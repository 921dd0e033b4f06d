"""A connection to a master for many threads: it logs in, and dials again, by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from nodes.client.retry import Retry, read_reply, refused
from nodes.errors import BadRequest, Forbidden, Stopping
from nodes.support.addresses import parse_address
from nodes.support.deadline import seconds_left
from nodes.transport import (
    DialFailed,
    LanePool,
    LinkLost,
    RemoteFailure,
    Secure,
    TransportError,
    Value,
)
from nodes.wire import Envelope


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
        self, verb: str, *args: Value, timeout: float, again: bool, **named: Value
    ) -> Envelope:
        """Calls a verb and returns its envelope, a success.

        Args:
            verb, args, named: the master's verb and its by-value arguments.
            timeout: seconds, for all of it.
            again: whether the call only reads, and so may be sent again if its connection broke.

        Raises:
            MasterLost: no answer came.
            LookupFailed: the answer is an error; see `nodes.errors`.
            BadRequest: an argument cannot be sent.
        """
        deadline = time.monotonic() + timeout
        retry = Retry(f"{self.host}:{self.port}", again=again)
        while True:
            try:
                reply = self._once(verb, args, named, deadline, again=again)
                break
            except (LinkLost, Stopping, DialFailed) as error:
                wait = retry.wait_s(error, patient=self._patient and self._met)
                if wait is None or time.monotonic() + wait >= deadline:
                    raise retry.lost(error) from error
                time.sleep(wait)
            except (TransportError, msgspec.MsgspecError) as error:
                raise retry.lost(error) from error
        self._met = True
        return reply.checked()

    def _once(
        self,
        verb: str,
        args: tuple[Value, ...],
        named: dict[str, Value],
        deadline: float,
        *,
        again: bool,
    ) -> Envelope:
        left = seconds_left(deadline, time.monotonic())
        lane = self._pool.take(timeout=left, sure=not again)
        try:
            envelope = read_reply(lane.call(verb, *args, timeout=left, named=named))
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
