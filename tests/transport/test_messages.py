"""Messages: the same bytes that RPyC writes, and nothing but `MalformedError` for what is none."""

from __future__ import annotations

import enum
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpyc.core import brine, consts, vinegar

from nodes.transport import messages, shortcuts
from nodes.transport.frames import FrameReader, MalformedError, frame
from nodes.transport.values import IdPack, Utf8
from tests.transport.kit import load_call, values

seqs = st.integers(0, 2**40)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
references = st.tuples(texts, st.integers(0, 2**64), st.integers(0, 2**64))


def payload_of(framed: bytes) -> bytes:
    reader = FrameReader(1 << 26)
    reader.feed(framed)
    payload = reader.next()
    assert payload is not None
    return payload


def by_rpyc(kind: int, seq: int, body: object) -> bytes:
    """The frame of a message as `rpyc.Connection._send` makes it."""
    return frame(brine.I1.pack(kind) + brine.dump((seq, body)))


@given(seqs, values)
def test_a_value_reply_is_what_rpyc_sends(seq: int, value: object) -> None:
    expected = by_rpyc(consts.MSG_REPLY, seq, (consts.LABEL_VALUE, value))
    assert messages.value_reply(seq, value) == expected


@given(seqs, texts)
def test_finished_text_is_what_rpyc_sends_for_a_str(seq: int, text: str) -> None:
    assert messages.value_reply(seq, Utf8(text.encode())) == messages.value_reply(seq, text)


@given(seqs, references)
def test_a_reference_reply_is_what_rpyc_sends(seq: int, ref: IdPack) -> None:
    expected = by_rpyc(consts.MSG_REPLY, seq, (consts.LABEL_REMOTE_REF, ref))
    assert messages.reference_reply(seq, ref) == expected


@given(seqs)
def test_asking_for_the_root_is_what_rpyc_sends(seq: int) -> None:
    expected = by_rpyc(consts.MSG_REQUEST, seq, (consts.HANDLE_GETROOT, (consts.LABEL_VALUE, ())))
    assert messages.root_request(seq) == expected


@given(seqs, references, texts)
def test_asking_for_a_verb_is_what_rpyc_sends(seq: int, root: IdPack, verb: str) -> None:
    boxed = ((consts.LABEL_LOCAL_REF, root), (consts.LABEL_VALUE, verb))
    expected = by_rpyc(
        consts.MSG_REQUEST, seq, (consts.HANDLE_GETATTR, (consts.LABEL_TUPLE, boxed))
    )
    assert messages.verb_request(seq, root, verb) == expected


@given(
    seqs,
    references,
    st.lists(values, max_size=300).map(tuple),
    st.dictionaries(texts, values, max_size=6),
)
def test_a_call_is_what_rpyc_sends(
    seq: int, ref: IdPack, args: tuple[object, ...], named: dict[str, object]
) -> None:
    boxed = (
        (consts.LABEL_LOCAL_REF, ref),
        (consts.LABEL_VALUE, args),
        (consts.LABEL_VALUE, tuple(named.items())),
    )
    expected = by_rpyc(consts.MSG_REQUEST, seq, (consts.HANDLE_CALL, (consts.LABEL_TUPLE, boxed)))
    encoded = messages.arguments(args, named)
    assert messages.call_request(seq, messages.call_head(ref), encoded) == expected


@given(st.integers(0, 255), seqs, values)
def test_what_rpyc_encodes_is_loaded(kind: int, seq: int, body: object) -> None:
    payload = brine.I1.pack(kind) + brine.dump((seq, body))
    for reads in (messages.MAX_REPLY_READS, len(payload) * 3):
        assert messages.load(payload, reads) == (kind, seq, body)


@pytest.mark.parametrize(
    "value",
    [
        slice(1, None, 2),
        frozenset({1, "a", (2,)}),
        Ellipsis,
        NotImplemented,
        float("inf"),
        -(10**4299),
    ],
    ids=["slice", "frozenset", "Ellipsis", "NotImplemented", "infinity", "4,300 digits"],
)
def test_the_rarer_values_of_rpyc_are_loaded(value: object) -> None:
    payload = payload_of(messages.value_reply(7, value))
    assert messages.load(payload, messages.MAX_REPLY_READS).body == (consts.LABEL_VALUE, value)


