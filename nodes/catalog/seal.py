"""The seal on a catalog's file: whether anybody has written to it since it was finished.

A finished catalog never changes. So its file is given one certain time of modification, and any
write, whoever's, leaves another: that is seen at once, however large the file is, by every process
that has it open. SQLite itself would hand out most changed bytes as they are.

Whoever finds damage that no write has caused (a disk's) breaks the seal, and so tells the others.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from nodes.support.files import OWNER_ONLY

SEALED_NS = 1_000_000_000 * 10**9
"""The time of modification of a finished catalog, in ns: whole seconds, and an even number of them,
which any file system can keep."""


def seal(file: int | Path) -> None:
    """The file, open or at that path, is finished. Raises `OSError`."""
    os.utime(file, ns=(time.time_ns(), SEALED_NS))


def is_sealed(file: int | Path) -> bool:
    """Whether nobody has written to the file, open or at that path, since it was finished; False
    if there is none.
    """
    try:
        return os.stat(file).st_mtime_ns == SEALED_NS  # noqa: PTH116 - an open file has no path
    except OSError:
        return False


def break_seal(descriptor: int) -> None:
    """The file is damaged, whatever its time of modification says."""
    with suppress(OSError):  # somebody else's, or on a disk that cannot be written
        os.utime(descriptor)


def note_use(path: Path) -> None:
    """The catalog at that path is used now: the least recently used is evicted first, by the time
    of the file's last change of any kind, which a change of its mode is as well.
    """
    with suppress(OSError):
        path.chmod(OWNER_ONLY)
