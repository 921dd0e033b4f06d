"""RPyC's framing, bounded: bytes in, whole frames out. No sockets, no clock.

A frame is a header (payload length, then 1 if zlib-compressed), the payload, and a
newline: see ``rpyc.core.channel``.
"""

from __future__ import annotations

import struct
import zlib

HEADER = struct.Struct("!LB")
TRAILER = b"\n"
WRAPPING = HEADER.size + len(TRAILER)

TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""How TLS's alerts and handshakes begin: what one end hears when only the other uses TLS."""


class Broken(Exception):  # noqa: N818 - a statement about the bytes, caught within this package
    """The bytes are not a frame, or not a message, that we would ever accept."""


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
        most: bytes; the largest payload accepted, before and after inflating.

    Attributes:
        held: bytes of which no payload was made yet.
    """

    __slots__ = ("_most", "held")

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.held += data

    def take(self, data: bytes) -> bytes | None:
        """`feed` and `next` in one."""
        size = len(data) - WRAPPING
        # One frame, whole, and nothing else: what nearly every read gives.
        whole = 0 < size <= self._most and data.startswith(HEADER.pack(size, 0))
        if whole and not self.held and data.endswith(TRAILER):
            return data[HEADER.size : -1]
        self.feed(data)
        return self.next()

    def next(self) -> bytes | None:
        """The next whole payload, or None until more bytes are fed.

        Raises:
            Broken: the stream holds no frame here; it cannot be read any further.
        """
        buffer = self.held
        if len(buffer) < HEADER.size:
            return None
        length, squeezed = HEADER.unpack_from(buffer)
        # Judged from the header alone, so that a claim of 4 GB costs five bytes.
        if not 0 < length <= self._most or squeezed > 1:
            if buffer[:2] in TLS_RECORDS:
                raise Broken("the peer uses TLS, and this end does not")
            raise Broken(f"not a frame header: {bytes(buffer[: HEADER.size])!r}")
        end = HEADER.size + length
        if len(buffer) <= end:
            return None
        if buffer[end : end + 1] != TRAILER:
            raise Broken("a frame without its end mark")
        payload = bytes(buffer[HEADER.size : end])
        del buffer[: end + 1]
        return inflate(payload, self._most) if squeezed else payload


def inflate(data: bytes, most: int) -> bytes:
    """Undo zlib, never producing more than `most` bytes.

    Raises:
        Broken: not zlib, cut short, followed by something, empty, or too large.
    """
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(data, most + 1)
    except zlib.error as exc:
        raise Broken(f"not a compressed frame: {exc}") from exc
    if len(payload) > most:
        raise Broken(f"a compressed frame of more than {most} bytes")
    if not payload or not inflater.eof or inflater.unused_data:
        raise Broken("a compressed frame cut short or with bytes to spare")
    return payload
