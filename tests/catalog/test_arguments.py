"""Argument validation."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodes.catalog import Lookup, coerce, usage
from nodes.catalog.arguments import quoted
from nodes.errors import BadRequest

BY_NAME = Lookup("getbyname", ("name",), ("text",))
BY_YEAR = Lookup("getbyyear", ("location", "year"), ("text", "integer"))
BY_SIZE = Lookup("getbysize", ("size",), ("number",))


@pytest.mark.parametrize(
    ("lookup", "given_args", "expected"),
    [
        (BY_NAME, ("Zoë",), ("Zoë",)),
        (BY_NAME, ("",), ("",)),
        (BY_NAME, ("2002",), ("2002",)),
        (BY_NAME, ("🎈 O'Brien \0",), ("🎈 O'Brien \0",)),
        (BY_NAME, (2002,), ("2002",)),
        (BY_NAME, (-(2**63),), ("-9223372036854775808",)),
        (BY_NAME, ["x" * 4096], ("x" * 4096,)),
        (BY_YEAR, ("Oslo", 2002), ("Oslo", 2002)),
        (BY_YEAR, ("Oslo", "2002"), ("Oslo", 2002)),
        (BY_YEAR, ("Oslo", "-0007"), ("Oslo", -7)),
        (BY_YEAR, ("Oslo", "+7"), ("Oslo", 7)),
        (BY_YEAR, ("Oslo", 2**63 - 1), ("Oslo", 2**63 - 1)),
        (BY_YEAR, ("Oslo", str(-(2**63))), ("Oslo", -(2**63))),
        (BY_SIZE, (1.5,), (1.5,)),
        (BY_SIZE, ("1.5",), (1.5,)),
        (BY_SIZE, ("-.5e-3",), (-0.0005,)),
        (BY_SIZE, ("7",), (7,)),
        (BY_SIZE, (7,), (7,)),
        (BY_SIZE, (str(2**53 + 1),), (2**53 + 1,)),
    ],
)
def test_arguments_come_in_the_fields_types(
    lookup: Lookup, given_args: tuple[object, ...], expected: tuple[object, ...]
) -> None:
    found = coerce(lookup, given_args)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


class Text(str):
    """A subclass of str, which could override methods."""


@pytest.mark.parametrize(
    ("lookup", "given_args", "argument", "reason"),
    [
        (BY_YEAR, ("Oslo", "abc"), "year", "must be an integer, not 'abc'"),
        (BY_YEAR, ("Oslo", ""), "year", "must be an integer, not ''"),
        (BY_YEAR, ("Oslo", " 2002"), "year", "must be an integer"),
        (BY_YEAR, ("Oslo", "2002\n"), "year", "must be an integer"),
        (BY_YEAR, ("Oslo", "2_002"), "year", "must be an integer"),
        (BY_YEAR, ("Oslo", "２００２"), "year", "must be an integer"),  # noqa: RUF001 - wide digits
        (BY_YEAR, ("Oslo", "2002.0"), "year", "must be an integer"),
        (BY_YEAR, ("Oslo", 2002.0), "year", "must be an integer, not a number with a fraction"),
        (BY_YEAR, ("Oslo", True), "year", "must be an integer, not true or false"),
        (BY_YEAR, ("Oslo", None), "year", "must be an integer, not null"),
        (BY_YEAR, ("Oslo", [2002]), "year", "must be an integer, not a list"),
        (BY_YEAR, ("Oslo", 2**63), "year", "outside the 64 bits"),
        (BY_YEAR, ("Oslo", str(-(2**63) - 1)), "year", "outside the 64 bits"),
        (BY_YEAR, ("Oslo", "9" * 1_000_000), "year", "must be an integer, not '9999"),
        (BY_YEAR, ("Oslo", 10**5000), "year", "outside the 64 bits"),
        (BY_YEAR, (2002, "Oslo"), "year", "must be an integer, not 'Oslo'"),
        (BY_NAME, (None,), "name", "must be text, not null"),
        (BY_NAME, (True,), "name", "must be text, not true or false"),
        (BY_NAME, (1.5,), "name", "must be text, not a number with a fraction"),
        (BY_NAME, (2**63,), "name", "is outside the 64 bits an integer may have; give its digits"),
        (BY_NAME, (b"al",), "name", "must be text, not bytes"),
        (BY_NAME, (["al"],), "name", "must be text, not a list"),
        (BY_NAME, (Text("al"),), "name", "must be text, not that"),
        (BY_NAME, ("\ud83d",), "name", r"is not valid Unicode: '\ud83d'"),
        (BY_NAME, ("x" * 1_000_000,), "name", "has 1000000 characters, at most 4096"),
        (BY_NAME, ("x" * 4097,), "name", "has 4097 characters"),
        (BY_SIZE, ("abc",), "size", "must be a number, not 'abc'"),
        (BY_SIZE, ("nan",), "size", "must be a number"),
        (BY_SIZE, ("1e999",), "size", "must be a finite number"),
        (BY_SIZE, (float("nan"),), "size", "must be a finite number"),
        (BY_SIZE, (float("inf"),), "size", "must be a finite number"),
        (BY_SIZE, (2**63,), "size", "outside the 64 bits"),
        (BY_SIZE, ({},), "size", "must be a number, not an object"),
    ],
)
def test_a_wrong_argument_is_a_bad_request_that_names_it(
    lookup: Lookup, given_args: tuple[object, ...], argument: str, reason: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        coerce(lookup, given_args)
    assert caught.value.code == "bad_request"
    assert caught.value.message.startswith(f"{usage(lookup)}: {argument} ")
    assert reason in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("given_args", [(), ("Oslo",), ("Oslo", 2002, 3), [["Oslo", 2002]]])
def test_a_wrong_number_of_arguments_shows_how_it_is_written(given_args: list[object]) -> None:
    with pytest.raises(BadRequest) as caught:
        coerce(BY_YEAR, given_args)
    assert caught.value.message == (
        f"getbyyear(location, year) takes 2 argument(s), {len(given_args)} given"
    )


_anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=10),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.from_regex(r"[+-]?[0-9]{1,25}(\.[0-9]{0,3})?(e[0-9]{1,4})?", fullmatch=True),
)


@pytest.mark.parametrize("lookup", [BY_NAME, BY_YEAR, BY_SIZE])
@given(st.data())
def test_whatever_comes_is_either_storable_or_a_bad_request(
    lookup: Lookup, data: st.DataObject
) -> None:
    args = data.draw(st.tuples(*[_anything] * len(lookup.fields)))
    try:
        found = coerce(lookup, args)
    except BadRequest as refused:
        refused.message.encode()  # it can be sent
        return
    for kind, value in zip(lookup.types, found, strict=True):
        if kind == "text":
            assert type(value) is str
            assert value.encode().decode() == value
        else:
            assert type(value) in {int, float} if kind == "number" else type(value) is int
            assert -(2**63) <= value < 2**63 or type(value) is float  # type: ignore[operator]


@given(st.text(st.characters()))
@example("🎈" * 50)
@example("\x1b[2J\ud800\u202e" * 20)
def test_a_value_in_a_message_is_short_and_harmless(value: str) -> None:
    text = quoted(value)
    assert len(text) <= 80
    assert text.isprintable()
    text.encode()