def test_an_exception_reply_says_what_it_is_told_and_no_more() -> None:
    payload = payload_of(messages.exception_reply(3, "builtins", "AttributeError", "no such verb"))
    message = messages.load(payload, messages.MAX_REPLY_READS)
    assert message[:2] == (consts.MSG_EXCEPTION, 3)
    raised: Any = vinegar.load(
        message.body,
        import_custom_exceptions=False,
        instantiate_custom_exceptions=False,
        instantiate_oldstyle_exceptions=False,
    )
    assert isinstance(raised, AttributeError)
    assert raised.args == ("no such verb",)
    assert vars(raised)["_remote_tb"] == "<traceback denied>"


class Name(str):
    __slots__ = ()


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize("value", [[1], {}, set(), Name("x"), Colour.RED, object(), (1, [2])])
def test_what_does_not_cross_by_value_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        messages.arguments((value,))
    with pytest.raises(TypeError):
        messages.arguments((), {"name": value})
    with pytest.raises(TypeError):
        messages.value_reply(1, value)


@pytest.mark.parametrize("value", ["\ud800", 10**4300], ids=["a lone surrogate", "a huge integer"])
def test_content_that_does_not_cross_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):
        messages.arguments((value,))


HEADS = {messages.call_head((*messages.VERB[:2], n)): n for n in range(1, 4)}
calls = st.builds(
    lambda seq, number, args, named: payload_of(
        messages.call_request(
            seq, messages.call_head((*messages.VERB[:2], number)), messages.arguments(args, named)
        )
    ),
    seqs,
    st.integers(1, 5),
    st.lists(values, max_size=4).map(tuple),
    st.dictionaries(texts, values, max_size=1),
)


def damaged(payload: bytes, data: st.DataObject) -> bytes:
    copy = bytearray(payload)
    for _ in range(data.draw(st.integers(0, 3))):
        copy[data.draw(st.integers(0, len(copy) - 1))] = data.draw(st.integers(0, 255))
    return bytes(copy)


@given(calls, st.data())
def test_the_short_way_to_a_call_finds_what_the_long_way_does(
    payload: bytes, data: st.DataObject
) -> None:
    payload = damaged(payload, data)
    try:
        short = load_call(payload, HEADS)
    except MalformedError:
        with pytest.raises(MalformedError):
            messages.load(payload, messages.MAX_REQUEST_READS)
        return
    if short is None:
        return
    seq, number, args = short
    ref = (consts.LABEL_LOCAL_REF, (*messages.VERB[:2], number))
    boxed = (ref, (consts.LABEL_VALUE, args), (consts.LABEL_VALUE, ()))
    body = (consts.HANDLE_CALL, (consts.LABEL_TUPLE, boxed))
    # By text: a damaged float may be no number, and then does not equal itself.
    assert repr(messages.load(payload, messages.MAX_REQUEST_READS)) == repr(
        messages.Message(consts.MSG_REQUEST, seq, body)
    )


def test_the_short_way_is_taken_and_left_where_it_should_be() -> None:
    def ask(number: int, named: dict[str, object]) -> object:
        encoded = messages.arguments(("x", 2), named)
        head = messages.call_head((*messages.VERB[:2], number))
        payload = payload_of(messages.call_request(7, head, encoded))
        return load_call(payload, HEADS)

    assert ask(2, {}) == (7, 2, ("x", 2))
    assert ask(2, {"key": 1}) is None
    assert ask(4, {}) is None
    assert load_call(payload_of(messages.root_request(7)), HEADS) is None
    assert load_call(payload_of(messages.value_reply(7, 1)), HEADS) is None


def test_the_short_ways_are_as_strict_as_the_long_one() -> None:
    call = (
        brine.TAG_TUP2
        + b"%b"
        + messages.call_head((*messages.VERB[:2], 2))
        + messages.arguments(())
    )
    for seq, extra in ((brine.TAG_TRUE, b""), (brine.dump("7"), b""), (brine.dump(7), b"x")):
        payload = b"\x01" + call % seq + extra
        assert load_call(payload, HEADS) is None
        with pytest.raises(MalformedError):
            messages.load(payload, messages.MAX_REQUEST_READS)
    payload = payload_of(messages.value_reply(7, "value")) + b"x"
    assert shortcuts.find_value(payload) is None
    with pytest.raises(MalformedError, match="to spare"):
        messages.load(payload, messages.MAX_REPLY_READS)


