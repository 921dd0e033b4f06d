"""Records in, lookups out.

`ensure_catalog` builds an indexed, read-only catalog from a folder or file of records, unless
it is in the cache, or finds the newest in a store; `open_catalog` opens it, and a `Reader` in each
thread answers lookups. `check_data` validates the records without building.

Imports `nodes.support` and `nodes.errors` only; any package above may import it.
"""

from __future__ import annotations

from nodes.catalog.arguments import Argument, coerce, usage
from nodes.catalog.check import check_data, propose_definition, write_definition
from nodes.catalog.keeping import Kept, keep_in_place
from nodes.catalog.model import ANY, EXACT, PREFIX, CatalogInfo, Lookup, Page, Progress
from nodes.catalog.opening import (
    ensure_catalog,
    load_into_store,
    open_catalog,
    path_of_version,
)
from nodes.catalog.partial import (
    PartialCatalog,
    bytes_so_far,
    cached_catalog,
    file_digest,
    partial_catalog,
)
from nodes.catalog.protocol import Catalog, Reader
from nodes.catalog.reports import BadRecord, CheckReport, FieldReport, FileReport, LeftOut
from nodes.catalog.seal import is_sealed

__all__ = [
    "ANY",
    "EXACT",
    "PREFIX",
    "Argument",
    "BadRecord",
    "Catalog",
    "CatalogInfo",
    "CheckReport",
    "FieldReport",
    "FileReport",
    "Kept",
    "LeftOut",
    "Lookup",
    "Page",
    "PartialCatalog",
    "Progress",
    "Reader",
    "bytes_so_far",
    "cached_catalog",
    "check_data",
    "coerce",
    "ensure_catalog",
    "file_digest",
    "is_sealed",
    "keep_in_place",
    "load_into_store",
    "open_catalog",
    "partial_catalog",
    "path_of_version",
    "propose_definition",
    "usage",
    "write_definition",
]
