"""RPyC's messages: what the payloads say. No sockets, no clock.

A payload is one byte (request, reply or exception) and then, in RPyC's own
encoding *brine*, a pair: the sequence number and a body. References and values
inside a body are *boxed*: a label and a value. See ``rpyc.core.protocol``.

Replies and calls are put together from encoded parts rather than encoded as one
tuple: the fixed parts are encoded once, and `Utf8` is never decoded.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from nodes.transport import brine, consts
from nodes.transport.frames import HEADER, MalformedError, TooLargeError, frame
from nodes.transport.values import IdPack, Utf8

T = TypeVar("T")

MAX_REQUEST_READS = 4096
MAX_REPLY_READS = 65536
"""Most reads that decoding one payload may take; a string takes four.

Decoding costs about a microsecond a value, and a frozenset of chosen integers costs
the square of its size in one uninterruptible step: 4 MB of small values would hold
every other thread for seconds. Strangers send requests; replies come from whom we
asked, and may name thousands of files.
"""

ONE_BYTE_SEQUENCES = 100
"""Sequence numbers below this are one byte on the wire, and cost nothing to encode."""

LAST_SEQUENCE = ONE_BYTE_SEQUENCES - 1
"""After which one call at a time begins with 1 again."""

MAX_KEPT_SEQUENCES = 4096
"""Sequence numbers whose encodings are kept."""

MAX_TINY_BYTES = 4
"""Of bytes and text that brine encodes in another way than longer ones."""

pack_header = HEADER.pack

REQUEST = brine.I1.pack(consts.MSG_REQUEST) + brine.TAG_TUP2
REPLY = brine.I1.pack(consts.MSG_REPLY) + brine.TAG_TUP2
_EXCEPTION = brine.I1.pack(consts.MSG_EXCEPTION) + brine.TAG_TUP2
BY_VALUE = brine.TAG_TUP2 + brine.dump(consts.LABEL_VALUE)
NO_KEYWORDS = brine.dump((consts.LABEL_VALUE, ()))
_CALL = (
    brine.TAG_TUP2
    + brine.dump(consts.HANDLE_CALL)
    + brine.TAG_TUP2
    + brine.dump(consts.LABEL_TUPLE)
    + brine.TAG_TUP3
)
TUPLES = (brine.TAG_EMPTY_TUPLE, brine.TAG_TUP1, brine.TAG_TUP2, brine.TAG_TUP3, brine.TAG_TUP4)
"""How tuples of so many items begin; of more, in another way."""
_DENIED = ((("_remote_version", "<version denied>"),), "<traceback denied>")


class _Numbers(dict[int, bytes]):
    """Sequence numbers, encoded: small ones once, when they are first used; others each time."""

    def __missing__(self, seq: int) -> bytes:
        encoded = brine.dump(seq)
        if 0 <= seq < MAX_KEPT_SEQUENCES:
            self[seq] = encoded
        return encoded


NUMBERS = _Numbers()
"""Sequence numbers, encoded."""


class Message(NamedTuple):
    """A decoded payload: `kind` is one of RPyC's ``MSG_`` numbers."""

    kind: int
    seq: int
    body: object


class _Counted(io.BytesIO):
    """A payload that may be read from only so often."""

    def __init__(self, payload: bytes, reads: int) -> None:
        super().__init__(payload)
        self._left = reads

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise TooLargeError("a message of too many parts")
        return super().read(size)


def load(payload: bytes, reads: int) -> Message:
    """Decode one payload.

    Args:
        payload: of a frame.
        reads: MAX_REQUEST_READS or MAX_REPLY_READS.

    Raises:
        MalformedError: it is no message.
    """
    pair, end = decode(payload, 1, reads)
    if end != len(payload):
        raise MalformedError("a message with bytes to spare")
    match pair:
        case (int() as seq, body) if type(seq) is int:
            return Message(payload[0], seq, body)
    raise MalformedError("a message without a sequence number")


def _bytes(value: bytes) -> bytes:
    """Bytes, encoded as brine does it."""
    size = len(value)
    if MAX_TINY_BYTES < size < 256:
        return b"%b%c%b" % (brine.TAG_STR_L1, size, value)
    if 256 <= size < 1 << 32:
        return b"%b%b%b" % (brine.TAG_STR_L4, size.to_bytes(4), value)
    encoded: bytes = brine.dump(bytes(value))
    return encoded


def decode(payload: bytes, start: int, reads: int) -> tuple[Any, int]:
    """One value from `start` on, and where it ends."""
    # Fewer bytes than reads need no counting.
    stream = io.BytesIO(payload) if len(payload) <= reads else _Counted(payload, reads)
    stream.seek(start)
    try:
        value = brine.load(stream)
    except MalformedError:
        raise
    except RecursionError as exc:
        raise TooLargeError("a message that is nested too deep") from exc
    # The decoder checks nothing, so what a wrong byte raises can be anything at all:
    # TypeError, AttributeError, struct.error, RecursionError, MemoryError...
    except Exception as exc:
        raise MalformedError(f"not a message: {type(exc).__name__}") from exc
    return value, stream.tell()


def value_reply(seq: int | bytes, value: object) -> bytes:
    """The frame that answers a request with a value.

    Args:
        seq: the request's sequence number, or how it is encoded.
        value: what crosses by value, or finished text.

    Raises:
        TypeError: the value does not cross by value.
        ValueError: it would, but for its content (a lone surrogate, a huge integer).
    """
    encoded = _as_encoded(seq)
    if type(value) is Utf8:
        return text_reply(encoded, value)
    if type(value) is bytes:
        return bytes_reply(encoded, value)
    return frame(REPLY, encoded, BY_VALUE, brine.dump(value))


