"""What the console remembers between runs."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from console.settings import MAX_LINES, Settings, load_settings, save_settings, settings_file
from nodes.support.paths import state_dir


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "console.json"
    kept = Settings(
        theme="nord",
        queries=['getbyname "名 [/x]"', "\x1b[31m"],
        commands=["scale 3"],
        panels={"left": "slow"},
        sort="P99",
        descending=True,
    )
    save_settings(kept, path)
    assert load_settings(path) == kept
    assert [one.name for one in path.parent.iterdir()] == ["console.json"]  # no draft is left


def test_only_their_owner_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "new" / "console.json"
    save_settings(Settings(queries=["getbyname xander"]), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_they_are_kept_with_the_rest_of_the_state() -> None:
    assert settings_file() == state_dir() / "console.json"
    save_settings(Settings(theme="nord"))
    try:
        assert load_settings().theme == "nord"
    finally:
        settings_file().unlink()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"theme"', b'{"theme": 3}', b'{"queries": [1]}', b"\xff\xfe", b"null"],
    ids=repr,
)
def test_a_broken_file_is_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "console.json"
    path.write_bytes(content)
    assert load_settings(path) == Settings()


def test_no_file_or_a_folder_in_its_place_is_as_none(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.json") == Settings()
    assert load_settings(tmp_path) == Settings()


def test_a_file_of_another_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    path.write_text('{"queries": ["getbyname xander"], "zoom": 3}')
    assert load_settings(path) == Settings(queries=["getbyname xander"])


def test_each_has_lists_of_its_own() -> None:
    Settings().queries.append("getbyname xander")
    assert Settings().queries == []


def test_only_the_latest_lines_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    lines = [f"getbyname {number}" for number in range(MAX_LINES + 20)]
    save_settings(Settings(queries=list(lines), commands=list(lines)), path)
    kept = load_settings(path)
    assert kept.queries == kept.commands == lines[20:]


@pytest.mark.parametrize("fault", ["a file where the folder should be", "no text"])
def test_what_cannot_be_saved_is_not_and_leaves_what_was(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "console.json"
    save_settings(Settings(theme="nord"), path)
    if fault == "no text":
        save_settings(Settings(queries=["\ud800"]), path)  # half a character, as a paste may bring
    else:
        save_settings(Settings(theme="other"), path / "console.json")
    assert load_settings(path) == Settings(theme="nord")
    assert [one.name for one in tmp_path.iterdir()] == ["console.json"]
