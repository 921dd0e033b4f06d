"""Values as people read them, and text from outside made harmless."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.states import STATES
from console.text import (
    ASCII,
    UNICODE,
    Glyphs,
    clean,
    count,
    fit,
    memory_size,
    middle_cut,
    number,
    terminal_glyphs,
)
from nodes.routing import State

# Lone surrogates too: a file name or a broken peer may bring them.
ANYTHING = st.text(st.characters())
WIDE = st.text(st.sampled_from("aé名한🙂#1\u0301\ufe0f\u3000 ~"))
BOTH = pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


# -- text from outside -------------------------------------------------------------


@given(ANYTHING)
def test_clean_leaves_nothing_that_moves_a_cursor_or_turns_the_writing(text: str) -> None:
    shown = clean(text)
    assert shown.isprintable()
    assert not any(unicodedata.bidirectional(char) in TURNS for char in shown)
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in shown)
    assert clean(shown) == shown  # cleaning twice changes no more


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 名前 [bold] [/foo]", "Zoë 名前 [bold] [/foo]"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("one\ntwo\ttabs\r", r"one\ntwo\ttabs\r"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("\ud800", r"\ud800"),
        ("", ""),
    ],
)
def test_clean_examples(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_clean_is_bounded() -> None:
    assert clean("x" * 10_000) == "x" * 2000 + "..."
    assert clean("x" * 5, 5) == "xxxxx"
    assert clean("x" * 6, 5) == "xxxxx..."
    assert len(clean("\x00" * 10_000, 100)) == 4 * 100 + 3


@given(st.one_of(ANYTHING, WIDE), st.integers(0, 40), st.booleans())
def test_fit_is_exactly_as_wide_as_wanted(text: str, width: int, right: bool) -> None:
    shown = clean(text)
    assert cell_len(fit(shown, width, right=right)) == width


@given(WIDE, WIDE, st.integers(0, 12), st.integers(0, 12))
def test_cells_beside_each_other_stay_as_wide(one: str, two: str, left: int, right: int) -> None:
    line = f"{fit(clean(one), left)} {fit(clean(two), right)}"
    assert cell_len(line) == left + 1 + right


def test_fit_examples() -> None:
    assert fit("abc", 5) == "abc  "
    assert fit("abc", 5, right=True) == "  abc"
    assert fit("abcdef", 5) == "abcd~"
    assert fit("名前です", 5) == "名前~"
    assert fit("名前です", 4) == "名 ~"
    assert fit("abc", 0) == ""


# -- figures -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (3.2, "3.2"),
        (9.96, "10.0"),
        (10.4, "10"),
        (999, "999"),
        (999.4, "999"),
        (999.6, "1.0k"),
        (1000, "1.0k"),
        (12_345, "12.3k"),
        (99_940, "99.9k"),
        (99_960, "100k"),
        (123_456, "123k"),
        (999_600, "1.0M"),
        (4.5e6, "4.5M"),
        (7e9, "7.0G"),
        (2e12, "2.0T"),
        (1e20, ">999T"),
    ],
)
def test_number_examples(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(0, 1e30))
def test_number_is_short_and_near_the_truth(value: float) -> None:
    text = number(value)
    assert len(text) <= 5
    if text != ">999T":
        scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1.0)
        assert float(text.rstrip("kMGT")) * scale == pytest.approx(value, rel=0.051, abs=0.051)


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [
        (0, 4, "0"),
        (9999, 4, "9999"),
        (12_345, 4, "12k"),
        (123_456, 4, "123k"),
        (1_234_567, 4, "1.2M"),
        (1_234_567, 7, "1234567"),
        (12_345_678, 7, "12.3M"),
    ],
)
def test_count_is_rounded_rather_than_cut(value: int, width: int, text: str) -> None:
    assert count(value, width) == text


@given(st.integers(0, 10**14), st.integers(4, 12))
def test_count_fits_and_is_near_the_truth(value: int, width: int) -> None:
    text = count(value, width)
    assert len(text) <= width
    scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1])
    if scale is None:
        assert text == str(value)
    else:
        assert float(text[:-1]) * scale == pytest.approx(value, rel=0.1)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "-"),
        (1000, "0M"),
        (2**20, "1M"),
        (31.4 * 2**20, "31M"),
        (2 * 2**30, "2048M"),
        (99_999 * 2**20, "99999M"),
        (98 * 2**30, "98.0G"),
        (20_000 * 2**30, "20000G"),
    ],
)
def test_size_examples(octets: float, text: str) -> None:
    assert memory_size(octets) == text


@given(st.integers(0, 10**14))
def test_a_size_fits_its_column(octets: int) -> None:
    assert len(memory_size(octets)) <= 6


@given(WIDE, st.integers(0, 40))
def test_a_long_id_is_cut_in_its_middle(text: str, width: int) -> None:
    shown = middle_cut(clean(text), width, UNICODE)
    assert cell_len(shown) <= max(width, cell_len(shown) if cell_len(clean(text)) <= width else 0)


def test_ids_that_differ_at_their_ends_differ_when_they_are_cut() -> None:
    ids = [f"worker-eu-west-1{letter}-{n}" for letter in "abc" for n in range(3)]
    assert len({middle_cut(one, 12, UNICODE) for one in ids}) == len(ids)
    assert middle_cut("worker-eu-west-1a-2", 12, ASCII) == "work~st-1a-2"


# -- drawing -----------------------------------------------------------------------


def test_ascii_is_ascii_and_every_state_has_a_sign_of_its_own() -> None:
    assert ASCII.ascii and all(text_of(sign).isascii() for sign in ASCII)
    for glyphs in (ASCII, UNICODE):
        assert set(glyphs.states) == set(STATES)
        assert set(glyphs.states) >= {*State}
        assert len(set(glyphs.states.values())) == len(glyphs.states)


def text_of(sign: object) -> str:
    """All signs of a part of the glyphs."""
    return "".join(sign.values()) if isinstance(sign, dict) else str(sign)


@pytest.mark.parametrize(
    ("encoding", "term", "glyphs"),
    [
        ("utf-8", "xterm-256color", UNICODE),
        ("UTF8", "tmux", UNICODE),
        ("ascii", "xterm", ASCII),
        ("iso-8859-1", "xterm", ASCII),
        ("utf-8", "linux", ASCII),
        ("utf-8", "dumb", ASCII),
    ],
)
def test_glyphs_follow_the_terminal(
    monkeypatch: pytest.MonkeyPatch, encoding: str, term: str, glyphs: Glyphs
) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    monkeypatch.setenv("TERM", term)
    assert terminal_glyphs() is glyphs
