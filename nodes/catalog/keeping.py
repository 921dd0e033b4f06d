"""A catalog that is open is kept where others look for it, whatever becomes of its folder."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

from nodes.catalog.cache import draft_of
from nodes.catalog.protocol import Catalog
from nodes.catalog.seal import is_sealed
from nodes.catalog.sqlite_reader import SqliteCatalog
from nodes.errors import DataError

BLOCK_BYTES = 1 << 20


class Kept(StrEnum):
    """What became of a catalog's file."""

    IN_PLACE = "it is in its place"
    PUT_BACK = "it was gone, and was put back"
    DAMAGED = "it is damaged, and must be built again"


def keep_in_place(catalog: Catalog) -> Kept:
    """See to it that an open catalog is found where it lies: a file that is gone, or is damaged
    there, is put back from the open one. It costs next to nothing where all is well.

    Raises:
        DataError: It cannot be put back, and why.
    """
    if not isinstance(catalog, SqliteCatalog):
        return Kept.IN_PLACE
    path = Path(catalog.info.path)
    if is_sealed(path):
        return Kept.IN_PLACE
    if not catalog.is_intact:
        return Kept.DAMAGED
    with draft_of(path) as draft, draft.open("r+b") as file:
        at = 0
        while block := os.pread(catalog.descriptor, BLOCK_BYTES, at):
            file.write(block)
            at += len(block)
        file.flush()
        os.fsync(file.fileno())
        if not catalog.is_intact:
            raise DataError(f"{path} was damaged while it was put back")
    return Kept.PUT_BACK
