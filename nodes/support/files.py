"""Atomic writes: a file is seen whole or not at all, by whomever its mode allows.

It is written beside its place first, under a name of its own, then moved there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

OWNER_ONLY = 0o600

MAX_DAMAGED = 3
"""Files of one name that are kept once they have been put aside."""


@contextmanager
def draft(path: Path, data: bytes, *, mode: int = OWNER_ONLY) -> Iterator[Path]:
    """A new file beside `path`, to be moved or linked there; gone at the end of the block.

    Args:
        path: where the file belongs; its folder must be there.
        data: the content.
        mode: who may read and write it, within what the umask allows.

    Raises:
        OSError: it cannot be written.
    """
    written = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        yield written
    finally:
        written.unlink(missing_ok=True)


def put_aside(path: Path, sidecars: Sequence[Path] = ()) -> Path:
    """Renames what is at that path, whatever it is, to a name that says that it was damaged; the
    same for what lies beside it. Of earlier ones, some are kept.

    Returns:
        Where it is now.

    Raises:
        OSError: it cannot be renamed.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    tail = f".damaged-{stamp}-{secrets.token_hex(2)}"
    aside = path.with_name(path.name + tail)
    for one in (path, *sidecars):
        with contextlib.suppress(FileNotFoundError):
            one.rename(one.with_name(one.name + tail))
    earlier = sorted(one for one in path.parent.glob(f"{path.name}*.damaged-*") if one.is_file())
    for one in earlier[: -MAX_DAMAGED * (1 + len(sidecars))]:
        with contextlib.suppress(OSError):
            one.unlink()
    return aside


def write_atomically(path: Path, data: bytes, *, mode: int = OWNER_ONLY) -> None:
    """Put a file in its place, or in that of the one there is; arguments and errors as `draft`."""
    with draft(path, data, mode=mode) as written:
        written.replace(path)
