"""The workers that one call may be sent to next."""

from __future__ import annotations

from nodes.routing.balancer import key_now, pick
from nodes.routing.router import Router
from nodes.routing.worker import Worker


class Candidates:
    """The workers that one call may be sent to next.

    Args:
        router: what all calls share.
        version: of the catalog that should answer, if a worker still has it; "" for any.

    Attributes:
        tried: generations of the workers that were asked, and are not asked again.
        refused_by: the worker that found the request wrong; one with another catalog comes first.
    """

    __slots__ = ("_router", "_version", "refused_by", "tried")

    def __init__(self, router: Router, version: str) -> None:
        self._router = router
        self._version = version
        self.tried: set[int] = set()
        self.refused_by: Worker | None = None

    def pick(self, now: float, *, alone: bool) -> Worker | None:
        """The best of them, or None if there is none.

        Args:
            now: seconds.
            alone: whether the lookup may be deadly: no worker has two of those at a time.
        """
        router, refused_by = self._router, self.refused_by
        workers = router.registry.available
        if self._version:
            same = tuple(worker for worker in workers if worker.version == self._version)
            workers = same or workers
        if refused_by is not None:
            others = tuple(w for w in workers if w.version != refused_by.version)
            workers = others or workers
        if alone:
            workers = tuple(worker for worker in workers if not worker.has_suspect)
        return pick(workers, key_now(workers, router.policy, now), now, self.tried)

    def any_has_suspect(self) -> bool:
        """Whether one that was not tried has a lookup that may be deadly."""
        return any(
            worker.has_suspect and worker.generation not in self.tried
            for worker in self._router.registry.available
        )
