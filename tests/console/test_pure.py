"""What the console works out without a screen."""

from __future__ import annotations

import csv
import json
import shlex
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.commands import COMMANDS, complete, parse
from console.export import export
from console.history import SPAN, History
from console.query import completions, quoted, typed, words_of
from console.settings import MOST_LINES, Settings, load_settings, save_settings
from console.text import (
    ASCII,
    UNICODE,
    Glyphs,
    bar,
    clean,
    duration,
    fit,
    milliseconds,
    number,
    sparkline,
)
from console.view import load_rows, totals_row, vitals, worker_row
from nodes.errors import BadRequest
from tests.console.fakes import NOON, SHAPES, cluster_snapshot, worker_view

# -- text --------------------------------------------------------------------------------


@given(st.text())
def test_clean_text_moves_no_cursor_and_turns_no_writing(text: str) -> None:
    assert clean(text).isprintable()
    assert len(clean(text, 10)) <= 10 * 10 + 3


@given(st.text(), st.integers(0, 40), st.booleans())
def test_fit_is_exactly_as_wide(text: str, width: int, right: bool) -> None:
    assert cell_len(fit(clean(text), width, right=right)) == width


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@given(st.lists(st.floats(0, 1e9), max_size=50), st.integers(1, 30), st.floats(0, 1))
def test_bars_are_exactly_as_wide(
    glyphs: Glyphs, values: list[float], width: int, share: float
) -> None:
    assert cell_len(sparkline(values, width, glyphs)) == width
    assert cell_len(bar(share, width, glyphs)) == width
    if glyphs.ascii:
        assert (sparkline(values, width, glyphs) + bar(share, width, glyphs)).isascii()


def test_figures_as_people_read_them() -> None:
    assert [number(v) for v in (0, 7, 3.25, 42, 999, 1234, 45_600, 7_800_000)] == [
        "0",
        "7",
        "3.2",
        "42",
        "999",
        "1.2k",
        "45.6k",
        "7.8M",
    ]
    assert [milliseconds(v) for v in (None, 0.414, 8.31, 120.4, 1204.0)] == [
        "-",
        "0.41",
        "8.3",
        "120",
        "1.20s",
    ]
    assert [duration(v) for v in (-1, 42, 187, 7500, 273_600)] == [
        "0s",
        "42s",
        "3m07s",
        "2h05m",
        "3d04h",
    ]


@given(st.floats(0, 1e15))
def test_a_number_stays_short(value: float) -> None:
    assert len(number(value)) <= 6


# -- view --------------------------------------------------------------------------------


def test_no_state_is_told_by_colour_alone() -> None:
    for state in ("up", "starting", "suspect", "draining", "down"):
        for glyphs in (UNICODE, ASCII):
            assert state in worker_row(worker_view(state=state), NOON, glyphs).cells[1]
    assert "frozen" in worker_row(worker_view(frozen=True), NOON, UNICODE).cells[1]


def test_totals_are_sums() -> None:
    workers = [worker_view(n, served=n, in_flight=1, errors=2) for n in range(1, 5)]
    cells = totals_row(cluster_snapshot(workers)).cells
    assert (cells[1], cells[2], cells[3], cells[7]) == ("4 up/4", "10", "4", "8")


def test_versions_that_differ_are_said_to() -> None:
    what, _how = vitals(cluster_snapshot(catalogs=("a", "b")), read_only=True, attached=True)
    assert "a, b (versions differ)" in what
    assert "READ-ONLY" in what
    assert "attached to" in what


def test_load_is_of_those_that_are_there() -> None:
    workers = [
        worker_view(1, lookups_per_s=30.0),
        worker_view(2, lookups_per_s=10.0),
        worker_view(3, state="down", lookups_per_s=99.0),
    ]
    rows = load_rows(workers, {}, 44, ASCII)
    assert [row.key for row in rows] == ["w1", "w2"]
    assert "75%" in rows[0].cells[0]
    assert "25%" in rows[1].cells[0]


# -- commands ----------------------------------------------------------------------------


