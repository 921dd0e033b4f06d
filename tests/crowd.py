"""Crowds at a port: silent, slow, flooding, or asking. `python -m tests.crowd KIND HOST PORT N`
is one of them in a process of its own, from its line "ready" until its stdin ends.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Callable
from typing import Self

from nodes.transport import messages
from nodes.transport.frames import HEADER
from nodes.transport.responder import ROOT

Place = tuple[str, int]


class IdleConnections:
    """So many connections that never say anything.

    Args:
        place: host and port.
        count: how many.
    """

    def __init__(self, place: Place, count: int) -> None:
        self._place = place
        self._done = threading.Event()
        self._socks: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.count = count
        self.rounds = 0

    def __enter__(self) -> Self:
        for _ in range(self.count):
            self._socks.append(self._connect())
        self._busy(1)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
        for sock in self._socks:
            sock.close()

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(self._place, 10.0)
        # What the other end does with it is not waited for.
        sock.settimeout(0.0)
        return sock

    def _busy(self, threads: int) -> None:
        for _ in range(threads):
            thread = threading.Thread(target=self._run, name="crowd")
            thread.start()
            self._threads.append(thread)

    def _run(self) -> None:
        while not self._done.is_set():
            self.round()
            self.rounds += 1

    def round(self) -> None:
        """What it does again and again."""
        self._done.wait(0.05)


class SlowConnections(IdleConnections):
    """Says a byte of a long frame now and then, and connects again where it was cut off."""

    def round(self) -> None:
        for place, sock in enumerate(self._socks):
            try:
                sock.send(b"\x00" if self.rounds else HEADER.pack(1000, 0))
            except OSError:
                sock.close()
                self._socks[place] = self._connect()
                self._socks[place].send(HEADER.pack(1000, 0))
        self._done.wait(0.2)


class ConnectionFlood(IdleConnections):
    """Connects without end, and leaves at once or keeps the newest `count`."""

    def __enter__(self) -> Self:
        self._busy(1)
        return self

    def round(self) -> None:
        with contextlib.suppress(OSError):
            self._socks.append(self._connect())
        if len(self._socks) > self.count:
            self._socks.pop(0).close()


class ShortConnections(ConnectionFlood):
    """Connects without end, and leaves at once."""

    def round(self) -> None:
        with contextlib.suppress(OSError):
            self._connect().close()


class ProvenConnections(IdleConnections):
    """Asks for the root on every connection, so that all of them have proved themselves."""

    def __enter__(self) -> Self:
        super().__enter__()
        for sock in self._socks:
            sock.settimeout(10.0)
            with contextlib.suppress(OSError):
                sock.sendall(messages.root_request(1) + messages.verb_request(2, ROOT, "lookup"))
                sock.recv(1000)
        return self


class NonReaders:
    """So many connections that ask and ask, and read nothing of what they are answered; each comes
    again where it was cut off.

    Args:
        place: host and port.
        count: how many.
        verb, args: what they ask.
        rounds: how often each asks 250 times; None for as long as it is let.
    """

    def __init__(
        self, place: Place, count: int, verb: str, *args: object, rounds: int | None = None
    ) -> None:
        self._place = place
        self._verb = verb
        self._rounds = rounds
        self.rounds = 0
        self._done = threading.Event()
        head, encoded = messages.call_head(messages.VERB), messages.arguments(args)
        calls = 1 if rounds == 1 else 250
        self._asked = b"".join(
            messages.call_request(seq, head, encoded) for seq in range(3, 3 + calls)
        )
        self._socks: list[socket.socket] = []
        self._threads = [
            threading.Thread(target=self._run, name="crowd") for _ in range(min(count, 40))
        ]
        self._each = count // len(self._threads)

    def _connect(self) -> socket.socket:
        sock = socket.socket()
        self._socks.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(1.0)
        sock.connect(self._place)
        sock.sendall(messages.root_request(1) + messages.verb_request(2, ROOT, self._verb))
        sock.recv(1000)
        return sock

    def _run(self) -> None:
        while not self._done.is_set():
            with contextlib.suppress(OSError):
                socks = [self._connect() for _ in range(self._each)]
                rounds = 0
                while not self._done.is_set() and rounds != self._rounds:
                    for sock in socks:
                        with contextlib.suppress(TimeoutError):
                            sock.sendall(self._asked)
                    rounds += 1
                    self.rounds += 1
            if self._rounds is not None:
                return

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        if self._rounds is not None:
            for thread in self._threads:
                thread.join()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
        for sock in self._socks:
            sock.close()


def unread_batches(place: Place, count: int) -> NonReaders:
    """Asks for the largest batches that what ships has answers to, and reads none."""
    batch = json.dumps([["getbyname", "xander"], ["getbyyear", "Miami", 2019]] * 125)
    return NonReaders(place, count, "lookup_many", batch)


KINDS: dict[str, Callable[[Place, int], IdleConnections | NonReaders]] = {
    "silent": IdleConnections,
    "slow": SlowConnections,
    "flood": ConnectionFlood,
    "passing": ShortConnections,
    "asking": ProvenConnections,
    "unread": unread_batches,
}


def main() -> None:
    """One crowd, until it is told to leave."""
    kind, host, port, count = sys.argv[1:]
    with KINDS[kind]((host, int(port)), int(count)) as crowd:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()
    sys.stdout.write(f"{crowd.rounds}\n")


if __name__ == "__main__":
    main()
