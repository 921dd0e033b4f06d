"""Opening catalogs, wherever they lie: a dataset's, found or built, and one that a text names."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nodes.catalog.cache import SETTLE_NS, compiled_catalog, ignore_progress
from nodes.catalog.dataset import load_dataset
from nodes.catalog.model import CatalogInfo, Progress
from nodes.catalog.protocol import Catalog
from nodes.catalog.sqlite_reader import SqliteCatalog
from nodes.catalog.store import names_store, parse_locator
from nodes.errors import DataError

NOT_INSTALLED = (
    "these records lie in PostgreSQL, and the library that asks it is not installed:"
    " pip install 'rollcall-console[postgres]'"
)


def ensure_catalog(
    data: Path,
    *,
    cache: Path | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
    force: bool = False,
    settle_ns: int = SETTLE_NS,
) -> CatalogInfo:
    """Find the catalog of a folder or file of records, or build it; where the folder's
    `dataset.toml` names a store, the newest that lies there.

    Args:
        data: A folder or a file of records.
        cache: The cache directory, by default the user's.
        skip_bad: Leave bad records out instead of failing.
        progress: Called as a build advances.
        force: Build even if nothing changed.
        settle_ns: The age from which a file's times can be trusted.

    Raises:
        DataError: The records cannot be used, or they change while they are read. Existing
            catalogs stay as they are.
        StoreDown: The store cannot be asked.
    """
    dataset = load_dataset(data)
    if dataset.store is not None:
        try:
            from nodes.catalog.postgres.opening import newest_catalog  # noqa: PLC0415 - as below
        except ImportError:
            raise DataError(NOT_INSTALLED) from None
        return newest_catalog(dataset)
    return compiled_catalog(
        dataset,
        data,
        cache=cache,
        skip_bad=skip_bad,
        progress=progress,
        force=force,
        settle_ns=settle_ns,
    )


def load_into_store(
    data: Path, *, skip_bad: bool = False, progress: Progress | None = None
) -> CatalogInfo:
    """Load the records of a folder into the store that its `dataset.toml` names.

    Args:
        data: The folder.
        skip_bad: Leave bad records out instead of failing.
        progress: Called as the build and the load advance.

    Returns:
        The catalog in the store.

    Raises:
        DataError: The records cannot be used, or there is no store to load them into.
        StoreDown: The store cannot be asked; nothing was changed there.
    """
    dataset = load_dataset(data)
    if dataset.store is None or dataset.store.is_live:
        raise DataError(
            f"{data}: its dataset.toml names no store to load records into: it takes [store] with"
            ' kind = "postgresql", mode = "versions" and url_env'
        )
    if not dataset.files:
        raise DataError(f"{data}: there are no files of records here to load")
    try:
        from nodes.catalog.postgres.loading import load_catalog  # noqa: PLC0415 - as below
    except ImportError:
        raise DataError(NOT_INSTALLED) from None
    built = compiled_catalog(dataset, data, skip_bad=skip_bad, progress=progress)
    return load_catalog(built, dataset.store.url_env, progress or ignore_progress)


def path_of_version(path: str, version: str) -> str:
    """Where a catalog of another version lies, if there is one.

    Args:
        path: The `CatalogInfo.path` of a catalog of the same dataset.
        version: The version.
    """
    if not names_store(path):
        return str(Path(path).with_name(f"{version}.db"))
    return str(msgspec.structs.replace(parse_locator(path), version=version))


def open_catalog(locator: str | Path) -> Catalog:
    """Open a catalog by its `CatalogInfo.path`.

    Args:
        locator: The path of a file, or the text that names a catalog in a store.

    Raises:
        DataError: It is missing or damaged.
        StoreDown: The store cannot be asked.
    """
    if not names_store(str(locator)):
        return SqliteCatalog.open(locator)
    try:
        # Only who reads from such a store needs the library that asks it.
        from nodes.catalog.postgres.opening import open_store_catalog  # noqa: PLC0415
    except ImportError:
        raise DataError(NOT_INSTALLED) from None
    return open_store_catalog(str(locator))
