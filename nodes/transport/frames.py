"""RPyC's framing, bounded: bytes in, whole frames out. No sockets, no clock.

A frame is a header (payload length, then 1 if zlib-compressed), the payload, and a
newline: see ``rpyc.core.channel``.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

HEADER = struct.Struct("!LB")
TRAILER = b"\n"
NEWLINE = TRAILER[0]
FRAME_OVERHEAD_BYTES = HEADER.size + len(TRAILER)

TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""How TLS's alerts and handshakes begin: what one end hears when only the other uses TLS."""


MAX_SKIPPED_BYTES = 64 * 1024 * 1024
"""Bytes of the largest frame that is skipped where one is too large; who claims to send more is
hung up on."""

SKIPPED_HEAD_BYTES = 64
"""Of a payload that is skipped, what is kept: enough to tell which request it is."""


class MalformedError(Exception):
    """The bytes are no frame, or no message, that we would ever accept.

    Caught within this package: an asking caller sees a `ProtocolError`, and an answering
    end hangs up.
    """


class TooLargeError(MalformedError):
    """A frame, or a message, that may be sound, and is larger than is accepted."""


def frame(*parts: bytes) -> bytes:
    """Join the parts of one payload into one uncompressed frame.

    Compression saves nothing on a local link and costs the receiver a bound to
    check, so this side never compresses.

    Raises:
        struct.error: the payload is 4 GiB or more.
    """
    return b"".join((HEADER.pack(sum(map(len, parts)), 0), *parts, TRAILER))


class Skipped(NamedTuple):
    """A frame that was not kept.

    Attributes:
        head: how its payload begins.
        too_large: whether it was larger than is accepted; if not, there was no room for it.
    """

    head: bytes
    too_large: bool


class FrameReader:
    """Cuts a stream of bytes into payloads, however the bytes were split on the way.

    Args:
        max_bytes: bytes; the largest payload accepted, before and after inflating.
        skips: whether a frame that is too large is skipped, and the stream read on.

    Attributes:
        buffered: bytes of which no payload was made yet.
        skipped: frames that were not kept, since they were last asked for.
    """

    __slots__ = ("_to_skip", "_too_large", "buffered", "max_bytes", "skipped", "skips")

    def __init__(self, max_bytes: int, *, skips: bool = False) -> None:
        self.max_bytes = max_bytes
        self.skips = skips
        self.buffered = bytearray()
        self.skipped: list[Skipped] = []
        self._to_skip = 0
        self._too_large = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._to_skip:
            size = min(len(data), self._to_skip)
            data = data[size:]
            self._to_skip -= size
            if not self._to_skip:
                self._end_skipping()
        self.buffered += data

    def skip(self) -> None:
        """Does not keep the frame of which a part has come, its head apart."""
        buffer = self.buffered
        if not self._to_skip and len(buffer) >= HEADER.size + SKIPPED_HEAD_BYTES:
            length, _squeezed = HEADER.unpack_from(buffer)
            self._begin_skipping(length, too_large=False)

    def _begin_skipping(self, length: int, *, too_large: bool) -> None:
        buffer = self.buffered
        end = HEADER.size + length + len(TRAILER)
        rest = bytes(buffer[end:])
        self._to_skip = max(0, end - len(buffer))
        self._too_large = too_large
        # What is kept tells that a frame has come in part.
        del buffer[HEADER.size + SKIPPED_HEAD_BYTES :]
        if not self._to_skip:
            self._end_skipping()
            buffer += rest

    def _end_skipping(self) -> None:
        head = bytes(self.buffered[HEADER.size :])
        if self.buffered[HEADER.size - 1]:
            head = inflated_head(head)
        self.skipped.append(Skipped(head, self._too_large))
        self.buffered.clear()

    def split(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream, and cut off the payloads that are whole.

        Raises:
            MalformedError: as `next`.
        """
        if self.buffered:
            self.feed(data)
            return self._split_buffered()
        payloads = []
        at, size = 0, len(data)
        while size - at > FRAME_OVERHEAD_BYTES:
            end = at + HEADER.size + int.from_bytes(data[at : at + 4])
            # What is not a plain frame, whole and within bounds, is looked at more closely.
            plain = end < size and not data[at + 4] and data[end] == NEWLINE
            if not plain or not HEADER.size < end - at <= self.max_bytes:
                break
            payloads.append(data[at + HEADER.size : end])
            at = end + 1
        if at < size:
            self.feed(data[at:] if at else data)
            payloads += self._split_buffered()
        return payloads

    def _split_buffered(self) -> list[bytes]:
        payloads = []
        while (payload := self.next()) is not None:
            payloads.append(payload)
        return payloads

    def take(self, data: bytes) -> bytes | None:
        """`feed` and `next` in one."""
        size = len(data) - FRAME_OVERHEAD_BYTES
        # One frame, whole, and nothing else: what nearly every read gives.
        whole = 0 < size <= self.max_bytes and data.startswith(HEADER.pack(size, 0))
        if whole and not self.buffered and data.endswith(TRAILER):
            return data[HEADER.size : -1]
        self.feed(data)
        return self.next()

    def next(self) -> bytes | None:
        """The next whole payload, or None until more bytes are fed.

        Raises:
            MalformedError: the stream holds no frame here; it cannot be read any further.
        """
        buffer = self.buffered
        if len(buffer) < HEADER.size or self._to_skip:
            return None
        length, squeezed = HEADER.unpack_from(buffer)
        # Judged from the header alone, so that a claim of 4 GB costs five bytes.
        if not 0 < length <= self.max_bytes or squeezed > 1:
            if self.skips and squeezed <= 1 and self.max_bytes < length <= MAX_SKIPPED_BYTES:
                if len(buffer) < HEADER.size + SKIPPED_HEAD_BYTES:
                    return None
                self._begin_skipping(length, too_large=True)
                return self.next()
            if buffer[:2] in TLS_RECORDS:
                raise MalformedError("the peer uses TLS, and this end does not")
            raise MalformedError(f"not a frame header: {bytes(buffer[: HEADER.size])!r}")
        end = HEADER.size + length
        if len(buffer) <= end:
            return None
        if buffer[end : end + 1] != TRAILER:
            raise MalformedError("a frame without its end mark")
        payload = bytes(buffer[HEADER.size : end])
        del buffer[: end + 1]
        if not squeezed:
            return payload
        try:
            return inflate(payload, self.max_bytes)
        except TooLargeError:
            if not self.skips:
                raise
            self.skipped.append(Skipped(inflated_head(payload), too_large=True))
            return self.next()


def inflated_head(data: bytes) -> bytes:
    """How a compressed payload begins, of which the beginning is given; empty if it is none."""
    try:
        return zlib.decompressobj().decompress(data, SKIPPED_HEAD_BYTES)
    except zlib.error:
        return b""


def inflate(data: bytes, max_bytes: int) -> bytes:
    """Undo zlib, never producing more than `max_bytes` bytes.

    Raises:
        MalformedError: not zlib, cut short, followed by something, empty, or (`TooLargeError`)
            too large.
    """
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(data, max_bytes + 1)
    except zlib.error as exc:
        raise MalformedError(f"not a compressed frame: {exc}") from exc
    if len(payload) > max_bytes:
        raise TooLargeError(f"a compressed frame of more than {max_bytes} bytes")
    if not payload or not inflater.eof or inflater.unused_data:
        raise MalformedError("a compressed frame cut short or with bytes to spare")
    return payload
