"""The answering end of RPyC's protocol, narrowed to calls of verbs. No sockets, no clock.

RPyC's own connection serves nested calls, objects and attributes. Here a peer reaches the verbs
that its `Service` names, and nothing else: what is not listed in `Responder` is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Protocol

from nodes.transport import brine, consts, messages, shortcuts
from nodes.transport.errors import RequestRefused
from nodes.transport.frames import MalformedError, TooLargeError
from nodes.transport.introspection import Exported, Introspection, attribute, is_verb_name
from nodes.transport.requester import Asker
from nodes.transport.values import FastVerb, IdPack, RawVerb, RemoteReference, Verb

logger = logging.getLogger("rollcall.transport")

# RPyC names an object by its class and two addresses. This name says nothing of our classes.
ROOT: IdPack = ("rollcall.Service", 1, 1)

OLD_CLIENT = "this server speaks RPyC 6, and the client an older one: install rpyc>=6,<7 there"

MAX_VERBS = 256
"""Verbs that one connection may ask for: their references are kept until it ends."""

MAX_SHORT_CALLS = 64
"""Verbs of one connection that are called the short way."""


class Verbs(Protocol):
    """Where a responder finds its verbs; a `Service` is one."""

    def verb(self, name: str) -> Verb | None:
        """The verb of that name, or None."""

    def verbs(self) -> Iterable[str]:
        """The names of verbs, for a person who looks around."""


class Awaited(NamedTuple):
    """A call whose verb has not returned its answer yet, but what to await for it."""

    seq: bytes
    answer: Awaitable[object]


class Goodbye(Exception):  # noqa: N818 - no fault
    """The peer ends the connection."""


class Responder:
    """Answers the requests of one peer.

    Args:
        verbs: what may be called.
        max_reply_bytes: of a reply; one that is longer becomes an exception.
        asker: who asks.

    Attributes:
        called: whether a verb was ever called.
    """

    def __init__(self, verbs: Verbs, max_reply_bytes: int, asker: Asker) -> None:
        self.called = False
        self._service = verbs
        self._max_reply_bytes = max_reply_bytes
        self._asker = asker
        # What a peer may refer to: the root, and the verbs it asked for. Few, and kept to the
        # end: whatever a peer says (or forgets to say) of its references changes nothing.
        self._root = Exported(ROOT, None)
        self._exported: dict[IdPack, Exported] = {ROOT: self._root}
        self._verbs: dict[str, Exported] = {}
        self._heads: dict[bytes, Verb] = {}
        self._handlers: dict[int, Callable[..., object]] = {
            consts.HANDLE_PING: self._ping,
            consts.HANDLE_GETROOT: self._getroot,
            consts.HANDLE_GETATTR: self._getattr,
            consts.HANDLE_CALL: self._call,
            consts.HANDLE_CALLATTR: self._callattr,
            consts.HANDLE_DEL: self._del,
            **Introspection(verbs.verbs).handlers(),
        }

    def forget(self) -> None:
        """Lets go of all verbs: the connection has ended."""
        self._exported.clear()
        self._verbs.clear()
        self._heads.clear()

    def answer(self, payload: bytes) -> bytes | Awaited | None:
        """What becomes of one request.

        Returns:
            The frame that answers it, what has to be awaited for it first, or None: a `RawVerb`
            has taken it, and answers its asker.

        Raises:
            MalformedError: it is no request.
            Goodbye: the peer ends the connection.
        """
        found = shortcuts.find_call(payload, self._heads)
        if found is not None:
            self.called = True
            seq, verb, start = found
            if type(verb) is FastVerb:
                value = verb.fast(payload[start:])
                if value is not None:
                    frame = messages.bytes_reply(seq, value)
                    if len(frame) <= self._max_reply_bytes:
                        return frame
            elif type(verb) is RawVerb:
                self._asker.in_flight += 1
                if verb.take(self._asker, seq, payload[start:]):
                    return None
                self._asker.in_flight -= 1
        try:
            return self._answer_general(payload, found)
        except TooLargeError as error:
            asked = shortcuts.sequence_of(payload, messages.REQUEST)
            if asked is None:
                raise
            return self.failure(asked, RequestRefused("ValueError", f"refused: {error}"))

    def _answer_general(
        self, payload: bytes, found: tuple[bytes, Verb, int] | None
    ) -> bytes | Awaited:
        """The answer to a request of any form; `found` is what is known of it if it is a call."""
        if found is not None:
            seq, verb, start = found
            args = shortcuts.call_arguments(payload, start, messages.MAX_REQUEST_READS)
            if args is not None:
                work = verb.general if isinstance(verb, RawVerb | FastVerb) else verb
                return self.perform(seq, work, args)
        match messages.load(payload, messages.MAX_REQUEST_READS):
            case (consts.MSG_REQUEST, number, (int() as handler, boxed)):
                pass
            case _:
                raise MalformedError("not a request")
        if handler == consts.HANDLE_CLOSE:
            raise Goodbye
        return self.perform(brine.dump(number), self._handle, (handler, boxed))

    def refuse_old(self, payload: bytes) -> bytes:
        """The frame that tells a client of RPyC 5 or older why it is not served.

        Raises:
            MalformedError: it is none.
        """
        return messages.old_exception_reply(payload, "rollcall", "VersionMismatch", OLD_CLIENT)

    def perform(
        self, seq: bytes, work: Callable[..., object], args: tuple[object, ...]
    ) -> bytes | Awaited:
        """Does what a request asks for, and encodes what comes of it.

        Raises:
            MalformedError: its arguments are none.
        """
        try:
            result = work(*args)
            if type(result) is not bytes and inspect.isawaitable(result):
                return Awaited(seq, result)
            return self._reply(seq, result)
        except MalformedError:
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit does not end our process either
            return self.failure(seq, _misfit(error) or error)

    async def finish(self, awaited: Awaited) -> bytes:
        """The frame that answers a call, once its verb is done."""
        try:
            return self._reply(awaited.seq, await awaited.answer)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the loop ends: no failure of the verb
            return self.failure(awaited.seq, error)
        except BaseException as error:  # noqa: BLE001 - as in `perform`
            return self.failure(awaited.seq, error)

    def failure(self, seq: bytes, error: BaseException) -> bytes:
        """The frame that answers a request with what went wrong: nothing of ours is told."""
        if isinstance(error, RequestRefused):
            return messages.exception_reply(seq, error.module, error.kind, error.reason)
        logger.error("a request failed", exc_info=error)
        text = f"{type(error).__name__}; the log of the process that answered has more"
        return messages.exception_reply(seq, "rollcall", "InternalError", text)

    def _reply(self, seq: bytes, result: object) -> bytes:
        if type(result) is Exported:
            return messages.reference_reply(seq, result.ref)
        answer = messages.value_reply(seq, result)
        if len(answer) > self._max_reply_bytes:
            raise too_long(answer)
        return answer

    def _handle(self, handler: int, boxed: object) -> object:
        perform = self._handlers.get(handler)
        if perform is None:
            raise RequestRefused("ValueError", f"request {handler} is not served here")
        return _apply(perform, self._unboxed(boxed))

    def _unboxed(self, boxed: object) -> tuple[object, ...]:
        """A request's arguments: each may name an object of ours, but nothing within one."""
        match boxed:
            case (consts.LABEL_TUPLE, tuple() as items):
                return tuple([self._argument(item) for item in items])
        return _as_tuple(_unbox(boxed))

    def _argument(self, package: object) -> object:
        match package:
            case (consts.LABEL_LOCAL_REF, (str() as kind, int() as cls, int() as number)):
                exported = self._exported.get((kind, cls, number))
                if exported is None:
                    raise RequestRefused("LookupError", "no such object")
                return exported
        return _unbox(package)

    def _ping(self, data: object) -> object:
        # Nested far enough, it can be decoded but not encoded: that takes a deeper stack.
        with contextlib.suppress(RecursionError):
            if brine.dumpable(data):
                return data
        raise RequestRefused("TypeError", "that cannot be sent back")

    def _getroot(self) -> Exported:
        return self._root

    def _getattr(self, obj: object, name: object) -> Exported | str:
        about = attribute(obj, name)
        if about is not None:
            return about
        if obj is not self._root or type(name) is not str:
            raise RequestRefused("AttributeError", "only verbs can be reached")
        return self._find(name)

    def _find(self, name: str) -> Exported:
        exported = self._verbs.get(name)
        if exported is None:
            # Whatever the service says, what Python itself looks up is no verb.
            verb = None if name.startswith("_") else self._service.verb(name)
            if verb is None:
                # A name that could be none is not repeated: it may be, or hold, a secret.
                asked = f": {name!r}" if is_verb_name(name) else ""
                raise RequestRefused("AttributeError", f"no such verb{asked}")
            if len(self._verbs) >= MAX_VERBS:
                raise RequestRefused("AttributeError", "too many verbs for one connection")
            kind, cls, _number = messages.VERB
            general = verb.general if isinstance(verb, RawVerb | FastVerb) else verb
            ref = (kind, cls, len(self._verbs) + 1)
            exported = Exported(ref, general, name)
            self._verbs[name] = self._exported[exported.ref] = exported
            if len(self._heads) < MAX_SHORT_CALLS:
                self._heads[messages.call_head(exported.ref)] = verb
        return exported

    def _call(self, obj: object, args: object, kwargs: object = ()) -> object:
        if type(obj) is not Exported or obj.verb is None:
            raise RequestRefused("TypeError", "only verbs can be called")
        self.called = True
        return _apply(obj.verb, _as_tuple(args), _keywords(kwargs) if kwargs else None)

    def _callattr(self, obj: object, name: object, args: object, kwargs: object = ()) -> object:
        return self._call(self._getattr(obj, name), args, kwargs)

    def _del(self, _obj: object, _count: object = 1) -> None:
        """Nothing to do: see `_exported`."""


