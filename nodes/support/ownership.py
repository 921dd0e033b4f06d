"""Whose a file is, and who else may touch it: what others may have read or written is not used.

The rules are those of ssh for a private key and for its configuration.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from nodes.errors import StartError

SUPERUSER = 0


class ExposedFileError(StartError):
    """Others may have read a secret, or written what is relied on.

    Attributes:
        why: what is wrong with the file, as said of it, and what to do.
    """

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        super().__init__(f"{path} {what}: it is not used; {remedy}")
        self.why = f"{what}; {remedy}"


def check_secret(path: Path, status: os.stat_result) -> None:
    """Refuses a secret that others can read or write.

    Args:
        path: where it is, for the message.
        status: of the file as it was opened.

    Raises:
        ExposedFileError: it belongs to neither this user nor root, or its mode lets others in.
    """
    _check(path, status, ours=0o077)


def check_unaltered(path: Path, status: os.stat_result) -> None:
    """Refuses a file that others can write; arguments and errors as `check_secret`."""
    _check(path, status, ours=0o022)


def _check(path: Path, status: os.stat_result, *, ours: int) -> None:
    """`ours`: the bits of the mode that a file of this user must not have."""
    if not stat.S_ISREG(status.st_mode):
        return
    user = os.geteuid()
    if status.st_uid not in (user, SUPERUSER):
        raise ExposedFileError(
            path,
            f"belongs to {_name(status.st_uid)}, and this runs as {_name(user)}",
            "run this as its owner, or make it yours with chown",
        )
    # A secret of root's that was handed to this user, as containers do, may be for a group.
    unwanted = ours if status.st_uid == user else 0o022
    if status.st_mode & unwanted:
        what = "written" if status.st_mode & 0o022 else "read"
        mode = f"{stat.S_IMODE(status.st_mode):o}"
        raise ExposedFileError(
            path,
            f"can be {what} by others (mode {mode})",
            f"chmod {'600' if ours & 0o044 else 'go-w'} it, once you know that nobody did",
        )


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
