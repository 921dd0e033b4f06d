"""Atomic writes: whole or not at all, for whom the mode says."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.support.files import draft, write_atomically


def test_a_file_is_put_in_its_place_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    write_atomically(path, b"two", mode=0o644)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o077
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_is_gone_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        with draft(tmp_path / "file", b"one") as written:
            assert written.read_bytes() == b"one"
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_put_there_leaves_what_was(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(path, b"one")
    assert list(tmp_path.iterdir()) == [path]
