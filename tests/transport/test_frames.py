"""Framing: RPyC's, whatever way the bytes are split, and bounded."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpyc.core import Channel

from nodes.transport.frames import HEADER, FrameReader, MalformedError, frame, inflate

CAP = 1 << 20
payloads = st.binary(min_size=1, max_size=5000)


class MemoryStream:
    """The stream under RPyC's own channel, in memory."""

    MAX_IO_CHUNK = 64_000

    def __init__(self, held: bytes = b"") -> None:
        self.buffered = held

    def write(self, data: bytes) -> None:
        self.buffered += data

    def read(self, count: int) -> bytes:
        data, self.buffered = self.buffered[:count], self.buffered[count:]
        return data


def pieces(stream: bytes, sizes: list[int]) -> list[bytes]:
    """The stream cut into pieces of these sizes, over and over."""
    cut, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        cut.append(stream[at : at + size])
        at, turn = at + size, turn + 1
    return cut


@given(
    sent=st.lists(payloads, max_size=5),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=8),
    compress=st.booleans(),
)
def test_what_rpyc_frames_is_read_however_it_arrives(
    sent: list[bytes], sizes: list[int], compress: bool
) -> None:
    pipe = MemoryStream()
    channel = Channel(pipe, compress=compress)
    for payload in sent:
        channel.send(payload)
    reader, got = FrameReader(CAP), []
    for piece in pieces(pipe.buffered, sizes):
        payload_read = reader.take(piece)
        while payload_read is not None:
            got.append(payload_read)
            payload_read = reader.next()
    assert got == sent
    assert not reader.buffered


@given(payloads, payloads)
def test_rpyc_reads_what_we_frame(first: bytes, second: bytes) -> None:
    pipe = MemoryStream(frame(first, second))
    assert Channel(pipe).recv() == first + second
    assert pipe.buffered == b""


@pytest.mark.parametrize("squeezed", [0, 1])
def test_the_cap_is_exact(squeezed: int) -> None:
    def framed(size: int) -> bytes:
        body = zlib.compress(bytes(size)) if squeezed else bytes(size)
        return HEADER.pack(len(body), squeezed) + body + b"\n"

    reader = FrameReader(5000)
    reader.feed(framed(5000))
    assert reader.next() == bytes(5000)
    reader.feed(framed(5001))
    with pytest.raises(MalformedError):
        reader.next()


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(HEADER.pack(2**32 - 1, 0), id="claims 4 GB"),
        pytest.param(HEADER.pack(CAP + 1, 0), id="claims a byte too many"),
        pytest.param(HEADER.pack(0, 0), id="claims nothing"),
        pytest.param(HEADER.pack(10, 2), id="is neither plain nor compressed"),
    ],
)
def test_a_bad_header_is_refused_before_anything_follows_it(start: bytes) -> None:
    reader = FrameReader(CAP)
    reader.feed(start)
    with pytest.raises(MalformedError, match="header"):
        reader.next()


def test_a_frame_must_end_as_frames_do() -> None:
    reader = FrameReader(CAP)
    reader.feed(HEADER.pack(3, 0) + b"abc")
    assert reader.next() is None
    reader.feed(b"d")
    with pytest.raises(MalformedError, match="end mark"):
        reader.next()


def test_a_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(64 * CAP), 9)
    assert len(bomb) < CAP
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError, match="more than"):
            inflate(bomb, CAP)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * CAP


whole = zlib.compress(b"payload " * 100)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(whole[:-1], id="cut short"),
        pytest.param(whole + b"x", id="with more behind"),
        pytest.param(zlib.compress(b""), id="empty"),
        pytest.param(b"plain", id="not zlib"),
    ],
)
def test_what_does_not_inflate_to_one_payload_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError, match="compressed frame"):
        inflate(data, CAP)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20))
def test_random_bytes_give_payloads_or_broken(chunks: list[bytes]) -> None:
    reader = FrameReader(200)
    fed = 0
    try:
        for chunk in chunks:
            reader.feed(chunk)
            fed += len(chunk)
            while (payload := reader.next()) is not None:
                assert 0 < len(payload) <= 200
    except MalformedError:
        assert fed >= HEADER.size
