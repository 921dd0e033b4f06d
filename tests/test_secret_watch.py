"""The watch over tokens finds them, wherever they are printed."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.security.tokens import ensure_token
from tests.conftest import SECRETS


@pytest.mark.shows_token
def test_a_token_that_is_printed_is_found(tmp_path: Path) -> None:
    token = ensure_token(tmp_path / "token")
    assert "after 'it is '" in SECRETS.shown([f"it is {token}"])
    assert SECRETS.shown([f"x{token}y"]), "even within something longer"
    assert SECRETS.shown([secrets.token_hex(40), "token", "x" * 100]) == ""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "w1.log").write_text("nothing")
    assert SECRETS.written(tmp_path) == []
    (tmp_path / "logs" / "w1.log").write_text(f"its token {token}")
    assert SECRETS.written(tmp_path) == [tmp_path / "logs" / "w1.log"]
    (tmp_path / "logs" / "w1.log").unlink()


@pytest.mark.shows_token
def test_what_processes_make_and_print_is_watched_as_well(tmp_path: Path) -> None:
    other = "k" * 43
    (tmp_path / "token.worker").write_text(other)
    SECRETS.learn(tmp_path)
    subprocess.run([sys.executable, "-c", f"print({other!r})"], capture_output=True, check=True)
    assert SECRETS.shown([])
    assert not SECRETS.shown([]), "it is told once"
    print(other)  # noqa: T201 - as a test might
