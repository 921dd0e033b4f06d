"""The endpoint that is scraped and probed over HTTP: a small shell around `nodes.monitoring.pages`.

It has threads of its own, few of them, and each connection has little time: whoever asks for more
is turned away, and lookups go on.
"""

from __future__ import annotations

import contextlib
import http.server
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Self

from nodes.errors import BadRequest, StartError
from nodes.monitoring.pages import PLAIN, Look, Page, in_slices, is_own_name, page
from nodes.support.addresses import Address, parse_address
from nodes.support.listening import explain_bind, is_loopback
from nodes.support.supervision import Supervision, supervised_thread

logger = logging.getLogger("rollcall.monitoring")

MAX_CONNECTIONS = 16
"""Connections at once; the oldest goes for a newcomer."""

CONNECTION_S = 5.0
"""Seconds that a connection has for its request and its answer."""

LOOK_EVERY_S = 0.25
"""Seconds between two looks at who is too slow."""

ACCEPT_RETRY_S = 0.1
"""Seconds after which it is tried anew to take a connection, when there was no descriptor."""

METHODS = ("GET", "HEAD")

Connected = socket.socket | tuple[bytes, socket.socket]
"""As the library types what it has accepted; here it is always the first."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def metrics_address(text: str) -> Address:
    """The address in "HOST:PORT"; port 0 lets the system choose. Raises `BadRequest`."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        raise BadRequest(f"--metrics takes HOST:PORT, 127.0.0.1:9464 say, not {text[:80]!r}")
    if int(port) == 0:
        return Address(parse_address(f"{host}:1").host, 0)
    return parse_address(text)


def check_reach(host: str, *, is_open: bool) -> None:
    """Raises `StartError` for an address that others than this machine reach, unless it is meant
    to be.
    """
    if is_open or is_loopback(host):
        return
    raise StartError(
        f"--metrics: {host} can be reached from other machines, and nobody is asked for a token "
        "there: whoever can reach it may read how the cluster is (no records, no arguments of "
        "lookups, no secrets); add --metrics-open if that is meant, or stay here: "
        "--metrics 127.0.0.1:PORT"
    )


class Endpoint:
    """Answers those who watch, from when it is made until it is closed.

    Args:
        at: where it listens; port 0 lets the system choose.
        look: at the cluster; see `nodes.monitoring.pages`.
        is_open: whether `at` may be an address that others than this machine reach.

    Attributes:
        address: where it listens.

    Raises:
        StartError: the address cannot be had, or is not allowed.
    """

    def __init__(self, at: Address, look: Look, *, is_open: bool = False) -> None:
        check_reach(at.host, is_open=is_open)
        try:
            self._server = _Server(at, look)
        except OSError as error:
            raise StartError(explain_bind(error, *at, option="--metrics")) from error
        self.address = Address(*self._server.socket.getsockname()[:2])
        self._ending = threading.Event()
        self._thread = supervised_thread(
            "monitoring",
            lambda: self._server.serve_forever(LOOK_EVERY_S),
            Supervision("the endpoint for metrics"),
            self._ending,
        )

    def leave(self) -> None:
        """The master takes in no lookups any more: it is not ready from now on."""
        self._server.stopping = True

    def close(self) -> None:
        """Ends it; harmless when done before."""
        if self._ending.is_set():
            return
        self._server.shutdown()  # waits for it to have served: it is told to end only then
        self._ending.set()
        self._thread.join()
        self._server.server_close()
        self._server.drop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request, and ends the connection."""

    server: _Server
    protocol_version = "HTTP/1.0"
    timeout = CONNECTION_S

    def version_string(self) -> str:
        """What is told of the program, which is not for everybody."""
        return "Rollcall"

    def parse_request(self) -> bool:
        """Whether there is a request that is answered with a page; any other is answered here."""
        if not super().parse_request():
            return False
        if self.command not in METHODS:
            self._say(405, "only GET and HEAD are answered", {"Allow": ", ".join(METHODS)})
            return False
        if not self.server.may_ask(self.headers.get("Host")):
            self._say(
                421, "ask by this machine's address, or as localhost: a name may be anybody's"
            )
            return False
        return True

    def do_GET(self) -> None:
        """Answers with a page."""
        self._answer(self.server.page(self.path))

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def send_error(self, code: int, *_library_words: str | None) -> None:
        """What the library found wrong, in words of ours."""
        self._say(code, "this is no request that is answered here")

    def _say(self, code: int, text: str, headers: Mapping[str, str] = NO_HEADERS) -> None:
        self._answer(Page(HTTPStatus(code), PLAIN, (f"{text}\n",)), headers)

    def _answer(self, found: Page, headers: Mapping[str, str] = NO_HEADERS) -> None:
        self.request_version = self.protocol_version  # of one that says none as well
        body = []
        for part in in_slices(found.parts):
            body.append(part)
            time.sleep(0)  # the threads that answer lookups go first
        self.send_response(found.status)
        own = {"Content-Type": found.kind, "Content-Length": str(sum(map(len, body)))}
        safe = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        for name, value in {**own, **safe, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"".join(body))

    def log_message(self, *args: object) -> None:
        """Nothing: to be scraped is no event."""


class _Server(socketserver.ThreadingTCPServer):
    """A bounded number of connections, each for a bounded time."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = socket.SOMAXCONN

    def __init__(self, at: Address, look: Look) -> None:
        self.stopping = False
        self._look = look
        # Who opens it to others lets them call it by whichever name they know it by.
        self._names = ("localhost", socket.gethostname().lower()) if is_loopback(at.host) else None
        self._began: dict[Connected, float] = {}
        self._lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
        super().__init__(at, _Handler)

    def server_bind(self) -> None:
        """Binds: to every address, of IPv4 as well, for "::"."""
        if self.address_family == socket.AF_INET6 and socket.has_dualstack_ipv6():
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def page(self, path: str) -> Page:
        """The page at a path."""
        return page(path, self._look, stopping=self.stopping)

    def may_ask(self, host: str | None) -> bool:
        """Whether a request with that Host is answered."""
        return self._names is None or is_own_name(host, self._names)

    def get_request(self) -> tuple[socket.socket, object]:
        """Takes a connection; waits a little where it cannot, as it is asked again at once."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(ACCEPT_RETRY_S)
            raise

    def process_request(self, request: Connected, client_address: object) -> None:
        """Answers a connection in a thread of its own."""
        with self._lock:
            if len(self._began) >= MAX_CONNECTIONS:
                oldest = next(iter(self._began))
                del self._began[oldest]
                _drop(oldest)
            self._began[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Connected) -> None:
        """Ends a connection."""
        with self._lock:
            self._began.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Drops who is too slow, again and again."""
        too_old = time.monotonic() - CONNECTION_S
        with self._lock:
            for connection, began in self._began.items():
                if began < too_old:
                    _drop(connection)

    def drop_all(self) -> None:
        """Drops all connections."""
        with self._lock:
            for connection in self._began:
                _drop(connection)

    def handle_error(self, _request: Connected, client_address: object) -> None:
        """A connection has failed: mostly, whoever asked has gone."""
        logger.debug("%s: no answer", client_address, exc_info=True)


def _drop(connection: Connected) -> None:
    """Ends a connection that another thread reads from: it finds it ended."""
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
