"""A connection to a master for many threads: it logs in, and dials again, by itself."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nodes.client.retry import (
    NO_ENVELOPE,
    Decode,
    NoEnvelope,
    Retry,
    read_reply,
    refused,
)
from nodes.errors import (
    BadReply,
    BadRequest,
    Forbidden,
    MasterLost,
    NotPossible,
    Overloaded,
    Stopping,
)
from nodes.support.addresses import Address, parse_address
from nodes.support.deadline import seconds_left
from nodes.transport import (
    DialFailed,
    LanePool,
    LinkLost,
    RemoteFailure,
    TransportError,
    Value,
    fast_call,
)
from nodes.wire import Envelope, decode_envelope

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
        most: the role that is asked for with the token, and no more; "" for all that it gives.
        tls: see `Lane.dial`.

    Attributes:
        role: what the token gave when it was last shown; "" before that.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Callable[[], str | None],
        patient: bool = False,
        most: str = "",
        tls: Secure | None = None,
    ) -> None:
        self.role = ""
        self._asked = (most,) if most else ()
        self.host, self.port = parse_address(address)
        self.where = str(Address(self.host, self.port))
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
        decode: Decode = decode_envelope,
    ) -> Envelope:
        """Calls a verb and returns its envelope, a success.

        Args:
            verb, args: the master's verb and its by-value arguments.
            named: arguments by name.
            timeout: seconds, for all of it.
            grace_s: seconds more that the answer may take to arrive.
            again: whether the call only reads, and so may be sent again if its connection broke,
                or the master has too much to do.
            decode: of its reply.

        Raises:
            MasterLost: no answer came; `BadReply` if what came is none.
            LookupFailed: the answer is an error; see `nodes.errors`.
            BadRequest: an argument cannot be sent.
        """
        began = time.monotonic()
        return self.ask(
            verb, args, timeout, decode, began, grace_s=grace_s, again=again, named=named
        )

    def ask(
        self,
        verb: str,
        args: tuple[Value, ...],
        timeout: float,
        decode: Decode,
        began: float,
        *,
        grace_s: float,
        again: bool = True,
        named: Mapping[str, Value] | None = None,
    ) -> Envelope:
        """`call` by whoever has looked at the clock: it `began` then, monotonic."""
        now, deadline, left = began, began + timeout, timeout + grace_s
        retry: Retry | None = None
        while True:
            try:
                usual = again and not named
                value = fast_call(self._pool, verb, args, left, now) if usual else None
                if value is None:
                    value = self._call(verb, args, named, left, sure=not again)
                reply = decode(value) if type(value) is str else read_reply(value)
                if reply.error:
                    ask = functools.partial(self._call, verb, args, named, sure=not again)
                    reply = self._after_error(reply, ask, deadline + grace_s, decode)
                self._met = True
                return reply
            except (Overloaded, LinkLost, Stopping, DialFailed, RemoteFailure) as error:
                retry = retry or Retry(self.where, again=again)
                pause = self._pause_s(retry, verb, error, deadline, grace_s)
            except NoEnvelope as error:
                raise BadReply(self.where, NO_ENVELOPE) from error
            except TransportError as error:
                raise (retry or Retry(self.where, again=again)).lost(error) from error
            except (TypeError, ValueError) as error:
                raise BadRequest(f"an argument of {verb} cannot be sent: {error}") from error
            time.sleep(pause)
            now = time.monotonic()
            left = seconds_left(deadline + grace_s, now)

    def _call(
        self,
        verb: str,
        args: tuple[Value, ...],
        named: Mapping[str, Value] | None,
        timeout: float,
        *,
        sure: bool,
        token: str | None = None,
    ) -> Value:
        """The value of a call, whatever is called; logs in before, if there is a token."""
        deadline = time.monotonic() + timeout
        lane = self._pool.take(timeout=timeout, sure=sure)
        try:
            if token is not None:
                given = read_reply(lane.call("login", token, *self._asked, timeout=timeout))
                self.role = str(self._admitted(given).result)
                timeout = seconds_left(deadline, time.monotonic())
            return lane.call(verb, *args, timeout=timeout, named=named)
        finally:
            self._pool.give(lane)

    def _admitted(self, given: Envelope) -> Envelope:
        """The answer to a login; raises what it is refused for."""
        if self._asked and given.code == BadRequest.code:
            # Not asked without a role instead: whoever is to look only would be let in to steer.
            raise NotPossible(
                "an older master, which knows no viewers: attach without --read-only"
                " (rollcall-web: with --steer), or install this version there"
            )
        return given.checked()

    def _after_error(
        self, reply: Envelope, ask: Callable[..., Value], deadline: float, decode: Decode
    ) -> Envelope:
        """The reply after all, where a token helps; raises the error else."""
        self._met = True
        if reply.code == Forbidden.code and (token := self._token()) is not None:
            # The call was not carried out. A connection keeps its role: each logs in once.
            reply = read_reply(ask(seconds_left(deadline, time.monotonic()), token=token), decode)
        if reply.code == Stopping.code:
            self._pool.empty()  # all its connections lead to the same master
        return reply.checked()

    def _pause_s(
        self, retry: Retry, verb: str, error: Exception, deadline: float, grace_s: float
    ) -> float:
        """Seconds after which the call is sent again; raises what it comes to if it is not."""
        refusal = refused(self.where, verb, error) if isinstance(error, RemoteFailure) else error
        now = time.monotonic()
        if isinstance(refusal, Overloaded):
            pause = retry.overload_wait_s(refusal, deadline - now)
        elif isinstance(refusal, MasterLost):
            pause = None
        else:
            pause = retry.wait_s(refusal, patient=self._patient and self._met)
            if pause is None or now + pause >= deadline + grace_s:
                raise retry.lost(refusal) from error
        if pause is None:
            raise refusal from error
        return pause

    def close(self) -> None:
        """Closes every lane; calls under way raise MasterLost."""
        self._pool.close()
