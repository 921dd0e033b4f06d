"""What goes out on a connection: frames that belong together are sent in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MAX_UNSENT_BYTES = 1 << 20
"""Bytes of answers that a peer has not taken, above which nothing more is read from it."""


class FrameWriter:
    """Writes frames to a transport, and holds them back while more are about to come.

    Args:
        call_soon: the event loop's.

    Attributes:
        holding: whether frames are held back at present, until `release`.
        held_bytes: of those.
        sent_bytes: handed to the transport so far.
    """

    __slots__ = ("_call_soon", "_held", "_transport", "held_bytes", "holding", "sent_bytes")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
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
        """Nothing more is sent, not even what is held back."""
        self._transport = None

    def write(self, frame: bytes) -> None:
        """Sends a frame, or holds it back until `release`."""
        if self.holding:
            self._held.append(frame)
            self.held_bytes += len(frame)
        elif self._transport is not None:
            self.sent_bytes += len(frame)
            self._transport.write(frame)

    def write_soon(self, frame: bytes) -> None:
        """Sends a frame once the event loop has done what is due now: what else that brings to be
        sent goes in the same write. The system takes longer over a write than we over a lookup.
        """
        if not self._held and not self.holding:
            self._call_soon(self.release)
        self._held.append(frame)
        self.held_bytes += len(frame)

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
