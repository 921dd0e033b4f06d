"""The direct clients of a process that ask the same cluster: one underneath, for all of them.

They share its list of workers, its connections, and what it knows of who is how busy.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future, InvalidStateError

from nodes.client.direct import DirectClient
from nodes.dispatch.call import Answer
from nodes.errors import MasterLost
from nodes.support import forks
from nodes.wire import Envelope

CLOSED = "this client is closed"


class _Shared:
    """A direct client, and by whom it is held."""

    def __init__(self, direct: DirectClient) -> None:
        self.direct = direct
        self.holders: set[object] = set()
        self.let_go = False


class _Table:
    """All that this process has, by what each is the same in."""

    def __init__(self) -> None:
        self._shared: dict[Hashable, _Shared] = {}
        self.renew()
        forks.enlist(self)

    def renew(self) -> None:
        """In a forked child: the lock may be another thread's, which is not there."""
        # Garbage may be collected, and with it who holds one, while this thread has the lock.
        self._lock = threading.RLock()

    def hold(self, key: Hashable, make: Callable[[], DirectClient], holder: object) -> _Shared:
        """The one of that key, held from now on."""
        with self._lock:
            shared = self._shared.get(key)
            if shared is not None:
                shared.holders.add(holder)
            if shared is None or shared.let_go:
                shared = _Shared(make())
                shared.holders.add(holder)
                self._shared[key] = shared
            return shared

    def let_go(self, key: Hashable, shared: _Shared, holder: object) -> bool:
        """Holds it no more. Whether that was the last."""
        with self._lock:
            shared.holders.discard(holder)
            if shared.holders or shared.let_go:
                return False
            shared.let_go = True
            if self._shared.get(key) is shared:
                del self._shared[key]
            return True


_table = _Table()


class DirectShare:
    """A client's share in the direct client that this process has of a cluster. It ends when it is
    closed, or nobody holds it any more; with the last one ends what they share.

    Args:
        key: what is the same for all who share: the master, the token, the certificates.
        make: makes it, for the first of them.

    Raises:
        StartError: see `DirectClient`.
    """

    def __init__(self, key: Hashable, make: Callable[[], DirectClient]) -> None:
        holder = object()
        self._shared = _table.hold(key, make, holder)
        self._open: DirectClient | None = self._shared.direct
        self._under_way: set[Future[Answer]] = set()
        self._last = functools.partial(_table.let_go, key, self._shared, holder)
        self._end = weakref.finalize(self, _forget, self._last, self._shared.direct)
        self._end.atexit = False

    @property
    def direct(self) -> DirectClient:
        """What is shared. Raises `MasterLost`: this share is closed."""
        if self._open is None:
            raise MasterLost(CLOSED)
        return self._open

    def page(
        self,
        name: str,
        args: tuple[str | float, ...],
        *,
        limit: int,
        after: str | None,
        timeout: float,
    ) -> Envelope:
        """See `DirectClient.page`."""
        return (self._open or self.direct).page(
            name, args, limit=limit, after=after, timeout=timeout, under_way=self._under_way
        )

    def many(self, text: str, *, limit: int, timeout: float) -> bytes:
        """See `DirectClient.many`."""
        return self.direct.many(text, limit=limit, timeout=timeout)

    def close(self) -> None:
        """Ends it; what is under way in other threads ends with an error."""
        self._open = None
        if self._end.detach() is None:
            return
        if self._last():
            self._shared.direct.close()
        for outcome in list(self._under_way):
            with contextlib.suppress(InvalidStateError):  # it has just ended
                outcome.set_exception(MasterLost(CLOSED))


def _forget(last: Callable[[], bool], direct: DirectClient) -> None:
    if last():
        direct.let_go()
