"""Whose a file is: what others may have read or written is refused, with what to do."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nodes.support.ownership import ExposedFileError, check_secret, check_unaltered

US, ANOTHER, ROOT = 1000, 1001, 0
PATH = Path("/somewhere/token")


def file_of(owner: int, mode: int, kind: int = stat.S_IFREG) -> os.stat_result:
    """A file's status: what the system says of it."""
    return os.stat_result((kind | mode, 0, 0, 1, owner, owner, 0, 0, 0, 0))


@pytest.fixture(autouse=True)
def _as_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: US)


@pytest.mark.parametrize(
    ("owner", "mode"),
    [(US, 0o600), (US, 0o400), (US, 0o700), (ROOT, 0o600), (ROOT, 0o440), (ROOT, 0o444)],
)
def test_a_secret_of_ones_own_or_handed_over_by_root_is_used(owner: int, mode: int) -> None:
    check_secret(PATH, file_of(owner, mode))
    check_unaltered(PATH, file_of(owner, mode))


@pytest.mark.parametrize(
    ("mode", "what"),
    [(0o644, "read"), (0o640, "read"), (0o604, "read"), (0o620, "written"), (0o666, "written")],
)
def test_a_secret_that_others_can_read_or_write_is_refused(mode: int, what: str) -> None:
    with pytest.raises(ExposedFileError, match=rf"{PATH} can be {what} by others.*chmod 600"):
        check_secret(PATH, file_of(US, mode))


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_what_is_no_secret_may_be_read_by_others(mode: int) -> None:
    check_unaltered(PATH, file_of(US, mode))


@pytest.mark.parametrize("owner", [US, ROOT])
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_can_write_is_refused(owner: int, mode: int) -> None:
    with pytest.raises(ExposedFileError, match="can be written by others"):
        check_unaltered(PATH, file_of(owner, mode))


@pytest.mark.parametrize("check", [check_secret, check_unaltered])
def test_what_belongs_to_another_user_is_refused(check: object) -> None:
    assert callable(check)
    with pytest.raises(ExposedFileError, match=f"belongs to user {ANOTHER}.*chown"):
        check(PATH, file_of(ANOTHER, 0o600))


def test_a_pipe_from_a_shell_has_no_mode_that_matters() -> None:
    check_secret(PATH, file_of(US, 0o666, kind=stat.S_IFIFO))
