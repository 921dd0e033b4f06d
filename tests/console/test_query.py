"""A line of the query box: taken apart, and completed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from console.query import PartialLine, completions, meaning, parse_partial, quoted, split_words
from nodes.wire import LookupShape
from tests.console.fakes import SHAPES

WORDS = st.one_of(st.text(), st.text(st.sampled_from("ab \t\n\"'\\#$[名\u3000")))
CITIES = ["New Delhi", "New York City", "Newark", "Coeur d'Alene", 'The "Hub"', "back\\slash"]


def values(_field: str, prefix: str, limit: int) -> list[str]:
    """Real values: cities."""
    return [city for city in CITIES if city.startswith(prefix)][:limit]


# -- taken apart -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("getbyname xander", ["getbyname", "xander"]),
        ('getbyyear "New York City" 2002', ["getbyyear", "New York City", "2002"]),
        ("  getbyname   'a b'  ", ["getbyname", "a b"]),
        (r"getbyname New\ York", ["getbyname", "New York"]),
        ('getbyname ""', ["getbyname", ""]),
        ("getbyname [/foo] $HOME #1 *", ["getbyname", "[/foo]", "$HOME", "#1", "*"]),
        ("", []),
    ],
)
def test_words_are_a_shells(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize("line", ['getbyname "New', "getbyname 'x", 'a"', "getbyname x\\"])
def test_a_quote_that_is_not_closed_is_told(line: str) -> None:
    with pytest.raises(ValueError, match=r"No (closing|escaped)"):
        split_words(line)


@given(WORDS)
@example("")
@example('it\'s "both"')
def test_a_word_that_is_quoted_is_read_back(word: str) -> None:
    assert split_words(quoted(word)) == [word]
    assert split_words(f"getbyname {quoted(word)} 2002") == ["getbyname", word, "2002"]


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("xander", "xander"),
        ("Zürich", "Zürich"),
        ("New York City", '"New York City"'),
        ("", '""'),
        ("Coeur d'Alene", '"Coeur d\'Alene"'),
        ('The "Hub"', "'The \"Hub\"'"),
        ("a;b$c*", "a;b$c*"),
    ],
)
def test_a_word_is_quoted_only_if_it_must_be(word: str, shown: str) -> None:
    assert quoted(word) == shown


@pytest.mark.parametrize(
    ("line", "before", "last", "start"),
    [
        ("", (), "", 0),
        ("getby", (), "getby", 0),
        ("getbyname ", ("getbyname",), "", 10),
        ("getbyname xan", ("getbyname",), "xan", 10),
        ('getbyyear "New York', ("getbyyear",), "New York", 10),
        ('getbyyear "New York" 20', ("getbyyear", "New York"), "20", 21),
        (r"getbyyear New\ Yo", ("getbyyear",), "New Yo", 10),
        ("getbyyear New\\", ("getbyyear",), "New", 10),
        ('getbyname x"y z"w', ("getbyname",), "xy zw", 10),
    ],
)
def test_a_line_may_end_anywhere(line: str, before: tuple[str, ...], last: str, start: int) -> None:
    assert parse_partial(line) == PartialLine(before, last, start)


@given(st.one_of(WORDS, st.lists(WORDS.map(quoted)).map(" ".join)))
def test_both_ways_of_taking_apart_agree(line: str) -> None:
    before, last, start = parse_partial(line)
    found = [*before, last] if start < len(line) else [*before]
    try:
        words = split_words(line)
    except ValueError:
        # It ends in the middle: closed, it is what was found.
        assert found in [*_closed(line), *_closed(line[:-1])]
    else:
        assert found == words


def _closed(line: str) -> Iterator[list[str]]:
    for end in ("", '"', "'", '""'):
        with contextlib.suppress(ValueError):
            yield split_words(f"{line}{end}")


# -- completed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("", ["getbyname ", "getbylocation ", "getbyyear "]),
        ("getbyn", ["getbyname "]),
        ("  getbyn", ["  getbyname "]),
        ("nothing", []),
        ("nothing New", []),
        ("getbylocation Newa", ["getbylocation Newark"]),
        ('getbylocation "New Y', ['getbylocation "New York City"']),
        ("getbylocation 'New Y", ["getbylocation 'New York City'"]),
        ("getbylocation New\\ Y", [r"getbylocation New\ York\ City"]),
        ("getbylocation Coeur", [r"getbylocation Coeur\ d\'Alene"]),
        ('getbylocation "The', [r'getbylocation "The \"Hub\""']),
        ("getbylocation back", [r"getbylocation back\\slash"]),
        ("getbyyear Newark Newa", ["getbyyear Newark Newark"]),
        ("getbylocation Newark ", []),  # it takes no second argument
    ],
)
def test_completions(line: str, lines: list[str]) -> None:
    assert completions(line, SHAPES, values) == lines


def test_a_value_with_a_space_is_offered_before_a_quote_is_typed() -> None:
    offered = completions("getbylocation New", SHAPES, values)
    assert offered == [
        r"getbylocation New\ Delhi",
        r"getbylocation New\ York\ City",
        "getbylocation Newark",
    ]


def test_completions_are_asked_for_the_right_field_and_bounded() -> None:
    asked: list[tuple[str, str, int]] = []

    def ask(field: str, prefix: str, limit: int) -> list[str]:
        asked.append((field, prefix, limit))
        return []

    completions("getbyyear ", SHAPES, ask)
    completions('getbyyear "New York City" 20', SHAPES, ask, limit=3)
    assert asked == [("location", "", 8), ("year", "20", 3)]
    assert len(completions("", SHAPES, ask, limit=2)) == 2


@given(WORDS, st.integers(0, 30), st.sampled_from(["", '"', "'"]))
@example("New York City", 4, "")
def test_a_completion_goes_on_from_what_is_typed_and_means_the_value(
    value: str, kept: int, quote: str
) -> None:
    """Whatever is typed of a value, bare or in a quote."""
    plain = value[:kept]
    if quote == "":
        plain = plain.replace("\\", "\\\\")
        for char in " \t\r\n\"'":
            plain = plain.replace(char, f"\\{char}")
    elif quote == '"':
        plain = plain.replace("\\", "\\\\").replace('"', '\\"')
    elif "'" in value:
        return  # cannot be written so
    line = f"getbyname {quote}{plain}"
    [offered] = completions(line, SHAPES, lambda _field, _prefix, _limit: [value])
    assert split_words(offered) == ["getbyname", value]
    assert offered.startswith(line)


# -- kinds of lookups -----------------------------------------------------------------

KINDS = (
    LookupShape("getbyname", ("name",), ("text",)),
    LookupShape("starting", ("team", "name"), ("text", "text"), kind="prefix"),
    LookupShape("search", ("words",), ("text",), kind="any", searched=("name", "city")),
    LookupShape("getbycity", ("city",), ("text",), folded=("city",)),
    LookupShape("citystarting", ("city",), ("text",), kind="prefix", folded=("city",)),
    LookupShape("later", ("name",), ("text",), kind="a kind of another version"),
)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", ""),
        ("starting", ""),
        ("getbyname x", ""),
        ("starting x", ""),
        ("starting x y", "prefix"),
        ("starting x y z", ""),
        ("search ", "any of name, city"),
        ('search "new york', "any of name, city"),
        ("getbycity new", "any case"),
        ("citystarting new", "prefix, any case"),
        ("later x", ""),
        ("nosuch x", ""),
    ],
)
def test_what_is_typed_is_explained_where_more_than_its_equal_is_found(
    line: str, said: str
) -> None:
    assert meaning(line, KINDS) == said


def test_values_are_offered_for_every_kind() -> None:
    def of_field(field: str, prefix: str, _limit: int) -> list[str]:
        known = {"name": ["newton", "Newton"], "city": ["Newark"], "team": []}
        return [one for one in known[field] if one.lower().startswith(prefix.lower())]

    assert completions("search new", KINDS, of_field) == [
        "search newton",
        "search Newton",
        "search Newark",
    ]
    assert completions("search new", KINDS, of_field, limit=1) == ["search newton"]
    assert completions("starting x n", KINDS, of_field)[0] == "starting x newton"
    # In the case in which it is typed, so that it goes on from that.
    assert completions("getbycity nEW", KINDS, of_field) == ["getbycity nEWark"]
    assert completions("citystarting n", KINDS, of_field) == ["citystarting newark"]
