"""The answering end of one connection: RPyC's protocol, narrowed to calls of verbs.

RPyC's own loop serves nested and concurrent calls, with locks, a poll and two reads
for each frame. None of ours nest, so this one reads what is there, answers each
request in line on the connection's thread, and writes each answer once. In echoes
of RPyC's default client and server that is 0.8 to 0.9 of the time, and 0.3 to 0.4
with a `Lane` at the other end.
"""

from __future__ import annotations

import contextlib
import logging
import re
import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from rpyc.core import brine, consts, protocol

from nodes.transport import messages
from nodes.transport.frames import FrameReader, MalformedError
from nodes.transport.values import IdPack, RemoteReference

if TYPE_CHECKING:
    from nodes.transport.limits import Limits
    from nodes.transport.peer import Peer
    from nodes.transport.seats import Seat
    from nodes.transport.stream import Stream

logger = logging.getLogger("rollcall.transport")

SETTINGS: dict[str, object] = {
    # By default a peer may call `__pow__` of an integer it sent itself: one packet of
    # 84 bytes then holds every thread for seconds.
    "allow_safe_attrs": False,
    "allow_exposed_attrs": False,
    "allow_public_attrs": False,
    "allow_all_attrs": False,
    "allow_getattr": False,
    "allow_setattr": False,
    "allow_delattr": False,
    "allow_pickle": False,
    "import_custom_exceptions": False,
    "instantiate_custom_exceptions": False,
    "include_local_traceback": False,
    "include_local_version": False,
    "propagate_KeyboardInterrupt_locally": False,
    "bind_threads": False,
    "sync_request_timeout": 1,
    "logger": logger,
}
"""RPyC's settings, all off. The methods below serve calls of verbs; these make sure that
whatever else of RPyC can still be reached serves nothing."""

# RPyC names an object by its class and two addresses. These names say nothing of our
# classes, and "builtins.method" spares a client the question what it can do with one.
ROOT: IdPack = ("rollcall.Service", 1, 1)
VERB = "builtins.method"

_VERB_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
"""What the name of a verb may look like."""

MAX_VERBS = 256
"""Verbs that one connection may ask for: their references are kept until it ends."""

MAX_SHORT_CALLS = 8
"""Verbs of one connection that are called the short way; few clients use more than one."""

HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
"""What the system says of a connection whose peer is gone (the last is Linux's own)."""