def too_long(reply: bytes) -> OverflowError:
    """Why a reply is not sent: it would cost the peer its connection, and be asked for again."""
    return OverflowError(f"a reply of {len(reply)} bytes")


def _unbox(package: object) -> object:
    match package:
        case (consts.LABEL_VALUE, value):
            return value
        case (consts.LABEL_TUPLE, tuple() as items):
            return tuple([_unbox(item) for item in items])
        case (consts.LABEL_REMOTE_REF | consts.LABEL_LOCAL_REF, _):
            return RemoteReference()
    raise MalformedError("neither a value nor a reference")


def _apply(
    function: Callable[..., object], args: Any, named: dict[str, object] | None = None
) -> object:
    """Call, and tell the peer's mistake from a defect."""
    try:
        return function(*args, **named) if named else function(*args)
    except TypeError as error:
        misfit = _misfit(error)
        if misfit is None:
            raise
        raise misfit from None


def _misfit(error: BaseException) -> RequestRefused | None:
    """What a peer is told whose arguments do not fit what it calls; None for any other error.

    A call that Python itself refused left no frame below the one that made it.
    """
    frames = error.__traceback__
    if type(error) is TypeError and frames is not None and frames.tb_next is None:
        return RequestRefused("TypeError", "the arguments do not fit")
    return None


def _as_tuple(args: object) -> tuple[object, ...]:
    if type(args) is not tuple:
        raise RequestRefused("TypeError", "arguments must be a tuple")
    return args


def _keywords(pairs: object) -> dict[str, object]:
    # Keys of other types are refused before the dict is made: integers can be chosen
    # to collide, and strings cannot.
    named: dict[str, object] = {}
    for pair in _as_tuple(pairs):
        match pair:
            case (str() as name, value):
                named[name] = value
            case _:
                raise RequestRefused("TypeError", "keywords must be pairs of a name and a value")
    return named
