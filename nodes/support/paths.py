"""Where Rollcall keeps its files: shipped records, catalog cache, state and configuration."""

from __future__ import annotations

import os
from pathlib import Path

from nodes.errors import StartError


class NoHomeError(StartError):
    """Whoever runs this has no folder of their own, and named none."""


_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_data() -> Path:
    """The folder of records that ships with Rollcall (in the wheel, or beside the source)."""
    packed = _PACKAGE / "_data"
    return packed if packed.is_dir() else _PACKAGE.parent / "data"


def cache_dir() -> Path:
    """Where compiled catalogs live; `ROLLCALL_CACHE` overrides the user's cache directory."""
    if override := os.environ.get("ROLLCALL_CACHE"):
        return Path(override)
    return _own_folder("user_cache_dir", "ROLLCALL_CACHE")


def state_dir() -> Path:
    """Where the token and the workers' logs live; `ROLLCALL_STATE` overrides it."""
    if override := os.environ.get("ROLLCALL_STATE"):
        return Path(override)
    return _own_folder("user_state_dir", "ROLLCALL_STATE")


def config_dir() -> Path:
    """Where the operator's settings file is, in the user's configuration."""
    return _own_folder("user_config_dir", "XDG_CONFIG_HOME")


def _own_folder(kind: str, variable: str) -> Path:
    """Rollcall's folder of that kind, as `platformdirs` names it.

    Raises:
        NoHomeError: whoever runs this has no home folder; the message names the variable.
    """
    import platformdirs  # noqa: PLC0415 - 13 ms that a command without a catalog does not pay

    try:
        return Path(getattr(platformdirs, kind)("rollcall"))
    except RuntimeError as error:  # what it raises where no folder is known
        raise NoHomeError(
            f"there is no home folder: HOME is not set, and the system knows none for user "
            f"{os.getuid()}; set HOME, or {variable} to a folder of your own"
        ) from error


def address_stem(host: str, port: int) -> str:
    """What the files of the master at that address are called: no two masters share one. Loopback's
    is the port alone.
    """
    if host in ("127.0.0.1", "localhost"):
        return str(port)
    kept = "".join(c if c.isascii() and (c.isalnum() or c in ".-") else "_" for c in host)
    return f"{kept}-{port}"


def make_private(folder: Path) -> None:
    """Makes a folder, and those above it that are not there, for their owner only.

    `Path.mkdir` would give the ones above it to whomever the umask allows.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.parent.is_dir():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
