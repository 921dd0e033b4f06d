"""What goes out on a connection: frames that belong together are sent in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MAX_UNSENT_BYTES = 1 << 20
"""Bytes of answers that a peer has not taken, above which nothing more is read from it."""


class FrameWriter:
    """Writes frames to a transport, and holds them back while more are about to come.

    Args:
        sent: told how many bytes were handed over, each time.

    Attributes:
        holding: whether frames are held back at present.
    """

    def __init__(self, sent: Callable[[int], None]) -> None:
        self.holding = False
        self._sent = sent
        self._transport: asyncio.Transport | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0

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
            self._held_bytes += len(frame)
        else:
            self._send(frame)

    def hold(self) -> None:
        """Holds back what is written until `release`."""
        self.holding = True

    def release(self) -> None:
        """Sends what was held back, in one go."""
        self.holding = False
        held, self._held, self._held_bytes = self._held, [], 0
        if held:
            self._send(held[0] if len(held) == 1 else b"".join(held))

    @property
    def full(self) -> bool:
        """Whether too much is held back for more to be added."""
        return self._held_bytes > MAX_UNSENT_BYTES

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._sent(len(data))
            self._transport.write(data)
