"""The format of a recording: a sequence of blocks, each readable without the others.

A block is a header and the snapshots of about a minute, in MessagePack, compressed. The header
has a checksum of its own: where a block is damaged, or was cut off by a crash, the next one is
found by its header. So whatever happens to a byte costs the block that it is in, and no other.
"""

from __future__ import annotations

import lzma
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from nodes.errors import DataError
from nodes.wire import ClusterSnapshot

MAGIC = b"\x89RCR"
FORMAT_VERSION = 1
"""What a header begins with. Another version may have another payload, never another header."""

_FIELDS = struct.Struct(">4sHddIII")
_CHECKSUM = struct.Struct(">I")
HEADER_BYTES = _FIELDS.size + _CHECKSUM.size

MAX_PAYLOAD_BYTES = 1 << 24
MAX_SNAPSHOTS_BYTES = 1 << 28
"""Bytes of a payload at most, compressed and not: a file may be anybody's."""

_SCAN_BYTES = 1 << 16

# It looks back by 1 MiB, and so finds what is as it was a second ago, with hundreds of workers as
# well. zlib looks back by 32 KiB.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 1}]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[ClusterSnapshot, ...]).decode
_decode_one = msgspec.msgpack.Decoder(ClusterSnapshot).decode
_split = msgspec.msgpack.Decoder(tuple[msgspec.Raw, ...]).decode


class Block(NamedTuple):
    """A block, as its header tells of it.

    Attributes:
        offset: where in the file it begins.
        version: of its payload's format.
        start, end: Unix time in seconds of its first and its last snapshot.
        snapshots: how many it has.
        length: bytes of its payload.
        checksum: of its payload.
    """

    offset: int
    version: int
    start: float
    end: float
    snapshots: int
    length: int
    checksum: int

    @property
    def payload_at(self) -> int:
        """Where in the file its payload begins."""
        return self.offset + HEADER_BYTES

    @property
    def stop(self) -> int:
        """Where in the file it ends."""
        return self.payload_at + self.length

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return HEADER_BYTES + self.length


class EncodedSnapshot(NamedTuple):
    """A snapshot in MessagePack, and its time."""

    taken_at: float
    data: bytes


def encode_snapshot(snapshot: ClusterSnapshot) -> EncodedSnapshot:
    """A snapshot as it will be in its block."""
    return EncodedSnapshot(snapshot.taken_at, _encode(snapshot))


def encode_block(snapshots: Sequence[EncodedSnapshot], *, version: int = FORMAT_VERSION) -> bytes:
    """One block of these snapshots, in the order of their times.

    Args:
        snapshots: one or more.
        version: what the header says of the format.
    """
    ordered = sorted(snapshots, key=lambda snapshot: snapshot.taken_at)
    array = _encode([msgspec.Raw(snapshot.data) for snapshot in ordered])
    payload = lzma.compress(array, lzma.FORMAT_RAW, filters=_FILTERS)
    fields = _FIELDS.pack(
        MAGIC,
        version,
        ordered[0].taken_at,
        ordered[-1].taken_at,
        len(ordered),
        len(payload),
        zlib.crc32(payload),
    )
    return fields + _CHECKSUM.pack(zlib.crc32(fields)) + payload


def read_block(file: BinaryIO, block: Block, every: int = 1) -> tuple[ClusterSnapshot, ...]:
    """The snapshots of a block, oldest first.

    Args:
        file: that it is in.
        block: see `find_blocks`.
        every: how many there are to each one that is wanted; the last is always one of those.

    Raises:
        DataError: it is damaged, cut off, or of another version; says which.
        OSError: the file cannot be read.
    """
    if block.version != FORMAT_VERSION:
        raise DataError(other_version(block.version))
    file.seek(block.payload_at)
    payload = file.read(block.length)
    if len(payload) != block.length or zlib.crc32(payload) != block.checksum:
        raise DataError("a block of the recording is damaged")
    try:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
        data = decompressor.decompress(payload, MAX_SNAPSHOTS_BYTES)
        if every == 1:
            return _decode(data)
        # Most of the time of reading goes into what is made of the bytes.
        return tuple(map(_decode_one, reversed(_split(data)[::-every])))
    except (lzma.LZMAError, EOFError) as error:
        raise DataError("a block of the recording is damaged") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        # The bytes are those that were written: it is the snapshots that were others.
        raise DataError(
            "the recording has snapshots of another version of Rollcall, which this one does not "
            f"know: {error}"
        ) from error


def other_version(version: int) -> str:
    """What is to be said of a block of that format's version."""
    age = "a newer" if version > FORMAT_VERSION else "an older"
    return (
        f"the recording was written by {age} version of Rollcall (format {version}, and this one "
        f"reads {FORMAT_VERSION}): read it with that version"
    )


def find_blocks(file: BinaryIO) -> Iterator[Block]:
    """Every block of a file with a header that is whole, in the order in which they lie there.

    Nothing is said of their payloads: they are not read.

    Raises:
        OSError: the file cannot be read.
    """
    end = file.seek(0, 2)
    at = _find_magic(file, 0, end)
    while at is not None:
        block = _header(file, at)
        if block is None:
            at = _find_magic(file, at + 1, end)
            continue
        if block.stop <= end:
            yield block
        if block.stop == end or _header(file, block.stop) is not None:
            at = block.stop
        else:
            # It was cut off before others were appended, or what follows it is damaged.
            at = _find_magic(file, block.payload_at, end)


def is_recording(path: Path) -> bool:
    """Whether a file has a block, or is empty. Raises `OSError`."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return not file.seek(0, 2) or next(find_blocks(file), None) is not None


def _header(file: BinaryIO, at: int) -> Block | None:
    file.seek(at)
    data = file.read(HEADER_BYTES)
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    fields = data[: _FIELDS.size]
    if _CHECKSUM.unpack(data[_FIELDS.size :]) != (zlib.crc32(fields),):
        return None
    _magic, version, start, end, snapshots, length, checksum = _FIELDS.unpack(fields)
    if not -math.inf < start <= end < math.inf or not 0 < length <= MAX_PAYLOAD_BYTES:
        return None
    return Block(at, version, start, end, snapshots, length, checksum)


def _find_magic(file: BinaryIO, start: int, end: int) -> int | None:
    """Where the next header may begin, from `start` on and before `end`."""
    while start + HEADER_BYTES <= end:
        file.seek(start)
        chunk = file.read(_SCAN_BYTES)
        found = chunk.find(MAGIC)
        if found >= 0:
            return start + found
        start += max(1, len(chunk) - len(MAGIC) + 1)
    return None
