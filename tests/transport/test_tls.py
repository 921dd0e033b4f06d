"""TLS under RPyC: the same calls, the same deadlines, and each refusal says why."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import rpyc
import trustme
from rpyc.core.stream import SocketStream

from nodes.security.tls import Role, Tls
from nodes.transport import (
    HandshakeFailed,
    Lane,
    LanePool,
    Limits,
    LinkLost,
    RemoteFailure,
    Secure,
    TlsFailed,
    TlsStream,
    messages,
)
from nodes.transport.connection import ROOT
from tests.kit import PATIENCE, Mute, make_tls, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import FIRST_VERB, RawPeer, RunningServer, ask, hello

SHORT = 0.05
LONG = Limits(first_byte=600.0, frame=600.0, idle=600.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tls(tmp_path_factory.mktemp("tls") / "own")


@pytest.fixture(scope="module")
def master(folder: Path) -> ssl.SSLContext:
    """What a master listens with."""
    return Tls(folder, Role.MASTER).listening()


@pytest.fixture(scope="module")
def to_master(folder: Path) -> Secure:
    """How a worker dials a master."""
    return Tls(folder, Role.WORKER).to_master()


@pytest.fixture(scope="module")
def foreign() -> trustme.CA:
    """A CA that is not the cluster's."""
    return trustme.CA()


