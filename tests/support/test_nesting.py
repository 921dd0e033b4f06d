"""How deep JSON nests, judged without decoding it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.support.nesting import is_nested_within

VALUES = st.recursive(
    st.none() | st.integers() | st.text("[]{}\\\"'x"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('[]{}\\"x'), inner),
    max_leaves=30,
)


def depth(value: object) -> int:
    """Levels of arrays and objects, counted one by one."""
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
    return 0


@given(VALUES)
def test_it_is_as_deep_as_it_is(value: object) -> None:
    text, levels = json.dumps(value).encode(), depth(value)
    assert is_nested_within(text, levels)
    assert not levels or not is_nested_within(text, levels - 1)


@pytest.mark.long
@given(st.lists(st.dictionaries(st.text("[{x"), VALUES, max_size=3), min_size=1, max_size=5))
def test_what_is_known_to_be_beside_changes_no_verdict(records: list[dict[str, object]]) -> None:
    text = b"\n".join(json.dumps(record).encode() for record in records)
    for levels in range(1, 5):
        known = is_nested_within(text, levels, beside=len(records) - 1)
        assert known == is_nested_within(text, levels)


@pytest.mark.parametrize("levels", [1, 100, 100_000])
def test_depth_takes_no_stack(levels: int) -> None:
    text = b"[" * levels + b"]" * levels
    assert is_nested_within(text, levels)
    assert not is_nested_within(text, levels - 1)
