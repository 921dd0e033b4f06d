"""The asking end of RPyC's protocol, one by-value call at a time. No sockets, no clock.

A verb that was never called here is resolved first: the peer is asked for its root, then for
the verb. What names the verb is kept, so its next call is one request and one reply.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import cast

from nodes.transport import consts, messages, shortcuts
from nodes.transport.errors import RemoteFailure
from nodes.transport.frames import MalformedError
from nodes.transport.values import IdPack, Value

CALL_OVERHEAD_BYTES = 2048
"""What a call's frame may take besides its arguments; far more than it does."""

MAX_PEER_TEXT = 300
"""Characters kept of a peer's words; they end up in logs and on screens."""


class Caller:
    """Makes the requests of a call, and understands the replies.

    Args:
        max_request_bytes: of the largest request that the peer accepts.

    Attributes:
        verb: of the call that was begun and whose reply was not received, "" if there is none.
        heads: how calls of the verbs that have been resolved begin.
        seq: the sequence number of the last request.
        max_arguments_bytes: of the arguments of one call.
    """

    __slots__ = ("_args", "_root", "heads", "max_arguments_bytes", "seq", "verb")

    def __init__(self, max_request_bytes: int) -> None:
        self.max_arguments_bytes = max_request_bytes - CALL_OVERHEAD_BYTES
        self._root: IdPack | None = None
        self.heads: dict[str, bytes] = {}
        # Where it begins is its own: what answers another's question is no answer here.
        self.seq = random.randrange(messages.ONE_BYTE_SEQUENCES)  # noqa: S311 - no secret
        self.verb = ""
        self._args = b""

    def knows(self, verb: str) -> bool:
        """Whether that verb has been resolved."""
        return verb in self.heads

    def begin(
        self, verb: str, args: tuple[Value, ...], named: Mapping[str, Value] | None = None
    ) -> bytes:
        """Begin a call.

        Args:
            verb: its name.
            args: by value, exact types.
            named: arguments by name.

        Returns:
            The first frame to send: the call or, while its verb is unresolved, what leads there.

        Raises:
            TypeError, ValueError: an argument cannot cross; no call is begun.
            RuntimeError: one is in flight.
        """
        if self.verb:
            raise RuntimeError("a call is in flight on this lane")
        encoded = messages.arguments(args, named)
        if len(encoded) > self.max_arguments_bytes:
            # The peer would hang up on it, and look like one that died of it.
            raise ValueError(
                f"{len(encoded)} bytes of arguments are too many; ask for less at once"
            )
        verb.encode()  # raises here, not when the verb is half resolved
        self.verb, self._args = verb, encoded
        return self.request()

    def request(self) -> bytes:
        """The next frame to send: the call or, while its verb is unresolved, what leads there."""
        head = self.heads.get(self.verb)
        # One call at a time: any number but that of the request before tells its reply.
        self.seq = self.seq % messages.LAST_SEQUENCE + 1
        if head is not None:
            return messages.call_request(self.seq, head, self._args)
        if self._root is not None:
            return messages.verb_request(self.seq, self._root, self.verb)
        return messages.root_request(self.seq)

    def receive(self, payload: bytes) -> tuple[Value] | None:
        """Take in the reply to the last request.

        Returns:
            The call's value, or None if the verb is one step nearer: `request` again.

        Raises:
            RemoteFailure: the peer answered with an exception; the call is over.
            MalformedError: that is no reply to the request.
        """
        if self.verb not in self.heads:
            self._resolve(reference(self._boxed(payload)))
            return None
        found = shortcuts.find_value(payload)
        if found is not None and found[0] == self.seq:
            value: object = found[1]
        else:
            label, value = self._boxed(payload)
            if label != consts.LABEL_VALUE:
                raise MalformedError("the answer is not by value")
        self.verb = ""
        return (cast("Value", value),)  # nothing else can be decoded

    def _resolve(self, found: IdPack) -> None:
        if self._root is None:
            self._root = found
        else:
            self.heads[self.verb] = messages.call_head(found)

    def _boxed(self, payload: bytes) -> tuple[object, object]:
        match messages.load(payload, messages.MAX_REPLY_READS):
            case (consts.MSG_REPLY, self.seq, (label, value)):
                return label, value
            case (consts.MSG_EXCEPTION, self.seq, body):
                self.verb = ""
                raise failure(body)
        raise MalformedError("not the answer to what was asked")


def reference(boxed: tuple[object, object]) -> IdPack:
    """What names an object of the peer's. Raises `MalformedError` for a value."""
    match boxed:
        case (consts.LABEL_REMOTE_REF, (str() as name, int() as kind, int() as number)):
            return name[:MAX_PEER_TEXT], kind, number
    raise MalformedError("there is a value where a verb should be")


def failure(body: object) -> RemoteFailure:
    """What an exception reply says; one that says nothing intelligible is still one."""
    match body:
        case ((str(), str() as kind), tuple() as args, *_):
            text = " ".join(arg for arg in args if isinstance(arg, str))
            return RemoteFailure(kind[:MAX_PEER_TEXT], text[:MAX_PEER_TEXT])
    return RemoteFailure("Exception", "the peer did not say more")
