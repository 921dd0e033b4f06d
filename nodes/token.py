"""The cluster token: made on first start, in a file that only its owner can read."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from pathlib import Path

from nodes.errors import StartError
from nodes.paths import state_dir


def token_file() -> Path:
    """Where local commands find the token; `ROLLCALL_TOKEN_FILE` overrides it."""
    if override := os.environ.get("ROLLCALL_TOKEN_FILE"):
        return Path(override)
    return state_dir() / "token"


def read_token(path: Path | None = None) -> str | None:
    """The token, or None when there is none that this user can read."""
    try:
        return (path or token_file()).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def ensure_token(path: Path | None = None) -> str:
    """The token, made if there is none yet. Two processes that start at once agree on one.

    Raises:
        StartError: the file cannot be made or read.
    """
    path = path or token_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            # Written whole beside it, then linked: never seen empty, never replaced.
            draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(secrets.token_urlsafe(32) + "\n")
                with contextlib.suppress(FileExistsError):
                    os.link(draft, path)
            finally:
                draft.unlink()
    except OSError as error:
        message = f"cannot make the cluster token in {path}: {error.strerror}"
        raise StartError(f"{message}; set ROLLCALL_STATE to a folder you own") from error
    token = read_token(path)
    if token is None:
        raise StartError(f"cannot read the cluster token in {path}; remove it to make a new one")
    return token


def same_token(given: object, expected: str) -> bool:
    """Compares in constant time; anything but a str is wrong."""
    if type(given) is not str:
        return False
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