@given(seqs, values, st.data())
def test_the_short_way_to_a_value_finds_what_the_long_way_does(
    seq: int, value: object, data: st.DataObject
) -> None:
    payload = payload_of(messages.value_reply(seq, value))
    short = shortcuts.find_value(payload)
    if type(value) is bytes and len(value) > 4 and 0 <= seq < messages.MAX_KEPT_SEQUENCES:
        assert short == (seq, value)
    payload = damaged(payload, data)
    try:
        short = shortcuts.find_value(payload)
    except MalformedError:
        with pytest.raises(MalformedError):
            messages.load(payload, messages.MAX_REPLY_READS)
        return
    if short is not None:
        number, found = short
        body = (consts.LABEL_VALUE, found)
        assert repr(messages.load(payload, messages.MAX_REPLY_READS)) == repr(
            messages.Message(consts.MSG_REPLY, number, body)
        )


def tuples(depth: int) -> bytes:
    nested: bytes = brine.TAG_TUP1 * depth + brine.TAG_NONE
    return nested


HEAD = b"\x01" + brine.TAG_TUP2 + brine.dump(1)
# Integers of one hash: a set of them compares each with all before it.
COLLIDING = tuple(k * (2**61 - 1) for k in range(1, 20_000))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x01", id="only a kind"),
        pytest.param(HEAD, id="no body"),
        pytest.param(b"\x01" + brine.dump(7), id="no pair"),
        pytest.param(b"\x01" + brine.dump((1, 2, 3)), id="three"),
        pytest.param(b"\x01" + brine.dump((True, 2)), id="a bool for a number"),
        pytest.param(b"\x01" + brine.dump(("1", 2)), id="a text for a number"),
        pytest.param(b"\x01" + brine.dump((1, 2)) + b"x", id="bytes to spare"),
        pytest.param(HEAD + tuples(100_000), id="deep tuples"),
        pytest.param(HEAD + brine.TAG_FSET * 100_000, id="deep sets"),
        pytest.param(HEAD + brine.TAG_SLICE * 100_000, id="deep slices"),
        pytest.param(HEAD + brine.TAG_TUP_L4 + b"\xff" * 4, id="4 billion items"),
        pytest.param(HEAD + brine.dump((None,) * 1_000_000), id="a million items"),
        pytest.param(HEAD + brine.TAG_FSET + brine.dump(COLLIDING), id="a set of equal hashes"),
        pytest.param(
            HEAD + brine.TAG_FSET + brine.dump((slice(1),)),
            id="a set of slices",
            marks=pytest.mark.skipif(
                sys.version_info >= (3, 12), reason="slices can be in sets from Python 3.12 on"
            ),
        ),
        pytest.param(HEAD + brine.TAG_UNICODE + brine.dump(b"\xff"), id="broken UTF-8"),
        pytest.param(HEAD + brine.TAG_UNICODE + brine.dump(1), id="a number as text"),
        pytest.param(HEAD + brine.TAG_INT_L1 + b"\x03a1b", id="letters as digits"),
        pytest.param(HEAD + b"\x09", id="no such tag"),
    ],
)
def test_what_is_no_message_is_broken(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        messages.load(payload, messages.MAX_REQUEST_READS)


def test_a_reply_may_have_more_parts_than_a_request() -> None:
    payload = HEAD + brine.dump(tuple(f"file {number}" for number in range(10_000)))
    assert len(payload) > messages.MAX_REPLY_READS
    assert messages.load(payload, messages.MAX_REPLY_READS).seq == 1
    with pytest.raises(MalformedError, match="parts"):
        messages.load(payload, messages.MAX_REQUEST_READS)


def loads_or_breaks(payload: bytes) -> None:
    try:
        message = messages.load(payload, messages.MAX_REQUEST_READS)
    except MalformedError as exc:
        assert str(exc)
    else:
        assert message.kind == payload[0]


@given(st.binary(max_size=400))
def test_random_bytes_load_or_break(payload: bytes) -> None:
    loads_or_breaks(payload)
    loads_or_breaks(HEAD + payload)


@given(values, st.data())
def test_a_damaged_message_loads_or_breaks(body: object, data: st.DataObject) -> None:
    loads_or_breaks(damaged(b"\x01" + brine.dump((1, body)), data))
