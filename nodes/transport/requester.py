"""The asking end of RPyC's protocol on a shared connection: many by-value calls at a time.

No sockets, no clock. `nodes.transport.caller` is the same for one call at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from nodes.transport import consts, messages, shortcuts
from nodes.transport.caller import CALL_OVERHEAD_BYTES, failure, reference
from nodes.transport.errors import LinkLost, RemoteFailure, TransportError
from nodes.transport.frames import MalformedError
from nodes.transport.messages import NUMBERS, REQUEST, pack_header
from nodes.transport.values import IdPack, Value

MAX_PENDING_CALLS = messages.MAX_KEPT_SEQUENCES - 1
"""Calls that wait for their answer at one time."""

NOT_ASKED = "not the answer to what was asked"


class Pending(Protocol):
    """A call that was sent, told what became of it; exactly one of the two is called, once."""

    def replied(self, value: Value) -> None:
        """The peer answered with a value."""

    def failed(self, error: TransportError) -> None:
        """The peer answered with an exception (`RemoteFailure`), or the connection ended."""


class Asker(Protocol):
    """A peer that asks, as those see it who answer.

    Attributes:
        in_flight: requests of its that wait for their answer.
    """

    in_flight: int

    def answer(self, seq: bytes, text: bytes) -> None:
        """Answers a call of a `RawVerb` with finished text."""


class PeerConnection(Protocol):
    """A connection, as those see it who ask its peer something."""

    @property
    def requester(self) -> Requester:
        """Sends calls to the peer."""

    async def call(self, verb: str, *args: Value, timeout_s: float) -> Value:
        """Calls a verb of the peer, and waits for its value. Raises `TransportError`."""

    def expect_replies(self) -> None:
        """The peer is going to be asked something."""

    def abort(self) -> None:
        """Ends the connection at once."""


class Requester:
    """Sends calls on one connection, and tells each what became of it.

    A verb that was never called here is resolved first: the peer is asked for its root, then for
    the verb. What names the verb is kept; calls of it wait meanwhile.

    Args:
        send: sends a frame.
        max_request_bytes: of the largest request that the peer accepts.
    """

    def __init__(self, send: Callable[[bytes], None], max_request_bytes: int) -> None:
        self._send = send
        self._max_arguments_bytes = max_request_bytes - CALL_OVERHEAD_BYTES
        self._root: IdPack | None = None
        self._heads: dict[str, bytes] = {}
        self._unresolved: dict[str, list[tuple[bytes, Pending]]] = {}
        # Sequence numbers: those that are free again, and how many there have been. Few are needed.
        self._free: list[int] = []
        self._numbers = 0
        self._pending: dict[int, Pending] = {}
        self._lost: TransportError | None = None

    def call(self, verb: str, arguments: bytes, pending: Pending) -> None:
        """Sends a call.

        Args:
            verb: its name.
            arguments: encoded; see `messages.arguments`.
            pending: told what becomes of it, later; at once if the connection has ended.

        Raises:
            ValueError: the arguments are too many bytes for the peer; nothing was sent.
        """
        if len(arguments) > self._max_arguments_bytes:
            # The peer would hang up on it, and look like one that died of it.
            raise ValueError(
                f"{len(arguments)} bytes of arguments are too many; ask for less at once"
            )
        if self._lost is not None or len(self._pending) >= MAX_PENDING_CALLS:
            pending.failed(self._lost or LinkLost("too many calls wait for their answer"))
            return
        head = self._heads.get(verb)
        if head is None:
            self._resolve(verb, (arguments, pending))
            return
        # `_number_of` and `messages.call_request`, were it not that each function more is felt.
        if self._free:
            number = self._free.pop()
        else:
            number = self._numbers = self._numbers + 1
        self._pending[number] = pending
        encoded = NUMBERS[number]
        size = len(encoded) + len(head) + len(arguments) + 2
        self._send(b"%b%b%b%b%b\n" % (pack_header(size, 0), REQUEST, encoded, head, arguments))

    def take(self, payload: bytes) -> None:
        """Takes in a reply or an exception of the peer.

        Raises:
            MalformedError: it answers nothing that was asked.
        """
        short = shortcuts.find_value(payload)
        if short is not None:
            pending = self._pending.pop(short[0], None)
            if pending is None:
                raise MalformedError(NOT_ASKED)
            self._free.append(short[0])
            pending.replied(short[1])
            return
        match messages.load(payload, messages.MAX_REPLY_READS):
            case (consts.MSG_REPLY, int() as number, (consts.LABEL_REMOTE_REF, ref)):
                # Before it counts as answered: a call is told of the end of the connection else.
                if not isinstance(self._pending.get(number), _Resolving | None):
                    raise MalformedError("the answer is not by value")
                resolving = cast("_Resolving", self._answered(number))
                resolving.found(reference((consts.LABEL_REMOTE_REF, ref)))
            case (consts.MSG_REPLY, int() as number, (consts.LABEL_VALUE, value)):
                self._answered(number).replied(cast("Value", value))
            case (consts.MSG_EXCEPTION, int() as number, body):
                self._answered(number).failed(failure(body))
            case _:
                raise MalformedError(NOT_ASKED)

    def lose(self, error: TransportError) -> None:
        """The connection has ended: so have all calls on it. Harmless when done before."""
        if self._lost is not None:
            return
        self._lost = error
        waiting = [pending for calls in self._unresolved.values() for _, pending in calls]
        self._unresolved.clear()
        pendings, self._pending = list(self._pending.values()), {}
        for pending in (*pendings, *waiting):
            if not isinstance(pending, _Resolving):
                pending.failed(error)

    def _answered(self, number: int) -> Pending:
        pending = self._pending.pop(number, None)
        if pending is None:
            raise MalformedError(NOT_ASKED)
        self._free.append(number)
        return pending

    def _number_of(self, pending: Pending) -> int:
        """A sequence number for a call that is about to be sent."""
        if self._free:
            number = self._free.pop()
        else:
            number = self._numbers = self._numbers + 1
        self._pending[number] = pending
        return number

    def _resolve(self, verb: str, call: tuple[bytes, Pending]) -> None:
        waiting = self._unresolved.get(verb)
        if waiting is not None:
            waiting.append(call)
            return
        self._unresolved[verb] = [call]
        if self._root is not None:
            self._ask_for_verb(verb, self._root)
        elif len(self._unresolved) == 1:
            resolving = _Resolving(self._root_found, self._root_failed)
            self._send(messages.root_request(self._number_of(resolving)))

    def _root_found(self, ref: IdPack) -> None:
        self._root = ref
        for verb in self._unresolved:
            self._ask_for_verb(verb, ref)

    def _root_failed(self, error: RemoteFailure) -> None:
        # All are let go first: who is told may call again at once, and asks for the root anew.
        unresolved, self._unresolved = self._unresolved, {}
        for calls in unresolved.values():
            for _arguments, pending in calls:
                pending.failed(error)

    def _ask_for_verb(self, verb: str, root: IdPack) -> None:
        resolving = _Resolving(
            lambda ref: self._verb_found(verb, ref), lambda error: self._verb_failed(verb, error)
        )
        self._send(messages.verb_request(self._number_of(resolving), root, verb))

    def _verb_found(self, verb: str, ref: IdPack) -> None:
        self._heads[verb] = messages.call_head(ref)
        for arguments, pending in self._unresolved.pop(verb, ()):
            self.call(verb, arguments, pending)

    def _verb_failed(self, verb: str, error: RemoteFailure) -> None:
        for _arguments, pending in self._unresolved.pop(verb, ()):
            pending.failed(error)


class _Resolving:
    """A question for the root or for a verb; a `Pending`."""

    def __init__(
        self, found: Callable[[IdPack], None], refused: Callable[[RemoteFailure], None]
    ) -> None:
        self.found = found
        self._refused = refused

    def replied(self, _value: Value) -> None:
        raise MalformedError("there is a value where a verb should be")

    def failed(self, error: TransportError) -> None:
        if isinstance(error, RemoteFailure):
            self._refused(error)
