"""Token files: the cluster's token, valid for every role, and one for each role that has its own.

    token              the cluster token, made on first start
    token.worker       a token for workers only, if somebody made one; likewise for other roles
    token.viewer-ada   a viewer's token of the name "ada"; likewise for other roles and names
    token@HOST:PORT    the token of the cluster whose master is there, if it is another than here
    token.old          earlier values of `token`, each with the time at which it ends
    token.worker.old   earlier values of `token.worker`; likewise for other roles
    cursors            the secret from which the keys that sign cursors are made

Only their owner can read these files. A file is replaced as a whole, never changed in place.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hmac
import logging
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum
from fcntl import LOCK_EX, flock
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, TypeVar

from nodes.errors import BadRequest, StartError
from nodes.security.graces import Graces
from nodes.support.files import draft, write_atomically
from nodes.support.os_errors import explain_os_error
from nodes.support.ownership import ExposedFileError, check_secret
from nodes.support.paths import make_private, state_dir
from nodes.support.steady import steady_time

T = TypeVar("T")

logger = logging.getLogger("rollcall.tokens")

TOKEN_GRACE_S = 3600.0
"""Seconds that a token stays valid after its rotation, unless the operator says otherwise."""

MAX_OLD_TOKENS = 8
"""Old tokens that are kept for each file: the newest."""


TOKEN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""What a token may be called."""


class TokenRole(StrEnum):
    """What a token entitles to: to look up, to register as a worker, to see everything (and look
    up), or to do anything.
    """

    CLIENT = "client"
    WORKER = "worker"
    VIEWER = "viewer"
    OPERATOR = "operator"

    def covers(self, needed: TokenRole) -> bool:
        """Whether this role includes that one."""
        if self is TokenRole.VIEWER:
            return needed in (TokenRole.VIEWER, TokenRole.CLIENT)
        return self in (needed, TokenRole.OPERATOR)

    def limited_to(self, most: TokenRole | None) -> TokenRole | None:
        """What of this role is in that one as well, all of it for None; None for nothing."""
        if most is None or most.covers(self):
            return self
        return most if self.covers(most) else None


class ValidToken(NamedTuple):
    """A token that is valid now, the role it gives, and what it is called, "" for nothing."""

    token: str
    role: TokenRole
    name: str = ""


def token_file(role: TokenRole | None = None, name: str = "") -> Path:
    """The file of a role's own token or, for None, of the cluster's (`ROLLCALL_TOKEN_FILE`).

    Args:
        role: which.
        name: what the token of that role is called; "" for the one without a name.

    Raises:
        BadRequest: no token can be called that.
    """
    override = os.environ.get("ROLLCALL_TOKEN_FILE")
    path = Path(override) if override else state_dir() / "token"
    if role is None:
        return path
    if name and not TOKEN_NAME.fullmatch(name):
        raise BadRequest(
            f"{name[:80]!r} is no name of a token: take up to 32 of a-z, 0-9, - and _, the first "
            "of them a letter or a digit"
        )
    return path.with_name(f"{path.name}.{role}-{name}" if name else f"{path.name}.{role}")


def read_token(path: Path | None = None) -> str | None:
    """The token in a file (default: the cluster's), or None if none can be read there.

    Raises:
        ExposedFileError: others can read or write that file.
    """
    path = path or token_file()
    try:
        with path.open(encoding="ascii") as file:
            check_secret(path, os.fstat(file.fileno()))
            return file.read().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


_graces = Graces()


class TokenFile(NamedTuple):
    """Where a token is, the role that it gives, and what it is called."""

    path: Path
    role: TokenRole
    name: str = ""

    def gives(self, token: str) -> ValidToken:
        """A token that is in it, or was."""
        return ValidToken(token, self.role, self.name)


def present_tokens() -> list[ValidToken]:
    """Every token that is no old one, read from the files: none of a file that others can read or
    write.
    """
    found = [(_unless_exposed(read_token, file.path), file) for file in token_files()]
    return [file.gives(token) for token, file in found if token is not None]


def token_files() -> list[TokenFile]:
    """Where tokens may be, the cluster's last; those that have names are there."""
    roles = [TokenFile(token_file(role), role) for role in TokenRole]
    return [*roles, *_named_files(), TokenFile(token_file(), TokenRole.OPERATOR)]


def _named_files() -> list[TokenFile]:
    own = token_file()
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(own.parent.glob(f"{glob.escape(own.name)}.*-*")):
            role, _, called = path.name.removeprefix(f"{own.name}.").partition("-")
            if role in set(TokenRole) and TOKEN_NAME.fullmatch(called):
                found.append(TokenFile(path, TokenRole(role), called))
    return found


