"""Which version of Rollcall runs here, installed or from a folder of its source."""

from __future__ import annotations

import functools
from pathlib import Path

DISTRIBUTION = "rollcall-console"


@functools.cache
def own_version() -> str:
    """The version, as "1.2.0"."""
    # Imported here, as few commands ask: it takes longer than all the rest of this module.
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        import tomllib  # noqa: PLC0415 - only where it is not installed

        source = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"
        return str(tomllib.loads(source.read_text(encoding="utf-8"))["project"]["version"])