def listens_with(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def old_tls(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same, with TLS 1.1 as the newest version it speaks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


# -- calls -----------------------------------------------------------------------------


def test_a_lane_calls_as_it_does_without(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    running = start_server({"big": lambda: bytes(20 << 20)}, tls=master)
    with Lane.dial(*running.address, tls=to_master) as lane:
        assert ask(lane, "echo", 1, "two") == (1, "two")
        assert ask(lane, "echo", bytes(3 << 20)) == (bytes(3 << 20),)
        assert ask(lane, "big") == bytes(20 << 20)
        assert not lane.wait_closed(0.0)
        shown = running.services[0].opened[0].certificate
    assert shown is not None
    assert shown.role == "worker"
    assert shown.expires_at == pytest.approx(time.time() + 100 * 86400, abs=3600)


def test_a_client_without_a_certificate_is_served_and_is_nobody(
    start_server: StartServer, master: ssl.SSLContext, folder: Path
) -> None:
    running = start_server(tls=master)
    secure = Tls(folder, None).to_master()
    with Lane.dial(*running.address, tls=secure) as lane:
        assert ask(lane, "echo", 1) == (1,)
    assert running.services[0].opened[0].certificate is None


def test_a_pool_keeps_its_lanes(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    pool = LanePool(*start_server(tls=master).address, tls=to_master)
    with contextlib.closing(pool):
        first = pool.take(timeout=PATIENCE)
        assert ask(first, "echo", 1) == (1,)
        pool.give(first)
        assert pool.take(timeout=PATIENCE) is first
        pool.give(first)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_stock_client_with_a_context_of_its_own(
    start_server: StartServer, master: ssl.SSLContext, folder: Path, newest: ssl.TLSVersion
) -> None:
    running = start_server(tls=master)
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.maximum_version = newest
    sock = context.wrap_socket(
        socket.create_connection(running.address), server_hostname="localhost"
    )
    connection = rpyc.connect_stream(SocketStream(sock))
    with contextlib.closing(connection):
        assert connection.root.echo(1, "two") == (1, "two")
        assert len(connection.root.echo(bytes(3 << 20))[0]) == 3 << 20


def test_a_stock_client_by_ssl_connect(
    start_server: StartServer, master: ssl.SSLContext, folder: Path
) -> None:
    running = start_server(tls=master)
    connection = rpyc.ssl_connect(
        *running.address, ca_certs=str(folder / "ca.pem"), cert_reqs=ssl.CERT_REQUIRED
    )
    with contextlib.closing(connection):
        assert connection.root.echo(1) == (1,)


# -- whom a lane does not trust ----------------------------------------------------------


def refusal(running: RunningServer, secure: Secure, host: str = "127.0.0.1") -> str:
    """What a dial says when it must fail."""
    with pytest.raises(HandshakeFailed) as told:
        Lane.dial(host, running.address[1], tls=secure, timeout=PATIENCE).close()
    return str(told.value)


def test_another_ca(start_server: StartServer, foreign: trustme.CA, to_master: Secure) -> None:
    running = start_server(tls=listens_with(foreign.issue_cert("127.0.0.1")))
    assert "not from the cluster's CA" in refusal(running, to_master)


def test_a_certificate_that_is_self_signed(
    start_server: StartServer, foreign: trustme.CA, to_master: Secure, tmp_path: Path
) -> None:
    # What a rogue makes for itself: its CA's own certificate, shown as a server's.
    foreign.cert_pem.write_to_path(str(tmp_path / "cert.pem"))
    foreign.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert "is self-signed" in refusal(start_server(tls=context), to_master)


def test_another_name(start_server: StartServer, foreign: trustme.CA) -> None:
    running = start_server(tls=listens_with(foreign.issue_cert("10.0.0.1", "elsewhere.example")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    foreign.configure_trust(context)
    assert "is for another address" in refusal(running, Secure(context))
    assert "is for another name" in refusal(running, Secure(context), "localhost")


def test_another_time(
    start_server: StartServer, to_master: Secure, folder: Path, tmp_path: Path
) -> None:
    for days_ago, why in ((200, "has expired"), (-5, "is not valid yet")):
        made = make_tls(tmp_path / str(days_ago), days_ago=days_ago)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made / "master.pem", made / "master-key.pem")
        trusts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Trusted as it is, so that the time is all that is wrong.
        trusts.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        trusts.load_verify_locations(made / "master.pem")
        assert why in refusal(start_server(tls=context), Secure(trusts))


def test_another_role(start_server: StartServer, folder: Path, to_master: Secure) -> None:
    running = start_server(tls=Tls(folder, Role.WORKER).listening())
    assert "is a worker's, not a master's" in refusal(running, to_master)


def test_no_role(start_server: StartServer, foreign: trustme.CA) -> None:
    running = start_server(tls=listens_with(foreign.issue_cert("127.0.0.1")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    foreign.configure_trust(context)
    assert "of no role, not a master's" in refusal(running, Secure(context, "master"))


def test_an_old_version(start_server: StartServer, foreign: trustme.CA, to_master: Secure) -> None:
    context = old_tls(listens_with(foreign.issue_cert("127.0.0.1")))
    assert "no version of TLS in common" in refusal(start_server(tls=context), to_master)


def test_a_peer_without_tls(start_server: StartServer, to_master: Secure) -> None:
    assert "does it use TLS?" in refusal(start_server(), to_master)


def test_a_peer_that_answers_something_else(to_master: Secure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(HandshakeFailed, match="the peer does not use TLS"):
            Lane.dial(*listener.getsockname(), tls=to_master, timeout=PATIENCE)
        thread.join()


def test_a_mute_peer(to_master: Secure) -> None:
    with Mute() as mute, pytest.raises(HandshakeFailed, match="no TLS handshake in time"):
        Lane.dial("127.0.0.1", mute.port, tls=to_master, timeout=SHORT)


def test_a_name_that_no_certificate_can_have(start_server: StartServer, to_master: Secure) -> None:
    port = start_server(tls=None).address[1]
    with pytest.raises(HandshakeFailed), pytest.MonkeyPatch.context() as patch:
        dial = socket.create_connection
        patch.setattr(socket, "create_connection", lambda _address, t: dial(("127.0.0.1", port), t))
        Lane.dial(".dot", port, tls=to_master)


def test_a_lane_without_tls_is_told(start_server: StartServer, master: ssl.SSLContext) -> None:
    with Lane.dial(*start_server(tls=master).address) as lane:
        with pytest.raises(LinkLost, match="the peer uses TLS, and this end does not"):
            ask(lane, "echo")


# -- whom a server does not trust --------------------------------------------------------


def shown(context: ssl.SSLContext, folder: Path) -> Secure:
    """As a lane dials that shows what is in `context`."""
    context.load_verify_locations(folder / "ca.pem")
    return Secure(context)


def told(running: RunningServer, secure: Secure) -> str:
    """What the first call says, as with TLS 1.3 a refusal comes after the handshake."""
    with pytest.raises((LinkLost, HandshakeFailed)) as caught:
        with Lane.dial(*running.address, tls=secure, timeout=PATIENCE) as lane:
            ask(lane, "echo", 1)
    return str(caught.value)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificates_that_a_server_refuses(
    start_server: StartServer,
    master: ssl.SSLContext,
    folder: Path,
    foreign: trustme.CA,
    tmp_path: Path,
    newest: ssl.TLSVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "rollcall.transport")
    running = start_server(tls=master)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = newest
    foreign.issue_cert("127.0.0.1").configure_cert(context)
    assert "refuses our certificate: it is not from its CA" in told(running, shown(context, folder))
    poll_for(lambda: "the peer's certificate is not from the cluster's CA" in caplog.text)
    assert running.services == [], "no verb was in reach"


def test_a_certificate_for_other_uses(
    start_server: StartServer, folder: Path, to_master: Secure
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "operator.pem", folder / "operator-key.pem")
    assert "is refused (unsuitable certificate purpose)" in refusal(
        start_server(tls=context), to_master
    )


def test_a_certificate_where_one_is_needed(start_server: StartServer, folder: Path) -> None:
    context = Tls(folder, Role.WORKER).listening()
    context.verify_mode = ssl.CERT_REQUIRED
    running = start_server(tls=context)
    secure = Tls(folder, None).to_workers()
    assert "the peer wants a certificate, and none was shown" in told(running, secure)
    with Lane.dial(*running.address, tls=Tls(folder, Role.MASTER).to_workers()) as lane:
        assert ask(lane, "echo", 1) == (1,)


def test_a_client_of_an_old_version(
    start_server: StartServer,
    master: ssl.SSLContext,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "rollcall.transport")
    running = start_server(tls=master)
    secure = shown(old_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), folder)
    assert "no version of TLS in common" in told(running, secure)
    poll_for(lambda: "no version of TLS in common" in caplog.text)


# -- who is no peer at all -----------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(messages.root_request(1), id="plain RPyC"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="HTTP"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(bytes(range(256)), id="every byte"),
        pytest.param(b"\x16\x03\x01\x02\x00" + bytes(512), id="a record of nothing"),
        pytest.param(b"\x16\x03\x01\xff\xff" + b"\x01\xff\xff\xff" * 20000, id="a huge hello"),
        pytest.param(b"\xff" * 64, id="ones"),
    ],
)
def test_nonsense_is_hung_up_on_at_once(
    start_server: StartServer,
    raw: Callable[[RunningServer], RawPeer],
    master: ssl.SSLContext,
    to_master: Secure,
    said: bytes,
    quiet: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = start_server(tls=master, limits=LONG)
    peer = raw(running)
    peer.send(said)
    assert len(peer.rest()) <= 7, "an alert, and nothing else"
    poll_for(lambda: running.server.connections == 0)
    assert len(caplog.records) == 1
    assert "dropped: " in caplog.text
    assert running.services == []
    with Lane.dial(*running.address, tls=to_master) as lane:
        assert ask(lane, "echo", 1) == (1,)


def test_a_hello_where_there_is_no_tls_is_told_apart(
    start_server: StartServer,
    raw: Callable[[RunningServer], RawPeer],
    quiet: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = start_server(limits=LONG)
    peer = raw(running)
    peer.send(hello())
    assert peer.rest() == b""
    assert [record.getMessage().partition("dropped: ")[2] for record in caplog.records] == [
        "the peer uses TLS, and this end does not"
    ]


@pytest.mark.parametrize("said", [b"", hello()[:20], hello()], ids=["nothing", "half", "hello"])
def test_a_handshake_has_an_end(
    start_server: StartServer,
    raw: Callable[[RunningServer], RawPeer],
    master: ssl.SSLContext,
    said: bytes,
) -> None:
    peer = raw(start_server(tls=master, limits=Limits(first_byte=SHORT)))
    peer.send(said)
    peer.rest()


def test_a_byte_now_and_then_does_not_buy_time(
    start_server: StartServer, raw: Callable[[RunningServer], RawPeer], master: ssl.SSLContext
) -> None:
    running = start_server(tls=master, limits=Limits(first_byte=4 * SHORT))
    peer = raw(running)
    for byte in hello()[:100]:
        peer.send(bytes([byte]))
        if select.select([peer.sock], [], [], SHORT / 2)[0]:
            break
    else:
        pytest.fail("100 bytes later it is still listened to")


def test_silence_after_the_handshake_has_an_end(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    running = start_server(tls=master, limits=Limits(first_byte=4 * SHORT))
    with Lane.dial(*running.address, tls=to_master) as lane:
        assert lane.wait_closed(PATIENCE)


def test_a_peer_that_does_not_read_is_cut_off(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    asked = messages.root_request(1) + messages.verb_request(2, ROOT, "big")
    asked += messages.call_request(3, messages.call_head(FIRST_VERB), messages.arguments(()))
    running = start_server(
        {"big": lambda: bytes(24 << 20)}, tls=master, limits=Limits(frame=4 * SHORT)
    )
    with socket.create_connection(running.address) as near:
        stream = TlsStream(near, to_master.context, "127.0.0.1")
        stream.shake_hands(time.monotonic() + PATIENCE)
        stream.send(asked, time.monotonic() + PATIENCE)
        poll_for(lambda: running.services)
        poll_for(lambda: running.server.connections == 0)


def test_one_too_many_is_told_so(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    running = start_server(tls=master, limits=Limits(connections=1))
    with Lane.dial(*running.address, tls=to_master) as first:
        ask(first, "echo")
        with Lane.dial(*running.address, tls=to_master) as second:
            with pytest.raises(RemoteFailure, match="Overloaded"):
                ask(second, "echo")


def test_a_stop_ends_handshakes(
    start_server: StartServer, raw: Any, master: ssl.SSLContext
) -> None:
    running = start_server(tls=master, limits=LONG)
    peer = raw(running)
    peer.send(hello()[:20])
    poll_for(lambda: running.server.connections == 1)
    running.server.stop()
    peer.rest()


# -- what TLS holds back ---------------------------------------------------------------


def test_a_session_ticket_is_no_word_of_the_peer(
    start_server: StartServer, foreign: trustme.CA
) -> None:
    listening = listens_with(foreign.issue_cert("127.0.0.1"))
    listening.num_tickets = 2
    trusts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    foreign.configure_trust(trusts)
    with Lane.dial(*start_server(tls=listening).address, tls=Secure(trusts)) as lane:
        assert select.select([lane], [], [], PATIENCE)[0], "something came"
        assert not lane.wait_closed(SHORT)
        assert ask(lane, "echo", 1) == (1,)


@pytest.fixture
def ends(
    ended: ExitStack, master: ssl.SSLContext, to_master: Secure
) -> Iterator[tuple[TlsStream, TlsStream, socket.socket]]:
    """Two ends of one connection after their handshake, and the socket of the first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = ended.enter_context(socket.create_connection(listener.getsockname()))
        far = ended.enter_context(listener.accept()[0])
    dialling = TlsStream(near, to_master.context, "127.0.0.1")
    answering = TlsStream(far, master, None)
    deadline = time.monotonic() + PATIENCE
    thread = threading.Thread(target=answering.shake_hands, args=(deadline,))
    thread.start()
    dialling.shake_hands(deadline)
    thread.join()
    yield dialling, answering, near


def test_what_is_decrypted_already_is_not_forgotten(ends: Any) -> None:
    dialling, answering, near = ends
    deadline = time.monotonic() + PATIENCE
    for word in (b"one", b"two", b"three"):
        answering.send(word, deadline)
    # All three are there: the system has seen the last of them.
    poll_for(lambda: len(near.recv(1000, socket.MSG_PEEK)) >= 3 * 22 + 11)
    assert dialling.read(deadline) == b"one"
    assert not select.select([near], [], [], 0.0)[0], "the system has none left"
    assert dialling.buffered()
    assert dialling.readable(0.0)
    over = time.monotonic() - 1.0
    assert [dialling.read(over), dialling.read(over)] == [b"two", b"three"]
    assert not dialling.buffered()
    with pytest.raises(TimeoutError):
        dialling.read(over)


def test_an_end_is_an_end(ends: Any) -> None:
    dialling, answering, near = ends
    deadline = time.monotonic() + PATIENCE
    answering.send(b"last", deadline)
    near.shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        answering.read(deadline)
    assert dialling.readable(deadline)
    assert dialling.read(deadline) == b"last"


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
            assert stream.readable(deadline)
            assert not stream.buffered()
            for _ in range(2):
                with pytest.raises(EOFError):
                    stream.read(deadline)
        thread.join()


def test_bytes_changed_on_the_way_are_noticed(ends: Any) -> None:
    _, answering, near = ends
    near.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(TlsFailed, match="bad record mac"):
        answering.read(time.monotonic() + PATIENCE)


def test_an_abort_wakes_the_owner(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    go = threading.Event()
    running = start_server({"wait": lambda: go.wait(PATIENCE)}, tls=master)
    with Lane.dial(*running.address, tls=to_master) as lane:
        ask(lane, "echo")
        lane.send("wait", timeout=PATIENCE)
        timer = threading.Timer(SHORT, lane.abort)
        timer.start()
        with pytest.raises(LinkLost):
            lane.receive(timeout=PATIENCE)
        timer.join()
    go.set()
