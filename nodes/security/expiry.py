"""Warnings that certificates expire: in time, and not too often."""

from __future__ import annotations

import math

from nodes.support.units import counted

EXPIRES_SOON_S = 30 * 86400.0
"""Seconds before the expiry of a certificate at which the warnings begin."""

WARN_EVERY_S = 86400.0
"""Seconds between two warnings."""


class ExpiryWatch:
    """Decides when to warn that certificates expire. Pure; the clocks are passed in."""

    def __init__(self) -> None:
        self._next = -math.inf

    def due(self, expires_at: float | None, wall: float, now: float) -> str:
        """The warning that is due now, "" for none. There is one a day once the expiry is near.

        Args:
            expires_at: Unix time; certificates are judged by the wall's clock.
            wall: Unix time now.
            now: monotonic, in seconds.
        """
        soon = expiry(expires_at, wall)
        if not soon or now < self._next:
            return ""
        self._next = now + WARN_EVERY_S
        return f"{soon}; 'rollcall-nodes certs init --renew' makes new ones"


def expiry(expires_at: float | None, now: float) -> str:
    """Says that certificates expire soon; "" if they do not, or if there are none."""
    if expires_at is None or expires_at - now >= EXPIRES_SOON_S:
        return ""
    if expires_at <= now:
        return "certificates have expired"
    days = int((expires_at - now) / 86400)
    return f"certificates expire in {counted(days, 'day')}"
