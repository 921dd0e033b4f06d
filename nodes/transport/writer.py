"""What goes out on a connection: frames that belong together are sent in one write."""

from __future__ import annotations

import asyncio

MAX_UNSENT_BYTES = 1 << 20
"""Bytes of answers that a peer has not taken, above which nothing more is read from it."""


class FrameWriter:
    """Writes frames to a transport, and holds them back while more are about to come.

    Attributes:
        holding: whether frames are held back at present; see `hold`.
        held_bytes: of those.
        sent_bytes: handed to the transport so far.
    """

    __slots__ = ("_held", "_transport", "held_bytes", "holding", "sent_bytes")

    def __init__(self) -> None:
        self.holding = False
        self.held_bytes = 0
        self.sent_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._held: list[bytes] = []

    def open(self, transport: asyncio.Transport) -> None:
        """That is where frames go from now on; before, and after `close`, they go nowhere."""
        transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        self._transport = transport

    def close(self) -> None:
        """Nothing more is sent."""
        self._transport = None

    def write(self, frame: bytes) -> None:
        """Sends a frame, or holds it back until `release`."""
        if self.holding:
            self._held.append(frame)
            self.held_bytes += len(frame)
        elif self._transport is not None:
            self.sent_bytes += len(frame)
            self._transport.write(frame)

    def hold(self) -> None:
        """Holds back what is written until `release`."""
        self.holding = True

    def release(self) -> None:
        """Sends what was held back, in one go."""
        self.holding = False
        held = self._held
        if held:
            self._held = []
            self.held_bytes = 0
            if self._transport is not None:
                data = held[0] if len(held) == 1 else b"".join(held)
                self.sent_bytes += len(data)
                self._transport.write(data)
