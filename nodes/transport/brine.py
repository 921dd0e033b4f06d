"""Brine: RPyC's encoding of values, byte for byte as `rpyc.core.brine` has it.

It is here as well because a client needs nothing else of RPyC: whoever imports a part of that
imports all of it, which takes longer than a script's first lookup.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

TAG_NONE = b"\x00"
TAG_EMPTY_STR = b"\x01"
TAG_EMPTY_TUPLE = b"\x02"
TAG_TRUE = b"\x03"
TAG_FALSE = b"\x04"
TAG_NOT_IMPLEMENTED = b"\x05"
TAG_ELLIPSIS = b"\x06"
TAG_UNICODE = b"\x08"
TAG_STR1 = b"\x0a"
TAG_STR2 = b"\x0b"
TAG_STR3 = b"\x0c"
TAG_STR4 = b"\x0d"
TAG_STR_L1 = b"\x0e"
TAG_STR_L4 = b"\x0f"
TAG_TUP1 = b"\x10"
TAG_TUP2 = b"\x11"
TAG_TUP3 = b"\x12"
TAG_TUP4 = b"\x13"
TAG_TUP_L1 = b"\x14"
TAG_TUP_L4 = b"\x15"
TAG_INT_L1 = b"\x16"
TAG_INT_L4 = b"\x17"
TAG_FLOAT = b"\x18"
TAG_SLICE = b"\x19"
TAG_FSET = b"\x1a"
TAG_COMPLEX = b"\x1b"

I1 = struct.Struct("!B")
I4 = struct.Struct("!L")
F8 = struct.Struct("!d")
C16 = struct.Struct("!dd")

_INTEGERS = {number: bytes((number + 0x50,)) for number in range(-0x30, 0xA0)}
_SHORT_BYTES = (TAG_EMPTY_STR, TAG_STR1, TAG_STR2, TAG_STR3, TAG_STR4)
_SHORT_TUPLES = (TAG_EMPTY_TUPLE, TAG_TUP1, TAG_TUP2, TAG_TUP3, TAG_TUP4)

Parts = list[bytes]
Stream = io.BytesIO

# -- encoding ------------------------------------------------------------------------


def dump(value: object) -> bytes:
    """A value, encoded.

    Raises:
        TypeError: it, or a part of it, does not cross by value.
        ValueError: it would, but for its content (a lone surrogate, a huge integer).
    """
    parts: Parts = []
    _dump(value, parts)
    return b"".join(parts)


def _dump(value: Any, parts: Parts) -> None:
    encode = _ENCODERS.get(type(value))
    if encode is None:
        raise TypeError(f"cannot dump {value}")
    encode(value, parts)


def _sized(size: int, short: tuple[bytes, ...], long: bytes, longest: bytes) -> bytes:
    """How what has so many bytes, or items, begins."""
    if size < len(short):
        return short[size]
    return long + I1.pack(size) if size < 256 else longest + I4.pack(size)


def _dump_int(value: int, parts: Parts) -> None:
    encoded = _INTEGERS.get(value)
    if encoded is None:
        digits = str(value).encode()
        encoded = _sized(len(digits), (), TAG_INT_L1, TAG_INT_L4) + digits
    parts.append(encoded)


def _dump_bytes(value: bytes, parts: Parts) -> None:
    parts.append(_sized(len(value), _SHORT_BYTES, TAG_STR_L1, TAG_STR_L4) + value)


def _dump_str(value: str, parts: Parts) -> None:
    parts.append(TAG_UNICODE)
    _dump_bytes(value.encode(), parts)


def _dump_tuple(value: tuple[object, ...], parts: Parts) -> None:
    parts.append(_sized(len(value), _SHORT_TUPLES, TAG_TUP_L1, TAG_TUP_L4))
    for item in value:
        _dump(item, parts)


def _dump_frozenset(value: frozenset[object], parts: Parts) -> None:
    parts.append(TAG_FSET)
    _dump_tuple(tuple(value), parts)


def _dump_slice(value: slice, parts: Parts) -> None:
    parts.append(TAG_SLICE)
    _dump_tuple((value.start, value.stop, value.step), parts)


_ENCODERS: dict[type, Callable[[Any, Parts], None]] = {
    type(None): lambda _value, parts: parts.append(TAG_NONE),
    type(NotImplemented): lambda _value, parts: parts.append(TAG_NOT_IMPLEMENTED),
    type(Ellipsis): lambda _value, parts: parts.append(TAG_ELLIPSIS),
    bool: lambda value, parts: parts.append(TAG_TRUE if value else TAG_FALSE),
    int: _dump_int,
    float: lambda value, parts: parts.append(TAG_FLOAT + F8.pack(value)),
    complex: lambda value, parts: parts.append(TAG_COMPLEX + C16.pack(value.real, value.imag)),
    bytes: _dump_bytes,
    str: _dump_str,
    tuple: _dump_tuple,
    frozenset: _dump_frozenset,
    slice: _dump_slice,
}


def dumpable(value: object) -> bool:
    """Whether it crosses by value, whatever its content."""
    kind = type(value)
    if isinstance(value, tuple | frozenset) and kind in _ENCODERS:
        return all(map(dumpable, value))
    if isinstance(value, slice):
        return dumpable((value.start, value.stop, value.step))
    return kind in _ENCODERS


# -- decoding ------------------------------------------------------------------------


def load(stream: Stream) -> Any:
    """The next value of a stream.

    It checks nothing: what wrong bytes raise can be anything at all, and a few of them can ask
    for much work.
    """
    tag = stream.read(1)
    value = _CONSTANTS.get(tag, tag)
    return value if value is not tag else _DECODERS[tag](stream)


def _items(stream: Stream, size: int) -> tuple[Any, ...]:
    return tuple([load(stream) for _ in range(size)])


def _slice(start: object, stop: object, step: object) -> slice[Any, Any, Any]:
    return slice(start, stop, step)


def _size(stream: Stream, form: struct.Struct) -> int:
    size: int = form.unpack(stream.read(form.size))[0]
    return size


_CONSTANTS: dict[bytes, Any] = {
    TAG_NONE: None,
    TAG_NOT_IMPLEMENTED: NotImplemented,
    TAG_ELLIPSIS: Ellipsis,
    TAG_TRUE: True,
    TAG_FALSE: False,
    TAG_EMPTY_STR: b"",
    TAG_EMPTY_TUPLE: (),
    **{encoded: number for number, encoded in _INTEGERS.items()},
}

_DECODERS: dict[bytes, Callable[[Stream], Any]] = {
    TAG_FLOAT: lambda stream: F8.unpack(stream.read(8))[0],
    TAG_COMPLEX: lambda stream: complex(*C16.unpack(stream.read(16))),
    TAG_STR1: lambda stream: stream.read(1),
    TAG_STR2: lambda stream: stream.read(2),
    TAG_STR3: lambda stream: stream.read(3),
    TAG_STR4: lambda stream: stream.read(4),
    TAG_STR_L1: lambda stream: stream.read(_size(stream, I1)),
    TAG_STR_L4: lambda stream: stream.read(_size(stream, I4)),
    TAG_UNICODE: lambda stream: load(stream).decode("utf-8"),
    TAG_TUP1: lambda stream: (load(stream),),
    TAG_TUP2: lambda stream: (load(stream), load(stream)),
    TAG_TUP3: lambda stream: (load(stream), load(stream), load(stream)),
    TAG_TUP4: lambda stream: (load(stream), load(stream), load(stream), load(stream)),
    TAG_TUP_L1: lambda stream: _items(stream, _size(stream, I1)),
    TAG_TUP_L4: lambda stream: _items(stream, _size(stream, I4)),
    TAG_INT_L1: lambda stream: int(stream.read(_size(stream, I1))),
    TAG_INT_L4: lambda stream: int(stream.read(_size(stream, I4))),
    TAG_SLICE: lambda stream: _slice(*load(stream)),
    TAG_FSET: lambda stream: frozenset(load(stream)),
}
