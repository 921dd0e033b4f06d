"""What is said of a call that failed: our own words, and never a worker's secret."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest
import rpyc
from rpyc.utils.server import ThreadedServer

from nodes.catalog import ensure_catalog, open_catalog
from nodes.client.blocking import Client
from nodes.dispatch.failures import failure_reason, for_the_log
from nodes.errors import LookupFailed
from nodes.master.journal_file import journal_file
from nodes.master.journal_reading import read_events
from nodes.security.tokens import TokenRole, ensure_token, token_file
from nodes.support.paths import shipped_data
from nodes.transport import (
    CallTimeout,
    DialFailed,
    HandshakeFailed,
    LinkLost,
    ProtocolError,
    RemoteFailure,
    TlsFailed,
    TransportError,
)
from nodes.wire import Registration, WorkerRefusal, describe, direct_key
from tests.faults.proxy import FaultProxy
from tests.kit import PATIENCE, FakeWorker, master_alone, poll_for
from tests.transport.kit import after_resolving, lane_to

SECRET = "5ec4e7" * 5 + "00"
SHOWN = (SECRET, direct_key(SECRET))
"""What is sent to a worker's address, and is nobody else's business."""


def refused_certificate() -> LinkLost:
    """What comes of a certificate that the peer does not take."""
    lost = LinkLost("10.0.0.2:9: the peer refuses our certificate")
    lost.__cause__ = TlsFailed("the peer refuses our certificate")
    return lost


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (DialFailed(f"10.0.0.2:9: {SECRET}"), "cannot be reached"),
        (HandshakeFailed("10.0.0.2:9: the peer does not use TLS"), None),
        (LinkLost(f"10.0.0.2:9: {SECRET}"), "its connection ended"),
        (refused_certificate(), "the peer refuses our certificate"),
        (ProtocolError(f"10.0.0.2:9: {SECRET}"), "answered with something else than an answer"),
        (CallTimeout("10.0.0.2:9", 0.25), "no answer within 0.250 s"),
        (RemoteFailure("AttributeError", SECRET), "refused the call"),
        (RemoteFailure(SECRET, "no"), "refused the call"),
        (("internal", SECRET), "answered with an error of its own: internal"),
    ],
)
def test_each_failure_is_told_in_our_own_words(
    failure: TransportError | WorkerRefusal, said: str | None
) -> None:
    assert failure_reason(failure) == (said or str(failure))
    assert SECRET not in for_the_log(failure)


@pytest.mark.parametrize("secret", [*SHOWN, SECRET.upper(), SECRET[:20]])
def test_the_log_has_all_of_it_but_the_secret(secret: str) -> None:
    error = RemoteFailure("AttributeError", f"no such verb: 'lookup {secret}'")
    assert for_the_log(error) == "AttributeError: no such verb: 'lookup ...'"


def test_a_lane_tells_nonsense_from_an_end() -> None:
    with (
        lane_to(after_resolving(lambda _seq: b"HTTP/1.1 400 no")) as lane,
        pytest.raises(ProtocolError),
    ):
        lane.call("verb", timeout=PATIENCE)
    with lane_to(after_resolving(), linger=False) as lane, pytest.raises(LinkLost) as caught:
        lane.call("verb", timeout=PATIENCE)
    assert type(caught.value) is LinkLost


# -- where a worker's address may lead -----------------------------------------------


class EchoingService(rpyc.Service):  # type: ignore[misc] # RPyC has no types
    """Says in its error what it was asked for."""

    def _rpyc_getattr(self, name: str) -> object:
        raise AttributeError(f"I was asked for {name}")


@contextmanager
def gossip() -> Iterator[tuple[str, int]]:
    """A stock RPyC server that repeats what it hears."""
    server = ThreadedServer(EchoingService, hostname="127.0.0.1", port=0)
    server._listen()
    thread = threading.Thread(target=server.start, name="gossip")
    thread.start()
    yield server.host, server.port
    poll_for(lambda: not server.clients)
    server.close()
    thread.join(PATIENCE)


@contextmanager
def another_master() -> Iterator[tuple[str, int]]:
    """A master that has nothing to do with it."""
    with master_alone() as master:
        yield master.address


@contextmanager
def a_web_server() -> Iterator[tuple[str, int]]:
    """What answers everything with a page, and has never heard of RPyC."""

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.sendall(b"I was asked for what I do not know")

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, name="web")
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(PATIENCE)


@contextmanager
def registered_at(address: tuple[str, int], master: tuple[str, int]) -> Iterator[None]:
    """A worker is registered whose address leads there, once it has."""
    catalog = open_catalog(ensure_catalog(shipped_data()).path)
    said = Registration(
        instance=SECRET,
        wanted_id="astray",
        host=address[0],
        port=address[1],
        pid=1,
        catalog=describe(catalog.info),
    )
    catalog.close()
    with FaultProxy(0, Random(1)) as proxy, FakeWorker(master, said, through=proxy):
        proxy.behind = address[1]
        yield


@pytest.mark.parametrize("elsewhere", [gossip, another_master, a_web_server])
def test_the_secret_of_a_worker_whose_address_leads_elsewhere_is_told_to_nobody(
    elsewhere: Callable[[], AbstractContextManager[tuple[str, int]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("ROLLCALL_STATE", str(tmp_path / "state"))
    caplog.set_level(logging.DEBUG, "rollcall")
    said: list[str] = []
    with ExitStack() as stack:
        address = stack.enter_context(elsewhere())
        master = stack.enter_context(master_alone(require_token=True))
        ensure_token(token_file(TokenRole.CLIENT))
        client = stack.enter_context(Client(str(master.address), timeout=0.3, direct=True))
        stack.enter_context(registered_at(address, master.address))
        with pytest.raises(LookupFailed) as caught:
            client.getbyname("xander")
        said += [str(caught.value), *map(str, client.lookup_many([("getbyname", "xander")]))]
        poll_for(lambda: "suspect" in {event.kind for event in master.events.after(0)})
        said.append(master.loop.run(master.orders.switch("astray", "no/such/catalog")))
        said += [worker.why for worker in master.snapshot().workers]
        said += [event.text for event in master.events.after(0)]
    said += [event.text for event in read_events(journal_file(master.address.port))]
    ours = [record for record in caplog.records if record.name.startswith("rollcall")]
    logged = [record.getMessage() for record in ours]
    assert any(line.startswith("astray: ") for line in logged), "the cause can be found"
    assert not [words for words in said + logged for secret in SHOWN if secret in words]
    others = ("I was asked", "no such verb")
    assert not [words for words in said for other in others if other in words]
