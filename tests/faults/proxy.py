"""A network between a master and a worker that can be made worse at any moment."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from random import Random
from typing import Self


@dataclass(frozen=True)
class Network:
    """What the way is like.

    Attributes:
        latency: seconds each way, added to every piece.
        piece: bytes forwarded at once.
        bytes_per_s: the most that is forwarded, each way.
        hang: nothing is forwarded any more.
        lossy: the share of pieces (0 to 1) after which a connection is reset.
    """

    latency: float = 0.0
    piece: int = 65536
    bytes_per_s: float = 1e9
    hang: bool = False
    lossy: float = 0.0


class FaultProxy:
    """Forwards connections to one port, as well as `network` lets it; two threads for each.

    Args:
        port: of the server behind it, on the loopback address.
        random: decides which connections are reset.
        like: another proxy, whose network this one has.

    Attributes:
        behind: as `port`; connections that come from now on are forwarded there.
    """

    def __init__(self, port: int, random: Random, like: FaultProxy | None = None) -> None:
        self._network = Network()
        self._like = like
        self.behind = port
        self._random = random
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._start(self._accept)

    @property
    def network(self) -> Network:
        """What the way is like now."""
        return self._network if self._like is None else self._like.network

    @network.setter
    def network(self, network: Network) -> None:
        self._network = network

    def _start(self, work: object, *args: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=args, name="proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.behind), 1.0)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets |= {near, far}
            self._start(self._forward, near, far)
            self._start(self._forward, far, near)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(self.network.piece):
                self._delay(len(data))
                if self._over.is_set():
                    return
                if self._random.random() < self.network.lossy:
                    _reset(source)
                    _reset(target)
                    return
                target.sendall(data)
        except OSError:
            return
        finally:
            for sock in (source, target):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            with self._lock:
                # Whoever of the two directions ends last closes both.
                for sock in (source, target):
                    if sock in self._sockets:
                        self._sockets.discard(sock)
                    else:
                        sock.close()

    def _delay(self, size: int) -> None:
        ready = time.monotonic() + self.network.latency + size / self.network.bytes_per_s
        while not self._over.is_set():
            left = ready - time.monotonic()
            if left <= 0 and not self.network.hang:
                return
            self._over.wait(max(0.001, min(left, 0.05)))

    def reset_all(self) -> None:
        """Resets every connection that is open."""
        with self._lock:
            for sock in self._sockets:
                _reset(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5.0)


def _reset(sock: socket.socket) -> None:
    """Ends a connection with RST in place of FIN, as far as that can be done from outside."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)
