"""Atomic writes: a file is seen whole or not at all, by whomever its mode allows.

It is written beside its place first, under a name of its own, then moved there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER_ONLY = 0o600


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


def write_atomically(path: Path, data: bytes, *, mode: int = OWNER_ONLY) -> None:
    """Put a file in its place, or in that of the one there is; arguments and errors as `draft`."""
    with draft(path, data, mode=mode) as written:
        written.replace(path)
