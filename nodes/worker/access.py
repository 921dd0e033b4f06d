"""Who may ask a worker, and what: told by the secrets that a peer shows."""

from __future__ import annotations

import hmac

from nodes.wire import direct_key, instance_proof

MAX_CHALLENGE_CHARS = 64


class WorkerAccess:
    """What the peers of a worker may ask, by the secrets they show.

    Args:
        instance: the secret that only the worker, its master and its launcher know.

    Attributes:
        is_open: whether anyone may ask lookups. The master says so when the worker registers;
            until then, nobody else is answered.
    """

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self.is_open = False
        self._direct_key = direct_key(instance)

    def proof(self, challenge: object) -> str:
        """What shows that this is the worker that knows its secret; "" for what is no challenge."""
        if type(challenge) is not str or not 0 < len(challenge) <= MAX_CHALLENGE_CHARS:
            return ""
        return instance_proof(self.instance, challenge) if challenge.isascii() else ""

    def is_direct_client(self, key: object) -> bool:
        """Whether that is the key which the master gives to clients that may ask lookups."""
        return _same(key, self._direct_key)


def _same(given: object, secret: str) -> bool:
    """Compares in constant time; anything but a str is wrong."""
    return type(given) is str and hmac.compare_digest(
        given.encode("utf-8", "replace"), secret.encode()
    )
