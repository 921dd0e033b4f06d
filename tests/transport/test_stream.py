"""Deadlines on a socket: kept by the kernel, each its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from nodes.transport.stream import CHUNK_BYTES, Stream, remaining
from tests.kit import PATIENCE

SHORT = 0.05


@pytest.fixture
def pair() -> Iterator[tuple[Stream, socket.socket]]:
    """A stream, and the socket at its other end. Over TCP, as the kernel's timeouts are
    those of the protocol: between Unix sockets a send's is begun anew with each piece.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    with near, far:
        far.settimeout(PATIENCE)
        yield Stream(near), far


def after(seconds: float) -> float:
    return time.monotonic() + seconds


def test_time_that_is_over_is_an_error() -> None:
    assert 0 < remaining(after(PATIENCE)) <= PATIENCE
    with pytest.raises(TimeoutError):
        remaining(after(-1))


def test_a_read_without_data_ends(pair: tuple[Stream, socket.socket]) -> None:
    stream, far = pair
    with pytest.raises(TimeoutError):
        stream.read(after(SHORT))
    far.sendall(b"late")
    assert stream.read(after(PATIENCE)) == b"late"


def test_a_long_wait_does_not_outlive_its_read(pair: tuple[Stream, socket.socket]) -> None:
    stream, far = pair
    far.sendall(b"early")
    assert stream.read(after(3600)) == b"early"
    with pytest.raises(TimeoutError):
        stream.read(after(SHORT))


def test_a_short_wait_does_not_cut_a_later_read(pair: tuple[Stream, socket.socket]) -> None:
    stream, far = pair
    with pytest.raises(TimeoutError):
        stream.read(after(0.001))
    timer = threading.Timer(SHORT, far.sendall, (b"in time",))
    timer.start()
    assert stream.read(after(PATIENCE)) == b"in time"
    timer.join(PATIENCE)


@pytest.mark.parametrize("seconds", [SHORT * 0.6, SHORT, SHORT * 1.04])
def test_no_wait_ends_before_its_time(pair: tuple[Stream, socket.socket], seconds: float) -> None:
    """Whatever the kernel was told for the wait before it."""
    stream, _ = pair
    for wait in (
        stream.read,
        lambda until: stream.send(bytes(32 << 20), until),
    ):
        for length in (seconds, SHORT):
            deadline = after(length)
            with pytest.raises(TimeoutError):
                wait(deadline)
            assert time.monotonic() >= deadline


def test_waits_of_any_length_end(pair: tuple[Stream, socket.socket]) -> None:
    """None is so short that the kernel takes it for "for ever"."""
    stream, _ = pair
    for seconds in (-1, 0, 1e-9, 1e-6, 1e-4, 0.002):
        with pytest.raises(TimeoutError):
            stream.read(after(seconds))


def test_the_end_of_the_peer(pair: tuple[Stream, socket.socket]) -> None:
    stream, far = pair
    far.sendall(b"last words")
    far.shutdown(socket.SHUT_WR)
    assert stream.read(after(PATIENCE)) == b"last words"
    with pytest.raises(EOFError, match="closed by the peer"):
        stream.read(after(PATIENCE))


def test_a_send_that_nobody_takes_ends(pair: tuple[Stream, socket.socket]) -> None:
    stream, _ = pair
    with pytest.raises(TimeoutError):
        stream.send(bytes(32 << 20), after(SHORT))


def test_a_send_that_is_taken_slowly_ends_too(pair: tuple[Stream, socket.socket]) -> None:
    """Each piece is taken in time; the deadline is over all of them."""
    stream, far = pair
    done = threading.Event()

    def sip() -> None:
        while not done.wait(SHORT / 10):
            far.recv(1000)

    thread = threading.Thread(target=sip)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            stream.send(bytes(32 << 20), after(4 * SHORT))
    finally:
        done.set()
        thread.join(PATIENCE)


def test_much_is_sent_and_received_whole(pair: tuple[Stream, socket.socket]) -> None:
    stream, far = pair
    payload = bytes(range(256)) * (CHUNK_BYTES // 16)
    thread = threading.Thread(target=far.sendall, args=(payload,))
    thread.start()
    deadline, came = after(PATIENCE), b""
    while len(came) < len(payload):
        came += stream.read(deadline)
    assert came == payload
    thread.join(PATIENCE)
    got = bytearray()

    def drain() -> None:
        while len(got) < len(payload):
            got.extend(far.recv(CHUNK_BYTES))

    thread = threading.Thread(target=drain)
    thread.start()
    stream.send(payload, after(PATIENCE))
    thread.join(PATIENCE)
    assert bytes(got) == payload
