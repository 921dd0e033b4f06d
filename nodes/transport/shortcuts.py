"""Short ways through messages: what nearly every message is, cut out of its bytes at known places.

Each gives up, and leaves the message to `nodes.transport.messages`, where it is not of the usual
form; and is as strict as that is. Decoding takes four times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from nodes.transport import brine, messages
from nodes.transport.frames import MalformedError

T = TypeVar("T")

MAX_DIGITS = 18
"""Of an integer that is passed on as it came."""

MAX_SEQUENCE_DIGITS = 4
SHORTEST_REPLY_BYTES = 7
"""What a reply that is decoded the short way has at most, and at least."""

_SMALLEST, _LARGEST = 0x20, 0xEF
"""How the integers begin, and end, that are one byte."""
_ZERO = 0x50
_INTEGER: int = brine.TAG_INT_L1[0]
_TEXT: int = brine.TAG_UNICODE[0]
_EMPTY: int = brine.TAG_EMPTY_STR[0]
_TINY = (brine.TAG_STR1[0], brine.TAG_STR2[0], brine.TAG_STR3[0], brine.TAG_STR4[0])
"""How bytes of no, and of one to four, begin."""
_SHORT: int = brine.TAG_STR_L1[0]
_LONG: int = brine.TAG_STR_L4[0]
_SIZES = {tag: size for size, tag in enumerate(messages.TUPLES)}


def find_call(payload: bytes, heads: Mapping[bytes, T]) -> tuple[bytes, T, int] | None:
    """The short way to a call of a verb: what comes before its arguments is the same each time.

    Args:
        payload: of a frame.
        heads: what may be called, by what `call_head` made of it; all of one length.

    Returns:
        The sequence number as it is encoded, what is called, and where the arguments begin; None
        if it is no such call, and `load` has to look at it.
    """
    if payload[:2] != messages.REQUEST or len(payload) < messages.CALL_HEAD_BYTES:
        return None
    form = payload[2]
    if _SMALLEST <= form <= _LARGEST:
        end = 3
    elif form == _INTEGER:
        end = 4 + payload[3]
        if end > 4 + MAX_DIGITS or not payload[4:end].isdigit():
            return None
    else:
        return None
    start = end + messages.CALL_HEAD_BYTES
    called = heads.get(payload[end:start])
    return None if called is None else (payload[2:end], called, start)


def sequence_of(payload: bytes, kind: bytes) -> bytes | None:
    """The sequence number of a message, as it is encoded; None if it is not to be seen.

    Args:
        payload: or how it begins.
        kind: what messages of its kind begin with, such as `messages.REQUEST`.
    """
    if payload[:2] != kind or len(payload) < SHORTEST_REPLY_BYTES:
        return None
    form = payload[2]
    if _SMALLEST <= form <= _LARGEST:
        return payload[2:3]
    end = 4 + payload[3]
    if form != _INTEGER or end > 4 + MAX_DIGITS or not payload[4:end].isdigit():
        return None
    return payload[2:end]


def call_arguments(payload: bytes, start: int, reads: int) -> tuple[object, ...] | None:
    """The arguments that begin there, up to the end; None if there are keywords as well.

    Raises:
        MalformedError: they are none.
    """
    size = _SIZES.get(payload[start : start + 1])
    if size is None:
        return _decoded_arguments(payload, start, reads)
    args: list[object] = []
    end = start + 1
    for _ in range(size):
        plain = _plain(payload, end)
        if plain is None:
            return _decoded_arguments(payload, start, reads)
        value, end = plain
        args.append(value)
    return tuple(args) if payload[end:] == messages.NO_KEYWORDS else None


def _decoded_arguments(payload: bytes, start: int, reads: int) -> tuple[object, ...] | None:
    args, end = messages.decode(payload, start, reads)
    if payload[end:] != messages.NO_KEYWORDS or type(args) is not tuple:
        return None
    return args


def short_arguments(encoded: bytes) -> list[str | int] | None:
    """The values of encoded arguments, up to four short texts and integers, which may be passed on
    as they came.

    Args:
        encoded: what `arguments` made.

    Returns:
        None if there is anything else, keywords say, and they have to be decoded to be judged.
    """
    size = _SIZES.get(encoded[:1])
    if size is None:
        return None
    values: list[str | int] = []
    at = 1
    try:
        for _ in range(size):
            form = encoded[at]
            if form == _TEXT and encoded[at + 1] == _SHORT:
                start = at + 3
                at = start + encoded[at + 2]
                values.append(encoded[start:at].decode())
            elif form == _TEXT:
                start, at = _tiny_text(encoded, at + 1)
                values.append(encoded[start:at].decode())
            elif form == _INTEGER:
                start = at + 2
                at = start + encoded[at + 1]
                if not encoded[start:at].isdigit() or at - start > MAX_DIGITS:
                    return None
                values.append(int(encoded[start:at]))
            elif _SMALLEST <= form <= _LARGEST:
                at += 1
                values.append(form - _ZERO)
            else:
                return None
    except (IndexError, UnicodeDecodeError, ValueError):
        return None
    return values if encoded[at:] == messages.NO_KEYWORDS else None


def first_text(encoded: bytes) -> bytes:
    """The first of encoded arguments in which `short_arguments` has found a text there."""
    start, end = (4, 4 + encoded[3]) if encoded[2] == _SHORT else _tiny_text(encoded, 2)
    return encoded[start:end]


def _tiny_text(encoded: bytes, at: int) -> tuple[int, int]:
    """Where the tiny bytes at `at` begin and end. Raises `ValueError` for others."""
    form = encoded[at]
    size = 0 if form == _EMPTY else _TINY.index(form) + 1
    return at + 1, at + 1 + size


def with_name(name: str, encoded: bytes) -> bytes:
    """Encoded arguments, up to three, with a text before them."""
    return b"%b%b%b" % (messages.TUPLES[_SIZES[encoded[:1]] + 1], brine.dump(name), encoded[1:])


def find_value(payload: bytes) -> tuple[int, bytes | str] | None:
    """The short way to decode a reply by value that is bytes or text.

    Returns:
        The sequence number of the request, and the value; None if it is another message.

    Raises:
        MalformedError: the value is none.
    """
    if payload[:2] != messages.REPLY or len(payload) < SHORTEST_REPLY_BYTES:
        return None
    form = payload[2]
    if _SMALLEST <= form <= _LARGEST:
        number, end = form - _ZERO, 3
    elif form == _INTEGER:
        end = 4 + payload[3]
        digits = payload[4:end]
        if not digits.isdigit() or len(digits) > MAX_SEQUENCE_DIGITS:
            return None
        number = int(digits)
    else:
        return None
    start = end + len(messages.BY_VALUE)
    if payload[end:start] != messages.BY_VALUE:
        return None
    plain = _plain(payload, start)
    if plain is None or plain[1] != len(payload):
        return None
    return number, plain[0]


def _plain(payload: bytes, start: int) -> tuple[bytes | str, int] | None:
    """Bytes or text from `start` on, and where they end; None if something else is there.

    What nearly every message carries: cut out in place of being read piece by piece.
    """
    try:
        text = payload[start] == _TEXT
        form, size = payload[start + text], payload[start + text + 1]
        begin = start + text + 2
        if form == _LONG:
            begin += 3
            size = int.from_bytes(payload[begin - 4 : begin])
        elif form != _SHORT:
            return None
        end = begin + size
        if end > len(payload):
            return None  # cut short: what that means is the decoder's to say
        return payload[begin:end].decode() if text else payload[begin:end], end
    except IndexError:
        return None  # so short that it does not say how long it is
    except UnicodeDecodeError as exc:
        raise MalformedError("not a message: no text") from exc
