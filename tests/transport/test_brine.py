"""Brine and the protocol's numbers are RPyC's own."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpyc.core import brine as theirs
from rpyc.core import consts as their_consts

from nodes.transport import brine, consts

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(10**250, 10**260),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(),
    st.binary(max_size=600),
    st.sampled_from([..., NotImplemented]),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6).map(tuple),
        st.frozensets(st.integers(), max_size=6),
        st.builds(slice, inner, inner, inner),
    ),
    max_leaves=30,
)


@given(VALUES)
def test_values_are_encoded_as_rpyc_does_it_and_come_back(value: object) -> None:
    encoded = brine.dump(value)
    assert encoded == theirs.dump(value)
    assert brine.dumpable(value)
    stream = io.BytesIO(encoded)
    assert brine.load(stream) == value
    assert stream.tell() == len(encoded)
    assert brine.load(io.BytesIO(encoded)) == theirs.load(encoded)


@pytest.mark.parametrize("size", [0, 1, 4, 5, 255, 256, 70_000])
def test_lengths_are_encoded_as_rpyc_does_it(size: int) -> None:
    for value in (bytes(size), "x" * size, (None,) * size):
        assert brine.dump(value) == theirs.dump(value)
        assert brine.load(io.BytesIO(brine.dump(value))) == value


@given(st.binary(max_size=40))
def test_what_rpyc_cannot_decode_is_not_decoded(encoded: bytes) -> None:
    try:
        expected = repr(theirs.load(encoded))
    except Exception:  # noqa: BLE001 - as below
        with pytest.raises(Exception):  # noqa: B017 - anything at all
            brine.load(io.BytesIO(encoded))
    else:
        assert repr(brine.load(io.BytesIO(encoded))) == expected


@pytest.mark.parametrize("value", [[], {}, object(), bytearray(), type("S", (str,), {})()])
def test_what_does_not_cross_by_value_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        brine.dump((1, value))
    assert not brine.dumpable((1, value))
    assert not brine.dumpable(slice(1, value))


def test_the_numbers_and_tags_are_rpycs() -> None:
    for ours, rpycs in ((consts, their_consts), (brine, theirs)):
        names = [name for name in vars(ours) if name.isupper() and not name.startswith("_")]
        assert {name: getattr(rpycs, name) for name in names if hasattr(rpycs, name)}
        for name in names:
            if name.startswith(("TAG_", "MSG_", "LABEL_", "HANDLE_", "EXC_")):
                assert getattr(ours, name) == getattr(rpycs, name)
