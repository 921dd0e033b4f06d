"""What cannot be beaten: the same bytes over the same number of hops, and nothing found.

As a program, it is one of the servers: `rpyc`, `tcp`, or `relay PORT` between client and tcp.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import rpyc
from rpyc.utils.server import ThreadedServer

from tests.bench.peers import Data, Find, Record, Row, host_port, python_server

ROWS = (
    Row("RPyC echo, kept method, one hop", "rpyc", finds=False),
    Row("TCP echo in Python, two hops", "tcp", clients=(1, 8, 64), finds=False),
)
TEXT = "x" * 200  # about what a lookup of one record answers


def missing(row: Row) -> str:
    """Nothing ever is."""
    del row
    return ""


@contextmanager
def serve(data: Data) -> Iterator[str]:
    """Both; the address is of both."""
    del data
    with python_server(__name__, "rpyc") as echo, python_server(__name__, "tcp") as tcp:
        with python_server(__name__, "relay", host_port(tcp)[1]) as relay:
            yield f"{echo} {relay}"


@contextmanager
def connect(address: str, row: Row) -> Iterator[Find]:
    """Echoes, whatever is asked."""
    echo, relay = address.split()
    if row.how == "rpyc":
        with rpyc.connect(*host_port(echo)) as connection:
            kept = connection.root.echo
            yield lambda _: kept(TEXT) and []
        return
    with socket.create_connection(host_port(relay)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def echoed(_: object) -> list[list[Record]]:
            sock.sendall(TEXT.encode())
            sock.recv(65536)
            return []

        yield echoed


class Echo(rpyc.Service):  # type: ignore[misc] # RPyC has no types
    """Answers what it is told."""

    def exposed_echo(self, text: str) -> str:
        """The same."""
        return text


def _forward(sock: socket.socket, behind: int | None) -> None:
    """Answers each piece, from the server on the port behind if there is one."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        if behind is None:
            while data := sock.recv(65536):
                sock.sendall(data)
            return
        with socket.create_connection(("127.0.0.1", behind)) as other:
            other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := sock.recv(65536):
                other.sendall(data)
                sock.sendall(other.recv(65536))


def main() -> None:
    """Serves."""
    if sys.argv[1] == "rpyc":
        server = ThreadedServer(Echo, hostname="127.0.0.1", port=0)
        print(server.port, flush=True)
        server.start()
        return
    behind = int(sys.argv[2]) if sys.argv[1] == "relay" else None
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_forward, args=(sock, behind), daemon=True).start()


if __name__ == "__main__":
    main()
