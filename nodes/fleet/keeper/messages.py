"""What a launcher and a keeper say to each other, and the frames that carry it on a pipe."""

from __future__ import annotations

import os
from typing import IO, BinaryIO

import msgspec

from nodes.support.structs import ready

MAX_FRAME_BYTES = 4 << 20
"""Bytes of one message on the pipe at most."""

MAX_OUTPUT_BYTES = 16 << 10
"""Bytes of a worker's output in one message at most."""

LENGTH_BYTES = 4
"""How a frame begins: the length of the message, big-endian."""


@ready
class Start(msgspec.Struct, frozen=True, tag="start"):
    """Start a worker; it goes by `key` from then on.

    Attributes:
        arguments: of `rollcall-nodes`.
        secrets: what its standard input begins with.
    """

    key: int
    arguments: tuple[str, ...]
    secrets: bytes


@ready
class Signal(msgspec.Struct, frozen=True, tag="signal"):
    """Send a worker a signal."""

    key: int
    signal: int


@ready
class Tell(msgspec.Struct, frozen=True, tag="tell"):
    """Write more on every worker's standard input."""

    secrets: bytes


@ready
class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """The launcher is there; a keeper says the same in return."""


@ready
class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The keeper is there: what it says first.

    Attributes:
        version: of this program, as it has it.
        address: its machine's, as it is reached from here; "" if that cannot be told.
        launcher: the launcher's machine, as it is seen from there; "" if that cannot be told.
    """

    version: str
    address: str
    launcher: str


@ready
class Started(msgspec.Struct, frozen=True, tag="started"):
    """A worker's process is there."""

    key: int
    pid: int


@ready
class NotStarted(msgspec.Struct, frozen=True, tag="not_started"):
    """A worker cannot be started, and why."""

    key: int
    why: str


@ready
class Output(msgspec.Struct, frozen=True, tag="output"):
    """A worker printed that."""

    key: int
    data: bytes


@ready
class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """A worker's process ended; a negative status is the signal that ended it."""

    key: int
    status: int


Order = Start | Signal | Tell | Alive
"""From the launcher to the keeper."""

WorkerReport = Started | NotStarted | Output | Ended
"""What a keeper tells of a worker."""

Report = Hello | Alive | WorkerReport
"""From the keeper to the launcher."""

decode_order = msgspec.msgpack.Decoder(Order).decode
decode_report = msgspec.msgpack.Decoder(Report).decode
_encode = msgspec.msgpack.Encoder().encode


class BadFrameError(Exception):
    """The other end sent what is no message."""


def write_frame(file: IO[bytes], message: msgspec.Struct) -> None:
    """Writes one message.

    Raises:
        OSError: the other end is gone.
    """
    body = _encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError("a message that is too large")
    file.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
    file.flush()


def read_frame(file: IO[bytes]) -> bytes:
    """Reads one message's bytes, b"" at the end.

    Raises:
        BadFrameError: that is no message.
    """
    head = file.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return b""
    length = int.from_bytes(head, "big")
    if not 0 < length <= MAX_FRAME_BYTES:
        raise BadFrameError(f"a message of {length} bytes")
    body = file.read(length)
    return body if len(body) == length else b""


def own_stdout() -> BinaryIO:
    """The pipe that standard output is, for messages alone: whatever else prints goes to stderr."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe
