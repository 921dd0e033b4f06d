"""Which catalog is served: decided from what workers have and what the launcher says, no I/O."""

from __future__ import annotations

from collections import Counter

import msgspec

from nodes.catalog import Lookup
from nodes.errors import Conflict
from nodes.routing import Registry, State
from nodes.wire import Description

SUCCESSION_S = 3.0
"""Seconds that a master whose dataset nobody fixed waits for a worker with the catalog it served,
before it serves that of others which are there: workers that lost it register again in less."""


class ServedCatalog:
    """What is served now. Not thread-safe, as the registry.

    Args:
        registry: told which versions are served.
        description: what the workers to come will serve, if it is known before the first.

    Attributes:
        description: what is served, None while nobody has said so.
        lookups: that can be asked, by name.
        fixed: whether that is the launcher's to say, and no worker's.
    """

    def __init__(self, registry: Registry, description: Description | None) -> None:
        self._registry = registry
        self._offered: dict[str, Description] = {}
        self._unserved_since: float | None = None
        self.description: Description | None = None
        self.lookups: dict[str, Lookup] = {}
        self.fixed = False
        if description is not None:
            self._describe(description)

    def _describe(self, description: Description) -> None:
        self.description = description
        self.lookups = {
            one.name: Lookup(**msgspec.structs.asdict(one)) for one in description.lookups
        }

    def check(self, offered: Description) -> None:
        """Raises `Conflict` for a catalog of another dataset."""
        live = self._registry.live()
        if self.description is None or not (live or self.fixed):
            return
        if self.description.dataset != offered.dataset:
            alive = f" ({live[0].id} is alive)" if live else ""
            raise Conflict(
                f"this cluster serves the dataset {self.description.dataset!r}{alive}, "
                f"not {offered.dataset!r}"
            )

    def offer(self, catalog: Description, now: float) -> None:
        """A worker is about to register that has that catalog: the first one's is served."""
        there = {worker.version for worker in self._registry.live()}
        self._offered = {v: one for v, one in self._offered.items() if v in there}
        self._offered[catalog.version] = catalog
        if not self.fixed and (self.description is None or not self._registry.live()):
            self.serve(catalog, now)

    def serve(self, description: Description, now: float) -> None:
        """That is what is served from now on; a worker with another gets no lookups."""
        self._describe(description)
        self._registry.serve([description.version], now)

    def accept(self, version: str, now: float) -> None:
        """Workers are about to switch to that version: both are served until all have."""
        present = [] if self.description is None else [self.description.version]
        self._registry.serve([version, *present], now)

    def succeed(self, now: float) -> Description | None:
        """Where no worker is left that has what is served, and others are there: theirs is served,
        if it is nobody's to say what should be. Returns it if it is another from now on.
        """
        live = self._registry.live()
        waiting = [one.version for one in live if one.state is State.UNREADY]
        if self.fixed or self._registry.available or not waiting:
            self._unserved_since = None
            return None
        if self._unserved_since is None:
            self._unserved_since = now
        leaving = any(one.state is State.DRAINING for one in live)
        if not leaving and now - self._unserved_since < SUCCESSION_S:
            return None
        [(version, _)] = Counter(waiting).most_common(1)
        following = self._offered.get(version)
        if following is not None:
            self.serve(following, now)
        return following
