"""Questions from standard input: lines as a shell or as JSON would have them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.cli.questions import Question, parse_line, question_batches

LINES: dict[str, list[str | int | float]] = {
    "getbyname C#": ["getbyname", "C#"],
    r"getbyname Flat\ #3 #4": ["getbyname", "Flat #3"],
    "getbyname '#1' # a comment": ["getbyname", "#1"],
    'getbyname "a # b" "#c"#d': ["getbyname", "a # b", "#c#d"],
    r"getbyname \#x": ["getbyname", "#x"],
    "getbyname -5 --x": ["getbyname", "-5", "--x"],
    "# nothing": [],
    "  #": [],
    "": [],
    "getbyname ''": ["getbyname", ""],
    ' ["getbyyear", "New York", 2002]\n': ["getbyyear", "New York", 2002],
    '["getbyname", "]# \\""]': ["getbyname", ']# "'],
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_read_as_a_shell_or_as_json_has_it(line: str) -> None:
    assert parse_line(line) == LINES[line]


@pytest.mark.parametrize(
    "line",
    ["getbyname 'x", 'getbyname "x', "getbyname x\\", "[", "[]", "[1]", "[null]", "[]#", "\udcff"],
)
def test_another_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        parse_line(line)


@settings(max_examples=100, deadline=None)
@given(st.text("ab #'\"\\[]\t"))
def test_whatever_is_in_a_line_is_words_or_refused(line: str) -> None:
    try:
        words = parse_line(line)
    except ValueError:
        return
    assert all(isinstance(word, str) for word in words) or line.lstrip()[0] == "["


def test_every_question_knows_its_line() -> None:
    lines = ["# all", "a x", "", "b 'y", '["c", 1]']
    found = [one for batch in question_batches(lines, 2) for one in batch]
    assert found == [Question(["a", "x"], 2), Question([], 4), Question(["c", 1], 5)]