def text_reply(seq: bytes, text: bytes) -> bytes:
    """The frame that answers a request with finished text.

    Args:
        seq: how the request's sequence number is encoded.
        text: UTF-8.
    """
    size = len(text)
    if size > 255:
        start = b"%b%b%b%b" % (REPLY, seq, _LONG_TEXT, size.to_bytes(4))
    else:
        start = b"%b%b%b%b" % (REPLY, seq, BY_VALUE, TEXT_HEADS[size])
    return b"%b%b%b\n" % (pack_header(len(start) + size, 0), start, text)


def bytes_reply(seq: bytes, value: bytes) -> bytes:
    """The same with bytes."""
    size = len(value)
    if size > 255:
        start = b"%b%b%b%b" % (REPLY, seq, _LONG_BYTES, size.to_bytes(4))
    else:
        start = b"%b%b%b%b" % (REPLY, seq, BY_VALUE, BYTES_HEADS[size])
    return b"%b%b%b\n" % (pack_header(len(start) + size, 0), start, value)


_LONG_BYTES = BY_VALUE + brine.TAG_STR_L4
_LONG_TEXT = BY_VALUE + brine.TAG_UNICODE + brine.TAG_STR_L4
"""How a value begins that is bytes, or text, of 256 bytes and more: what follows is its size."""

BYTES_HEADS = tuple(brine.dump(bytes(size))[: 1 + (size > MAX_TINY_BYTES)] for size in range(256))
TEXT_HEADS = tuple(brine.TAG_UNICODE + head for head in BYTES_HEADS)
"""How shorter ones begin, by their size: bytes, and texts."""


def _as_encoded(seq: int | bytes) -> bytes:
    return seq if type(seq) is bytes else NUMBERS[seq]  # type: ignore[index]


def reference_reply(seq: int | bytes, ref: IdPack) -> bytes:
    """The frame that answers request `seq` with a reference to an object kept here."""
    return frame(REPLY, _as_encoded(seq), brine.dump((consts.LABEL_REMOTE_REF, ref)))


def exception_reply(seq: int | bytes, module: str, kind: str, text: str) -> bytes:
    """The frame that answers request `seq` with an exception, and nothing else.

    RPyC would send the traceback, the file paths and its version.
    """
    return frame(_EXCEPTION, _as_encoded(seq), brine.dump(((module, kind), (text,), *_DENIED)))


OLD_FORM: int = brine.TAG_TUP3[0]
"""How the messages of RPyC 5 and older begin: triples of kind, sequence number and body."""


def old_exception_reply(payload: bytes, module: str, kind: str, text: str) -> bytes:
    """The frame that answers a request of RPyC 5 or older with an exception.

    Raises:
        MalformedError: it is no such request.
    """
    triple, end = decode(payload, 0, MAX_REQUEST_READS)
    match triple:
        case (consts.MSG_REQUEST, int() as seq, _) if type(seq) is int and end == len(payload):
            told = ((module, kind), (text,), *_DENIED)
            return frame(brine.dump((consts.MSG_EXCEPTION, seq, told)))
    raise MalformedError("neither a message nor an old one")


def root_request(seq: int) -> bytes:
    """The frame that asks for the peer's root object."""
    return frame(
        REQUEST, brine.dump(seq), brine.dump((consts.HANDLE_GETROOT, (consts.LABEL_VALUE, ())))
    )


def verb_request(seq: int, root: IdPack, verb: str) -> bytes:
    """The frame that asks for the verb of that name."""
    boxed = ((consts.LABEL_LOCAL_REF, root), (consts.LABEL_VALUE, verb))
    body = (consts.HANDLE_GETATTR, (consts.LABEL_TUPLE, boxed))
    return frame(REQUEST, brine.dump(seq), brine.dump(body))


def call_head(ref: IdPack) -> bytes:
    """What every call of the verb `ref` has before its arguments; encoded once a lane."""
    head: bytes = _CALL + brine.dump((consts.LABEL_LOCAL_REF, ref)) + BY_VALUE
    return head


VERB: IdPack = ("builtins.method-wrapper", 2, 1)
"""How the first verb of a connection is called: the others differ by their number alone. A client
is spared the question what it can do with an object of that class, and does not look for the code
of such a method (help and completion would fail)."""

CALL_HEAD_BYTES = len(call_head(VERB))
"""Bytes of a `call_head`, as long as the verb's number is one byte."""


def call_request(seq: int, head: bytes, encoded: bytes) -> bytes:
    """The frame that calls a verb; `encoded` is what `arguments` made."""
    number = NUMBERS[seq]
    length = len(number) + len(head) + len(encoded) + 2
    return b"%b%b%b%b%b\n" % (pack_header(length, 0), REQUEST, number, head, encoded)


def arguments(args: tuple[object, ...], named: Mapping[str, object] | None = None) -> bytes:
    """A call's arguments, those by position and those by name, encoded.

    Raises:
        TypeError: one of them does not cross by value.
        ValueError: it would, but for its content (a lone surrogate, a huge integer).
    """
    keywords = BY_VALUE + brine.dump(tuple(named.items())) if named else NO_KEYWORDS
    if len(args) >= len(TUPLES):
        return b"%b%b" % (brine.dump(args), keywords)
    parts = [TUPLES[len(args)]]
    for arg in args:
        if type(arg) is str:
            text = arg.encode()
            parts += (
                (TEXT_HEADS[len(text)], text)
                if len(text) < 256
                else (brine.TAG_UNICODE, _bytes(text))
            )
        else:
            parts.append(_bytes(arg) if type(arg) is bytes else brine.dump(arg))
    parts.append(keywords)
    return b"".join(parts)
