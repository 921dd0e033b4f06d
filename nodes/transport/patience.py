"""How long a peer may be silent, or slow. No sockets, and the clock is passed in."""

from __future__ import annotations

from nodes.transport.limits import Limits


class Patience:
    """Judges a peer by what it sends and what it takes.

    Args:
        limits: of the connection.
        now: when it was made; monotonic, seconds, as all times.

    Attributes:
        since: when the connection was made, or the peer last heard of.
        has_spoken: whether anything ever came from the peer.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self.since = now
        self._limits = limits
        self.has_spoken = False
        self._partial_since: float | None = None
        self._to_be_taken: tuple[float, int] | None = None

    @property
    def stalled_since(self) -> float | None:
        """Since when the rest of a frame, or that the peer takes what it was sent, is waited for;
        None if neither is.
        """
        taken = None if self._to_be_taken is None else self._to_be_taken[0]
        if taken is None or self._partial_since is None:
            return self._partial_since if taken is None else taken
        return min(taken, self._partial_since)

    def heard(self, now: float, *, partial: bool, whole: bool) -> None:
        """Bytes came from the peer.

        Args:
            now: the time.
            partial: whether there is a frame of which the rest has to come.
            whole: whether another came to its end, so that this one has begun since.
        """
        self.since = now
        self.has_spoken = True
        if not partial:
            self._partial_since = None
        elif whole or self._partial_since is None:
            self._partial_since = now

    def overdue(self, now: float, *, sent: int, unsent: int, busy: bool, reading: bool) -> str:
        """Why the peer is too slow to be kept, "" if it is not.

        Args:
            now: the time.
            sent: bytes that were ever sent to it.
            unsent: those of them that it has not taken. What is there at one look has to be taken
                within the time of a frame, whatever is added.
            busy: whether a request of its is being answered.
            reading: whether anything is read from it now; if not, the rest of a frame may be
                on its way for as long as that.
        """
        limits = self._limits
        if self._partial_since is not None and not reading:
            self._partial_since = now
        if self._partial_since is not None and now - self._partial_since > limits.frame:
            return "a frame that does not end"
        if not unsent:
            self._to_be_taken = None
        elif self._to_be_taken is None or sent - unsent >= self._to_be_taken[1]:
            self._to_be_taken = (now, sent)
        elif now - self._to_be_taken[0] > limits.frame:
            return "answers that it does not take"
        silence = limits.idle if self.has_spoken else limits.first_byte
        if not busy and not unsent and now - self.since > silence:
            return "silent"
        return ""