def valid_tokens(
    clock: Callable[[], float] = time.time, steady: Callable[[], float] = steady_time
) -> list[ValidToken]:
    """Every token that is valid now, read from the files: a rotation needs no restart. What is
    found to be over is taken out of them, so that it stays so whatever the clock says next.
    None of a file that others can read or write is valid.
    """
    wall, now = clock(), steady()
    tokens = present_tokens()
    seen: list[str] = []
    for file in token_files():
        kept = _unless_exposed(_read_old, file.path) or []
        over = {old for until, old in kept if _graces.is_over(old, until, wall=wall, steady=now)}
        if over:
            _forget(file.path, over)
        tokens += [file.gives(old) for _, old in kept if old not in over]
        seen += [old for _, old in kept]
    _graces.keep(seen)
    return tokens


def _unless_exposed(read: Callable[[Path], T], path: Path) -> T | None:
    try:
        return read(path)
    except ExposedFileError as error:
        _log_once(str(error))
        return None


@functools.lru_cache(maxsize=64)
def _log_once(words: str) -> None:
    """Logs something that anybody can bring about as often as they like."""
    logger.error("%s", words)


def _forget(path: Path, over: Collection[str]) -> None:
    """Takes old tokens out of their file; where that cannot be done, this process remembers."""
    with contextlib.suppress(OSError), _locked(path.parent):
        _write_old(path, [(until, old) for until, old in _read_old(path) if old not in over])


def _write_old(path: Path, kept: Iterable[tuple[float, str]]) -> None:
    lines = "".join(f"{until:.3f} {old}\n" for until, old in kept)
    write_atomically(_old_file(path), lines.encode())


def match_token(given: object, tokens: Iterable[ValidToken]) -> ValidToken | None:
    """Which of the valid tokens that is: the one of the highest role, if it is several; None if it
    is none. It is compared with every valid token, in constant time.
    """
    if type(given) is not str:
        return None
    encoded = given.encode("utf-8", "replace")
    found: ValidToken | None = None
    for valid in tokens:
        same = hmac.compare_digest(encoded, valid.token.encode())
        if same and (found is None or not found.role.covers(valid.role)):
            found = valid
    return found


def ensure_token(path: Path | None = None) -> str:
    """The token in a file (default: the cluster's), made if there is none yet. Two processes that
    start at the same time agree on one.

    Raises:
        StartError: the file cannot be made or read.
    """
    path = path or token_file()
    with _explained(path):
        make_private(path.parent)
        if not path.exists():
            # Written beside it and then linked, so that nobody reads half a token, and a
            # token that another process made meanwhile is not replaced.
            with draft(path, secrets.token_urlsafe(32).encode()) as written:
                with contextlib.suppress(FileExistsError):
                    os.link(written, path)
    token = read_token(path)
    if token is None:
        raise StartError(f"cannot read the token in {path}; remove it to make a new one")
    return token


def files_of_tokens() -> list[Path]:
    """Where tokens are, old ones as well, if there are any."""
    files = [file.path for file in token_files()]
    return [*files, *map(_old_file, files)]


def cursor_key(port: int) -> str:
    """The key, in hex, that signs the cursors of the cluster whose master has that port. It stays
    the same over restarts and rotations of tokens, and differs from port to port.

    It is made from the secret in the file `cursors`. Without that file, it is new each time.
    """
    try:
        secret = ensure_token(state_dir() / "cursors")
    except StartError:
        return secrets.token_hex(32)
    return blake2b(str(port).encode(), key=secret.encode()[:64], digest_size=32).hexdigest()


def rotate_token(path: Path, *, grace: float, clock: Callable[[], float] = time.time) -> str:
    """Replaces a token by a new one, and returns the new one.

    Args:
        path: see `token_file`.
        grace: seconds that the present token, and at most those before it, stay valid.
        clock: Unix time in seconds.

    Raises:
        StartError: there is no token to replace, or the files cannot be written.
    """
    with _explained(path), _locked(path.parent):
        present = read_token(path)
        if present is None:
            raise StartError(
                f"there is no token in {path}; make it with: rollcall-nodes token make"
            )
        now = clock()
        end = now + grace
        kept = [(min(until, end), old) for until, old in _read_old(path) if until > now]
        kept = [*kept, (end, present)][-MAX_OLD_TOKENS:] if grace > 0 else []
        # The old token is kept first, so that there is no moment at which it is not valid.
        _write_old(path, kept)
        token = secrets.token_urlsafe(32)
        write_atomically(path, f"{token}\n".encode())
    return token


def _old_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")


def _read_old(path: Path) -> list[tuple[float, str]]:
    """The old tokens of a file, each with the Unix time until which it is valid."""
    found: list[tuple[float, str]] = []
    for line in (read_token(_old_file(path)) or "").splitlines():
        until, _, token = line.partition(" ")
        with contextlib.suppress(ValueError):
            if token and math.isfinite(end := float(until)):
                found.append((end, token))
    return found


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Allows one rotation at a time; of two at once, one token would be lost."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartError(
            f"the token {path} cannot be written: {explain_os_error(error)}; mend that, or set "
            "ROLLCALL_STATE to a folder of yours with room"
        ) from error
