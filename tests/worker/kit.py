"""Helpers: records that take several parts to fetch, and a watch over the parts that are asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from nodes.cluster import HostedCluster
from nodes.master.catalog_offers import CatalogPart
from tests.catalog.large_data import write_people
from tests.kit import poll_for

PART_BYTES = 32 << 10
RECORDS = 3000


def people(folder: Path, records: int = RECORDS) -> Path:
    """A dataset whose catalog takes some parts; returns its folder."""
    folder.mkdir(exist_ok=True)
    write_people(folder / "people.jsonl", records)
    (folder / "dataset.toml").write_text('name = "people"\nfiles = ["people.jsonl"]\n')
    return folder


class WatchedParts:
    """The parts of catalogs that are asked of a master, which are small from now on.

    Args:
        cluster: the master's.
        held_from: the byte from which parts are held back until `release`; None for none.
        change: called with a part's number (from 1) and its bytes, for what is sent in its place;
            it may raise.

    Attributes:
        asked: the offsets, in order.
    """

    def __init__(
        self,
        cluster: HostedCluster,
        *,
        held_from: int | None = None,
        change: Callable[[int, bytes], bytes] = lambda _number, data: data,
    ) -> None:
        self.asked: list[int] = []
        self.size = cluster.fleet.catalog.info.bytes
        self._held_from = held_from
        self._released = threading.Event()
        catalogs = cluster.master.catalogs
        catalogs.part_bytes = PART_BYTES
        part = catalogs.part

        async def watched(version: str, offset: int) -> CatalogPart:
            self.asked.append(offset)
            number = len(self.asked)
            while self.holds(offset):
                await asyncio.sleep(0.005)
            return CatalogPart(change(number, (await part(version, offset)).data))

        catalogs.part = watched  # type: ignore[method-assign]

    def holds(self, offset: int) -> bool:
        """Whether that part is held back."""
        held = self._held_from
        return held is not None and offset >= held and not self._released.is_set()

    def wait_held(self) -> None:
        """Waits until a part is held back."""
        poll_for(lambda: any(self.holds(offset) for offset in self.asked))

    def release(self) -> None:
        """Holds nothing back any more."""
        self._released.set()

    @property
    def each_once(self) -> list[int]:
        """The offsets of all parts there are."""
        return list(range(0, self.size, PART_BYTES))
