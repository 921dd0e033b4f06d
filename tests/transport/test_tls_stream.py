"""A stream under TLS: what TLS holds back, how it ends, and bytes that were changed."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
import trustme

from nodes.transport import (
    Lane,
    Limits,
    LinkLost,
    Secure,
    TlsFailed,
    TlsStream,
)
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import Gate, ask, calling, descriptor, listens_with

LONG = Limits(first_byte=600.0, frame=600.0, idle=600.0)


def test_a_session_ticket_is_no_word_of_the_peer(
    start_server: StartServer, foreign: trustme.CA
) -> None:
    listening = listens_with(foreign.issue_cert("127.0.0.1"))
    listening.num_tickets = 2
    trusts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    foreign.configure_trust(trusts)
    with Lane.dial(*start_server(tls=listening).address, tls=Secure(trusts)) as lane:
        assert select.select([descriptor(lane)], [], [], PATIENCE)[0], "something came"
        assert not lane.stale
        assert ask(lane, "echo", 1) == (1,)


@pytest.fixture
def ends(
    ended: ExitStack, master: ssl.SSLContext, to_master: Secure
) -> tuple[TlsStream, ssl.SSLSocket, socket.socket]:
    """Two ends of one connection after their handshake, and the socket of the first.

    The other end is Python's own.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = ended.enter_context(socket.create_connection(listener.getsockname()))
        far = listener.accept()[0]
    far.settimeout(PATIENCE)
    answering = master.wrap_socket(far, server_side=True, do_handshake_on_connect=False)
    ended.enter_context(answering)
    dialling = TlsStream(near, to_master.context, "127.0.0.1")
    thread = threading.Thread(target=answering.do_handshake)
    thread.start()
    dialling.shake_hands(time.monotonic() + PATIENCE)
    thread.join()
    return dialling, answering, near


def test_what_is_decrypted_already_is_not_forgotten(ends: Any) -> None:
    dialling, answering, near = ends
    deadline = time.monotonic() + PATIENCE
    for word in (b"one", b"two", b"three"):
        answering.sendall(word)
    # All three are there: the system has seen the last of them.
    poll_for(lambda: len(near.recv(1000, socket.MSG_PEEK)) >= 3 * 22 + 11)
    assert dialling.read(deadline) == b"one"
    assert not select.select([near], [], [], 0.0)[0], "the system has none left"
    assert dialling.buffered()
    assert dialling.readable()
    over = time.monotonic() - 1.0
    assert [dialling.read(over), dialling.read(over)] == [b"two", b"three"]
    assert not dialling.buffered()
    with pytest.raises(TimeoutError):
        dialling.read(over)


def test_an_end_is_an_end(ends: Any) -> None:
    dialling, answering, _ = ends
    deadline = time.monotonic() + PATIENCE
    answering.sendall(b"last")
    answering.shutdown(socket.SHUT_WR)
    poll_for(dialling.readable)
    assert dialling.read(deadline) == b"last"
    with pytest.raises(EOFError):
        dialling.read(deadline)


def test_a_goodbye_is_an_end_after_the_last_word(foreign: trustme.CA) -> None:
    """The real library's way to end: its close_notify comes right behind the last bytes."""
    context = listens_with(foreign.issue_cert("127.0.0.1"))
    trusts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    foreign.configure_trust(trusts)

    def speak() -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as far:
            far.sendall(b"last")
            with contextlib.suppress(OSError):  # the other end hangs up without a goodbye
                far.unwrap()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=speak)
        thread.start()
        with socket.create_connection(listener.getsockname()) as near:
            stream = TlsStream(near, trusts, "127.0.0.1")
            deadline = time.monotonic() + PATIENCE
            stream.shake_hands(deadline)
            assert stream.read(deadline) == b"last"
            poll_for(stream.readable)
            assert not stream.buffered()
            for _ in range(2):
                with pytest.raises(EOFError):
                    stream.read(deadline)
        thread.join()


def test_bytes_changed_on_the_way_are_noticed(ends: Any) -> None:
    dialling, answering, _ = ends
    os.write(answering.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(TlsFailed, match="bad record mac"):
        dialling.read(time.monotonic() + PATIENCE)


def test_an_abort_wakes_the_owner(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait}, tls=master)
    with Lane.dial(*running.address, tls=to_master) as lane:
        with calling(lane, "wait") as answer:
            poll_for(lambda: gate.entered)
            lane.abort()
            assert isinstance(answer.exception(PATIENCE), LinkLost)
