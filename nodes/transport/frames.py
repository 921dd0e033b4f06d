"""RPyC's framing, bounded: bytes in, whole frames out. No sockets, no clock.

A frame is a header (payload length, then 1 if zlib-compressed), the payload, and a
newline: see ``rpyc.core.channel``.
"""

from __future__ import annotations

import struct
import zlib

HEADER = struct.Struct("!LB")
TRAILER = b"\n"
NEWLINE = TRAILER[0]
FRAME_OVERHEAD_BYTES = HEADER.size + len(TRAILER)

TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""How TLS's alerts and handshakes begin: what one end hears when only the other uses TLS."""


class MalformedError(Exception):
    """The bytes are no frame, or no message, that we would ever accept.

    Caught within this package: an asking caller sees a `ProtocolError`, and an answering
    end hangs up.
    """


def frame(*parts: bytes) -> bytes:
    """Join the parts of one payload into one uncompressed frame.

    Compression saves nothing on a local link and costs the receiver a bound to
    check, so this side never compresses.

    Raises:
        struct.error: the payload is 4 GiB or more.
    """
    return b"".join((HEADER.pack(sum(map(len, parts)), 0), *parts, TRAILER))


class FrameReader:
    """Cuts a stream of bytes into payloads, however the bytes were split on the way.

    Args:
        max_bytes: bytes; the largest payload accepted, before and after inflating.

    Attributes:
        buffered: bytes of which no payload was made yet.
    """

    __slots__ = ("buffered", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.buffered = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.buffered += data

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
        if len(buffer) < HEADER.size:
            return None
        length, squeezed = HEADER.unpack_from(buffer)
        # Judged from the header alone, so that a claim of 4 GB costs five bytes.
        if not 0 < length <= self.max_bytes or squeezed > 1:
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
        return inflate(payload, self.max_bytes) if squeezed else payload


def inflate(data: bytes, max_bytes: int) -> bytes:
    """Undo zlib, never producing more than `max_bytes` bytes.

    Raises:
        MalformedError: not zlib, cut short, followed by something, empty, or too large.
    """
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(data, max_bytes + 1)
    except zlib.error as exc:
        raise MalformedError(f"not a compressed frame: {exc}") from exc
    if len(payload) > max_bytes:
        raise MalformedError(f"a compressed frame of more than {max_bytes} bytes")
    if not payload or not inflater.eof or inflater.unused_data:
        raise MalformedError("a compressed frame cut short or with bytes to spare")
    return payload
