"""Servers and peers that end with their test; nothing is left of either."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest
import rpyc
import trustme

from nodes.security.tls import CertificateRole, Tls
from nodes.transport import Lane, Limits, Secure
from tests.kit import make_tls, poll_for
from tests.transport.kit import COMMON, RawPeer, RecordingService, RunningServer, Verb


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Fails a test after which the process has more threads or descriptors than before.

    Counted by the system, and without help from the garbage collector: what a server
    or a lane holds must be let go by closing it.
    """
    process = psutil.Process()
    before = (process.num_threads(), process.num_fds())

    def clean() -> bool:
        return process.num_threads() <= before[0] and process.num_fds() <= before[1]

    yield
    poll_for(clean, what=f"no more than {before} threads and descriptors")


class StartServer(Protocol):
    """Starts a server."""

    def __call__(
        self,
        verbs: dict[str, Verb] | None = None,
        *,
        limits: Limits = ...,
        kind: type[RecordingService] = ...,
        tls: ssl.SSLContext | None = ...,
    ) -> RunningServer: ...


@pytest.fixture
def ended() -> Iterator[ExitStack]:
    """Closes what is pushed on it, before anything else ends."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start_server(ended: ExitStack) -> StartServer:
    def start(
        verbs: dict[str, Verb] | None = None,
        *,
        limits: Limits | None = None,
        kind: type[RecordingService] = RecordingService,
        tls: ssl.SSLContext | None = None,
    ) -> RunningServer:
        running = RunningServer(limits or Limits(), {**COMMON, **(verbs or {})}, kind, tls)
        ended.callback(running.stop)
        return running

    return start


@pytest.fixture
def connect(ended: ExitStack) -> Callable[[RunningServer], Any]:
    """A client of the real library."""

    def start(running: RunningServer) -> Any:
        connection = rpyc.connect(*running.address)
        ended.callback(connection.close)
        return connection

    return start


@pytest.fixture
def dial(ended: ExitStack) -> Callable[[RunningServer], Lane]:
    def start(running: RunningServer) -> Lane:
        return ended.enter_context(Lane.dial(*running.address))

    return start


@pytest.fixture
def raw(ended: ExitStack) -> Callable[[RunningServer], RawPeer]:
    """A peer that writes what it likes."""

    def start(running: RunningServer) -> RawPeer:
        peer = RawPeer(running.address)
        ended.callback(peer.sock.close)
        return peer

    return start


@pytest.fixture
def quiet(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Iterator[None]:
    """No stranger makes us say anything: our terminal may be a full-screen one."""
    caplog.set_level(logging.DEBUG, "rollcall.transport")
    yield
    if "loud" not in request.fixturenames:
        records = caplog.get_records("call")
        assert [r.getMessage() for r in records if r.levelno > logging.DEBUG] == []
    assert "".join(capfd.readouterr()) == ""


@pytest.fixture
def loud(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """For what is worth a warning: the operator can do something about it."""
    return caplog


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tls(tmp_path_factory.mktemp("tls") / "own")


@pytest.fixture(scope="module")
def master(folder: Path) -> ssl.SSLContext:
    """What a master listens with."""
    return Tls(folder, CertificateRole.MASTER).listening()


@pytest.fixture(scope="module")
def to_master(folder: Path) -> Secure:
    """How a worker dials a master."""
    return Tls(folder, CertificateRole.WORKER).to_master()


@pytest.fixture(scope="module")
def foreign() -> trustme.CA:
    """A CA that is not the cluster's."""
    return trustme.CA()
