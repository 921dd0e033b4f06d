"""TLS under RPyC: the same calls, the same deadlines, and each refusal says why."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
import warnings
from pathlib import Path

import pytest
import rpyc
import trustme
from rpyc.core.stream import SocketStream

from nodes.security.tls import CertificateRole, Tls
from nodes.transport import (
    HandshakeFailed,
    Lane,
    LanePool,
    Limits,
    LinkLost,
    Secure,
)
from tests.kit import PATIENCE, SilentServer, make_tls, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import RunningServer, ask, listens_with

SHORT = 0.05
LONG = Limits(first_byte=600.0, frame=600.0, idle=600.0)


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
        assert not lane.stale
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
    running = start_server(tls=Tls(folder, CertificateRole.WORKER).listening())
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
    with SilentServer() as silent, pytest.raises(HandshakeFailed, match="no TLS handshake in time"):
        Lane.dial("127.0.0.1", silent.port, tls=to_master, timeout=SHORT)


def test_a_name_that_no_certificate_can_have(start_server: StartServer, to_master: Secure) -> None:
    port = start_server(tls=None).address[1]
    with pytest.raises(HandshakeFailed), pytest.MonkeyPatch.context() as patch:
        found = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
        patch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found)
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
    context = Tls(folder, CertificateRole.WORKER).listening()
    context.verify_mode = ssl.CERT_REQUIRED
    running = start_server(tls=context)
    secure = Tls(folder, None).to_workers()
    assert "the peer wants a certificate, and none was shown" in told(running, secure)
    with Lane.dial(*running.address, tls=Tls(folder, CertificateRole.MASTER).to_workers()) as lane:
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