class RequestRefused(Exception):  # noqa: N818 - an answer, not a defect
    """The peer asked for what it cannot have.

    Args:
        kind: the builtin exception that the peer is answered.
        reason: in a few words.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class ExportedReference(NamedTuple):
    """A reference given to the peer: to the root, or to a verb.

    Attributes:
        ref: the name by which the peer refers to it.
        verb: None for the root.
    """

    ref: IdPack
    verb: Callable[..., object] | None


class Connection(protocol.Connection):  # type: ignore[misc] # RPyC has no types
    """Answers one peer until it leaves, breaks the protocol, or is too slow.

    Made by `rpyc.Service._connect`; `config` must hold `limits`, `peer`, `stream`,
    `patience` (seconds for the first byte), `hang_up` and `seat` besides RPyC's own
    settings. The socket belongs to the server, which closes it.
    """

    _closed: bool

    def __init__(self, root: Any, channel: Any, config: dict[str, Any]) -> None:
        super().__init__(root, channel, config)
        self._service = root
        self._limits: Limits = config["limits"]
        self._peer: Peer = config["peer"]
        self._hang_up: Callable[[], None] = config["hang_up"]
        self._seat: Seat = config["seat"]
        self._stream: Stream = config["stream"]
        self._reader = FrameReader(self._limits.frame_in)
        self._patience: float = config["patience"]
        self._poll = select.poll()
        self._poll.register(channel.stream.sock, HUNG_UP)
        # What a peer may refer to: the root, and the verbs it asked for. Few, and kept to the
        # end: whatever a peer says (or forgets to say) of its references changes nothing.
        self._root = ExportedReference(ROOT, None)
        self._exported: dict[IdPack, ExportedReference] = {ROOT: self._root}
        self._verbs: dict[str, ExportedReference] = {}
        self._heads: dict[bytes, Callable[..., object]] = {}

    @classmethod
    def _request_handlers(cls) -> dict[int, Callable[..., object]]:
        """RPyC's table, narrowed: what is not here is refused."""
        return {
            consts.HANDLE_PING: cls._handle_ping,
            consts.HANDLE_GETROOT: cls._handle_getroot,
            consts.HANDLE_GETATTR: cls._handle_getattr,
            consts.HANDLE_CALL: cls._handle_call,
            consts.HANDLE_CALLATTR: cls._handle_callattr,
            consts.HANDLE_DEL: cls._handle_del,
            consts.HANDLE_INSPECT: cls._handle_inspect,
        }

    def serve_all(self) -> None:
        """Answer until the connection ends, then say so to the service, once.

        Raises:
            Exception: only what the service's `on_open` raised.
        """
        try:
            self._service.hang_up = self._hang_up
            self._service.on_open(self._peer)
            self._serve()
        finally:
            self.close()

    def close(self) -> None:
        """Forget everything and tell the service; harmless when done before."""
        if self._closed:
            return
        self._closed = True
        self._exported.clear()
        self._verbs.clear()
        self._heads.clear()
        try:
            self._service.on_close()
        except Exception:
            logger.exception("on_close failed")

    def _serve(self) -> None:
        try:
            while True:
                payload = self._next_payload()
                self._seat.busy = True
                # What is polled for is that the peer is gone, and no more.
                if self._service.drops_abandoned and self._poll.poll(0):
                    return
                answer = self._answer(payload)
                if answer is None:
                    return
                self._stream.send(answer, time.monotonic() + self._limits.frame)
                self._seat.answered(time.monotonic())
        except EOFError:
            return
        except (MalformedError, OSError) as exc:  # a timeout is an OSError too
            logger.debug("%s:%d dropped: %s", self._peer.host, self._peer.port, exc)

    def _next_payload(self) -> bytes:
        payload = None
        if not self._reader.buffered:
            data = self._stream.read(time.monotonic() + self._patience)
            self._patience = self._limits.idle
            payload = self._reader.take(data)
        if payload is None:
            payload = self._stream.receive(self._reader, time.monotonic() + self._limits.frame)
        return payload

    def _answer(self, payload: bytes) -> bytes | None:
        """The frame that answers one request, or None if the peer said goodbye."""
        work: Callable[..., object]
        call = messages.load_call(payload, self._heads, messages.MAX_REQUEST_READS)
        if call is not None:
            seq, work, args = call
        else:
            match messages.load(payload, messages.MAX_REQUEST_READS):
                case (consts.MSG_REQUEST, seq, (int() as handler, boxed)):
                    work, args = self._perform, (handler, boxed)
                case _:
                    raise MalformedError("not a request")
            if handler == consts.HANDLE_CLOSE:
                return None
        try:
            return self._reply(seq, _apply(work, args))
        except MalformedError:
            raise
        except RequestRefused as no:
            return messages.exception_reply(seq, "builtins", no.kind, no.reason)
        # SystemExit and KeyboardInterrupt too: a verb does not end our process, and
        # RPyC would raise them again in the peer's.
        except BaseException as exc:
            logger.exception("a request failed")
            text = f"{type(exc).__name__}; the log of the process that answered has more"
            return messages.exception_reply(seq, "rollcall", "InternalError", text)

    def _reply(self, seq: int, result: object) -> bytes:
        if type(result) is ExportedReference:
            return messages.reference_reply(seq, result.ref)
        answer = messages.value_reply(seq, result)
        if len(answer) > self._limits.frame_reply:
            # Sent, it would cost the peer its connection, and it would ask elsewhere.
            raise OverflowError(f"a reply of {len(answer)} bytes")
        return answer

    def _perform(self, handler: int, boxed: object) -> object:
        perform = self._HANDLERS.get(handler)
        if perform is None:
            raise RequestRefused("ValueError", f"request {handler} is not served here")
        return _apply(perform, (self, *self._unboxed(boxed)))

    def _unboxed(self, boxed: object) -> tuple[object, ...]:
        """A request's arguments, of which only the first may name an object of ours."""
        match boxed:
            case (
                consts.LABEL_TUPLE,
                ((consts.LABEL_LOCAL_REF, (str() as kind, int() as cls, int() as number)), *others),
            ):
                exported = self._exported.get((kind, cls, number))
                if exported is None:
                    raise RequestRefused("LookupError", "no such object")
                return (exported, *map(_unbox, others))
        return _as_tuple(_unbox(boxed))

    def _handle_ping(self, data: object) -> object:
        # Nested far enough, it can be decoded but not encoded: that takes a deeper stack.
        with contextlib.suppress(RecursionError):
            if brine.dumpable(data):
                return data
        raise RequestRefused("TypeError", "that cannot be sent back")

    def _handle_getroot(self) -> ExportedReference:
        return self._root

    def _handle_getattr(self, obj: object, name: object) -> ExportedReference:
        if obj is not self._root or type(name) is not str:
            raise RequestRefused("AttributeError", "only verbs can be reached")
        exported = self._verbs.get(name)
        if exported is None:
            # Whatever the service says, what Python itself looks up is no verb.
            verb = None if name.startswith("_") else self._service.verb(name)
            if verb is None:
                # A name that could be none is not repeated: it may be, or hold, a secret.
                asked = f": {name!r}" if _VERB_NAME.fullmatch(name) else ""
                raise RequestRefused("AttributeError", f"no such verb{asked}")
            if len(self._verbs) >= MAX_VERBS:
                raise RequestRefused("AttributeError", "too many verbs for one connection")
            exported = ExportedReference((VERB, 2, len(self._verbs) + 1), verb)
            self._verbs[name] = self._exported[exported.ref] = exported
            if len(self._heads) < MAX_SHORT_CALLS:
                self._heads[messages.call_head(exported.ref)] = verb
        return exported

    def _handle_call(self, obj: object, args: object, kwargs: object = ()) -> object:
        if type(obj) is not ExportedReference or obj.verb is None:
            raise RequestRefused("TypeError", "only verbs can be called")
        return _apply(obj.verb, _as_tuple(args), _keywords(kwargs) if kwargs else None)

    def _handle_del(self, _obj: object, _count: object = 1) -> None:
        """Nothing to do: see `_exported`."""

    def _handle_inspect(self, _ref: object) -> tuple[()]:
        """No names are given out; a client asks for the verbs it knows of."""
        return ()


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
    """Call, and tell the peer's mistake (arguments that do not fit) from a defect.

    A call that Python itself refused left no frame below this one.
    """
    try:
        return function(*args, **named) if named else function(*args)
    except TypeError as exc:
        if exc.__traceback__ is not None and exc.__traceback__.tb_next is None:
            raise RequestRefused("TypeError", "the arguments do not fit") from None
        raise


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
