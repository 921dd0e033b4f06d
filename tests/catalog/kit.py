"""Helpers: write datasets, open their catalogs for lookups, and the plain scan to compare with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nodes.catalog import (
    Catalog,
    CatalogInfo,
    Lookup,
    Page,
    Reader,
    coerce,
    ensure_catalog,
    open_catalog,
)
from nodes.catalog.cache import SETTLE_NS
from nodes.support.slices import complete
from nodes.transport.loop import new_event_loop

Record = dict[str, Any]

CLASSIC = {
    "getbyname": ["name"],
    "getbylocation": ["location"],
    "getbyyear": ["location", "year"],
}


def person(name: str, location: str = "Oslo", year: int = 2001, **more: object) -> Record:
    """A record that the three classic lookups find."""
    return {"name": name, "location": location, "year": year, **more}


def write(folder: Path, files: Mapping[str, object]) -> Path:
    """Write files into the folder: text and bytes unchanged, other values as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8", newline="")
    return folder


def definition(lookups: Mapping[str, list[str]], **more: object) -> str:
    """The text of a `dataset.toml`; JSON strings and lists are valid TOML."""
    parts = [*more.items(), *(("lookups." + name, on) for name, on in lookups.items())]
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in parts]
    return "\n".join(lines) + "\n"


class Backing:
    """Where the catalogs that tests open have their records: one suite for all.

    Attributes:
        url_env: the variable that holds a store's URL; "" for files.
    """

    def __init__(self) -> None:
        self.url_env = ""

    def open(self, info: CatalogInfo) -> Catalog:
        """Opens a catalog that was built, after it was loaded if there is a store."""
        if not self.url_env:
            return open_catalog(info.path)
        from nodes.catalog.postgres.loading import load_catalog

        loaded = load_catalog(info, self.url_env, lambda _stage, _done, _total: None)
        return open_catalog(loaded.path)


backing = Backing()


class AskedReader:
    """A reader of any kind, asked from a thread that waits for the answers."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._runner = asyncio.Runner(loop_factory=new_event_loop)

    def find(
        self, lookup: str, args: Sequence[object], *, limit: int = 1000, start: int = 0
    ) -> Page:
        """One page."""
        asked = self._reader.find_in_slices(lookup, args, limit=limit, start=start, within=5.0)
        return self._runner.run(complete(asked))

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """A few values."""
        asked = self._reader.suggest_in_slices(field, prefix, limit=limit, within=5.0)
        return self._runner.run(complete(asked))

    def ping(self) -> None:
        """Reads for real: a busy machine may take its time, once or twice."""
        said = [self._runner.run(complete(self._reader.probe_in_slices()))]
        while said[-1] and len(said) < 3:
            said.append(self._runner.run(complete(self._reader.probe_in_slices())))
        assert said[-1] == "", said

    def close(self) -> None:
        """Closes it."""

        async def close() -> None:
            self._reader.close()

        self._runner.run(close())
        self._runner.close()


class OpenCatalog:
    """A catalog with one reader; it validates arguments first, as a worker does."""

    def __init__(self, catalog: Catalog, reader: AskedReader) -> None:
        self.info = catalog.info
        self.reader = reader
        self._lookups = {lookup.name: lookup for lookup in catalog.info.lookups}

    def lookup(self, name: str) -> Lookup:
        """The lookup of that name."""
        return self._lookups[name]

    def records(self, name: str, *args: object, limit: int = 1000) -> list[Record]:
        """All pages of an answer."""
        found: list[Record] = []
        start = 0
        while True:
            keys = coerce(self._lookups[name], args)
            page = self.reader.find(name, keys, limit=limit, start=start)
            part = json.loads(page.body)
            assert len(part) == page.count <= limit
            found += part
            if page.after is None:
                return found
            assert part, "a page that is not the last has records"
            start = page.after


@contextmanager
def opened(catalog: Catalog) -> Iterator[OpenCatalog]:
    """A catalog with a reader."""
    reader = AskedReader(catalog.reader())
    try:
        reader.ping()  # what it opens when it is first asked is open from here on
        yield OpenCatalog(catalog, reader)
    finally:
        reader.close()
        catalog.close()


@contextmanager
def catalog_of(
    data: Path, cache: Path | None = None, *, skip_bad: bool = False, settle_ns: int = SETTLE_NS
) -> Iterator[OpenCatalog]:
    """The catalog of `data`, built if necessary."""
    info = ensure_catalog(data, cache=cache, skip_bad=skip_bad, settle_ns=settle_ns)
    with opened(backing.open(info)) as catalog:
        yield catalog


def plain_scan(records: list[Record], fields: tuple[str, ...], args: tuple[Any, ...]) -> Any:
    """The expected answer of a lookup: the records with exactly these values, in order."""
    return [
        record
        for record in records
        if all(
            any(_equal(value, arg) for value in values_of(record, field))
            for field, arg in zip(fields, args, strict=True)
        )
    ]


def values_of(value: object, path: str) -> list[object]:
    """All values of a field: one, or those in a list, or of a field within."""
    if isinstance(value, list):
        return [one for part in value if isinstance(part, dict) for one in values_of(part, path)]
    if not isinstance(value, dict):
        return []
    if path in value:
        found = value[path]
        return found if isinstance(found, list) else [found]
    head, dot, rest = path.partition(".")
    return values_of(value.get(head), rest) if dot else []


def _equal(value: object, arg: object) -> bool:
    # In Python True == 1; in a lookup they differ.
    return value == arg and isinstance(value, str | int | float) and not isinstance(value, bool)


def catalogs(cache: Path) -> list[str]:
    """The names of all files in the cache's folder of catalogs, temporary ones too."""
    folder = cache / "catalogs"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
