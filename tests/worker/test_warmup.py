"""A worker is warm before it is up."""

from __future__ import annotations

from nodes.catalog import ensure_catalog, open_catalog
from nodes.support.paths import shipped_data
from nodes.support.slices import finish
from nodes.transport import shortcuts
from nodes.wire import NOTHING_FOUND
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.counters import Counters
from nodes.worker.service import Lookups
from nodes.worker.warmup import ROUNDS, warm_up


class RecordedLookups(Lookups):
    """Remembers what was asked, and whether records were found."""

    def __init__(self, versions: CatalogVersions) -> None:
        super().__init__(versions, Counters())
        self.found: dict[object, list[bool]] = {}

    def ask_fast(self, arguments: bytes) -> bytes | None:
        part = super().ask_fast(arguments)
        [name, *_] = shortcuts.short_arguments(arguments) or [""]
        self.found.setdefault(name, []).append(part is None or not part.startswith(NOTHING_FOUND))
        return part


def test_every_lookup_is_answered_some_times_and_counted_nowhere() -> None:
    catalog = open_catalog(ensure_catalog(shipped_data()).path)
    versions = CatalogVersions(catalog)
    lookups = RecordedLookups(versions)
    try:
        finish(warm_up(lookups, versions))
        report = lookups.probe()
    finally:
        versions.close()
        catalog.close()
    assert set(lookups.found) == {"getbyname", "getbylocation", "getbyyear"}
    assert {len(asked) for asked in lookups.found.values()} == {ROUNDS}
    assert all(lookups.found["getbyname"])
    assert isinstance(report, tuple)
    assert report[:3] == (0, 0, 0)