def test_every_command_is_declared_once() -> None:
    names = [command.name for command in COMMANDS]
    keys = [command.key for command in COMMANDS if command.key]
    assert len(set(names)) == len(names)
    assert len(set(keys)) == len(keys)
    worker = worker_view(2, in_flight=3)
    for command in COMMANDS:
        assert command.steers == (command.run is not None)
        assert command.steers or not command.dangerous
        if command.effect is not None:
            assert command.effect(cluster_snapshot([worker]), worker).endswith(".")
        if command.takes == "worker" and command.effect is not None:
            effect = command.effect(cluster_snapshot([worker]), worker)
            assert effect.startswith("w2 has 3 lookups in flight")


def test_a_typed_command() -> None:
    assert (parse("kill w2")[0].name, parse("kill w2")[1]) == ("kill", "w2")
    assert parse(" scale  7 ")[1] == "7"
    for bad in ("", "fly", "scale", "scale many", "[/foo]"):
        with pytest.raises(BadRequest):
            parse(bad)
    assert complete("sp", []) == ["spawn"]
    assert complete("kill w1", ["w1", "w10", "w2"]) == ["kill w1", "kill w10"]
    assert complete("spawn w", ["w1"]) == []


# -- query -------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_quoted_word_is_read_back(word: str) -> None:
    assert words_of(f"getbyname {quoted(word)}") == ["getbyname", word]


@given(st.lists(st.text("ab'\" ", min_size=1), min_size=1, max_size=4))
def test_what_is_typed_is_taken_apart_as_a_shell_would(words: list[str]) -> None:
    line = shlex.join(words)
    assert [*typed(line).before, typed(line).last] == words


def test_completions_are_lookups_and_then_values() -> None:
    asked: list[tuple[str, str]] = []

    def values(field: str, prefix: str, limit: int) -> list[str]:
        asked.append((field, prefix))
        return ["New York City", "Newark"][:limit]

    assert completions("getby", SHAPES, values)[0] == "getbyname "
    assert completions("getbyyear Ne", SHAPES, values) == [
        "getbyyear New\\ York\\ City",
        "getbyyear Newark",
    ]
    assert completions('getbyyear "New Y', SHAPES, values)[0] == 'getbyyear "New York City"'
    assert completions("getbyyear Newark 20", SHAPES, values)[0].startswith("getbyyear Newark ")
    assert asked == [("location", "Ne"), ("location", "New Y"), ("year", "20")]
    assert completions("getbyname a b", SHAPES, values) == []
    assert completions("nothing x", SHAPES, values) == []
    with pytest.raises(ValueError, match="quotation"):
        words_of('getbyname "open')


# -- history, settings, export -----------------------------------------------------------


def test_history_is_five_minutes_of_those_that_are_there() -> None:
    history = History()
    for second in range(1000):
        snapshot = cluster_snapshot([worker_view(1), worker_view(2)], taken_at=NOON + second / 2)
        history.note(snapshot)
    samples = history.of("w1")
    assert samples[-1].at - samples[0].at <= SPAN
    assert len(samples) <= SPAN + 2
    history.note(cluster_snapshot([worker_view(1)], taken_at=NOON + 501))
    assert history.of("w2") == []


def test_settings_are_kept_and_a_broken_file_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "state" / "console.json"
    assert load_settings(path) == Settings()
    save_settings(Settings(theme="nord", queries=[str(n) for n in range(MOST_LINES + 9)]), path)
    kept = load_settings(path)
    assert (kept.theme, len(kept.queries), kept.queries[-1]) == ("nord", 500, "508")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("{")
    assert load_settings(path) == Settings()
    save_settings(Settings(), path / "below a file")
    assert [entry.name for entry in path.parent.iterdir()] == ["console.json"]


def test_records_are_written_and_nothing_is_overwritten(tmp_path: Path) -> None:
    records: list[dict[str, object]] = [{"name": "=cmd()", "n": 1}, {"name": "é", "deep": {"a": 1}}]
    as_json = export(records, str(tmp_path / "found.json"))
    assert json.loads(as_json.read_text()) == records
    as_csv = export(records, str(tmp_path / "found.csv"))
    rows = list(csv.DictReader(as_csv.read_text().splitlines()))
    assert [row["name"] for row in rows] == ["'=cmd()", "é"]
    assert rows[1]["deep"] == '{"a":1}'
    for bad in ("found.json", "found.txt", "no/such/folder/x.csv"):
        with pytest.raises(BadRequest):
            export(records, str(tmp_path / bad))
