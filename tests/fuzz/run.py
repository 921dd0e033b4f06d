"""A million hostile frames against real nodes, while a good client goes on.

`fuzz_nodes` fuzzes the answering side: a master with a worker, each in a process of its own,
both ports attacked. `fuzz_client` fuzzes the dialling side: a hostile server answers our lanes.
"""

from __future__ import annotations

import contextlib
import random
import re
import select
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
from rpyc.core import brine, consts

from nodes.client.blocking import Client
from nodes.security.tokens import read_token
from nodes.support.addresses import parse_address
from nodes.transport import Lane, Limits, TransportError, messages
from nodes.transport.frames import FrameReader, frame
from nodes.transport.responder import ROOT
from nodes.transport.stream import CHUNK_BYTES
from tests.fuzz.grammar import NAMES, REQUEST, Grammar
from tests.kit import Node, poll_for, same_records, scan, shipped_records
from tests.transport.kit import after_resolving

HUNG = 30.0
"""Seconds after which a connection that is still open is a finding."""

LONGEST = 60
"""Frames of a session, at most; as many again are what a real client asks in a moment."""

LANES = 16
"""Idle lanes that a master keeps to a worker, each a descriptor here and a thread there."""

TELLTALES = (b"InternalError", b"internal_error", b"Traceback (most", b'.py"', b"site-packages")
"""What no answer may hold: a defect of ours, or words about our insides."""

RESET = struct.pack("ii", 1, 0)
"""Lingers for 0 s, so that closing resets the connection."""


class FuzzReport(msgspec.Struct, kw_only=True):
    """What was seen. Memory in bytes, by process; `findings` must be empty."""

    frames: int = 0
    sessions: int = 0
    seconds: float = 0.0
    lookups: int = 0
    grown: dict[str, int] = msgspec.field(default_factory=dict)
    findings: list[str] = msgspec.field(default_factory=list)


class GoodClient:
    """A thread that looks up all the while, and checks every answer."""

    def __init__(self, address: str) -> None:
        self.lookups = 0
        self.findings: list[str] = []
        self._address = address
        self._done = threading.Event()
        self._records = shipped_records()
        self._thread = threading.Thread(target=self._run, name="good-client")

    def _run(self) -> None:
        with Client(self._address, timeout=10.0) as client:
            while not self._done.wait(0.001):
                record = self._records[self.lookups % len(self._records)]
                self.lookups += 1
                try:
                    found = client.getbyname(record["name"])
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                    self.findings.append(f"a good lookup: {type(error).__name__}: {error}")
                    continue
                if not same_records(found, scan(self._records, name=record["name"])):
                    self.findings.append(f"a wrong answer for {record['name']}")

    def __enter__(self) -> GoodClient:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()


class WatchedProcess:
    """A node's process: its memory, its threads and descriptors, and what it said."""

    def __init__(self, name: str, node: Node, said: Path) -> None:
        self.name = name
        self._process = psutil.Process(node.process.pid)
        self._said = said
        self.threads, self.descriptors = self._held()
        self.start = self.memory()

    def _held(self) -> tuple[int, int]:
        return self._process.num_threads(), self._process.num_fds()

    def memory(self) -> int:
        return int(self._process.memory_info().rss)

    def settled(self) -> bool:
        """Whether it holds no more than when this was made, but for lanes."""
        threads, descriptors = self._held()
        return threads <= self.threads + LANES and descriptors <= self.descriptors + LANES

    def findings(self) -> Iterator[str]:
        try:
            poll_for(self.settled)
        except AssertionError:
            yield f"{self.name} holds {self._held()}, not {self.threads, self.descriptors}"
        said = self._said.read_text(errors="backslashreplace")
        if "Traceback" in said or "InternalError" in said:
            ends = sorted(
                {line for line in said.splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line)}
            )
            yield f"{self.name} printed a traceback: {ends}\n{said[:4000]}"


def assault(address: tuple[str, int], said: list[bytes], how: float) -> Iterator[str]:
    """Says all of it on one connection, in one of three manners, and looks at what comes."""
    with socket.create_connection(address, HUNG) as sock:
        heard = bytearray()
        try:
            # Concatenated, as a stream has no frames, or one by one.
            for part in (
                [b"".join(said)] if how < 0.3 and sum(map(len, said)) < CHUNK_BYTES else said
            ):
                sock.sendall(part)
                heard += _there(sock)
            if how > 0.9:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            sock.shutdown(socket.SHUT_WR)
            while data := sock.recv(CHUNK_BYTES):
                heard += data
        except TimeoutError:
            yield f"a connection is open after {HUNG:g} s, having been told {said!r}"[:4000]
        except OSError:
            return  # reset: the other end had enough
        yield from _wrong(bytes(heard), said)


def _there(sock: socket.socket) -> bytes:
    return sock.recv(CHUNK_BYTES) if select.select([sock], [], [], 0)[0] else b""


def _wrong(heard: bytes, said: list[bytes]) -> Iterator[str]:
    found = [word.decode() for word in TELLTALES if word in heard]
    if found:
        yield f"{found} in an answer to {said!r}: {heard!r}"[:4000]


def login(token: str | None) -> list[bytes]:
    """What a peer says to have a role. Other verbs come first, as verbs are called by their
    number, and whoever gives a wrong token is made to wait.
    """
    verbs = [messages.verb_request(0, ROOT, name) for name in (*NAMES[:20], "login")]
    parts = ("login", (token,), ())
    boxed = ((consts.LABEL_LOCAL_REF, ROOT), *((consts.LABEL_VALUE, part) for part in parts))
    body = (consts.HANDLE_CALLATTR, (consts.LABEL_TUPLE, boxed))
    return [messages.root_request(0), *verbs, frame(REQUEST, brine.dump((0, body)))]


def fuzz_nodes(
    frames: int, *, seed: int, note: Callable[[str], None] = lambda _line: None
) -> FuzzReport:
    """Fuzzes a master and a worker.

    Args:
        frames: how many are said, a tenth of them to the worker's own port.
        seed: of everything that is random.
        note: told how it goes, now and then.
    """
    rng = random.Random(seed)
    grammar = Grammar(rng)
    report = FuzzReport()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        master = Node("master", "0", "--json", said=folder / "master")
        stack.callback(master.close)
        address = master.ready["master"]
        worker = Node("worker", "--master", address, "--json", said=folder / "worker")
        stack.callback(worker.close)
        ports = [parse_address(address)] * 9 + [parse_address(worker.ready["address"])]
        hello = login(read_token())
        good = stack.enter_context(GoodClient(address))
        watched: list[WatchedProcess] = []
        began, said_at, answered = time.monotonic(), 0, 0
        warm = min(frames // 4, 20_000)
        while report.frames < frames:
            said = grammar.session(LONGEST)
            where = rng.choice(ports)
            # Some know the token, so that what it opens is attacked as well.
            trusted = where == ports[0] and rng.random() < 0.1
            report.findings += assault(where, hello + said if trusted else said, rng.random())
            report.frames += len(said)
            report.sessions += 1
            if not watched and report.frames >= warm:
                watched = [
                    WatchedProcess("master", master, folder / "master"),
                    WatchedProcess("worker", worker, folder / "worker"),
                ]
            if report.frames - said_at >= max(1000, frames // 20):
                said_at = report.frames
                if good.lookups == answered:
                    report.findings.append(f"no good lookup up to frame {said_at}")
                answered = good.lookups
                note(
                    f"{report.frames} frames, {report.frames / (time.monotonic() - began):.0f}/s, "
                    f"{good.lookups} good lookups, {len(report.findings)} findings, "
                    + ", ".join(f"{w.name} {w.memory() / 1e6:.1f} MB" for w in watched)
                )
        report.seconds = time.monotonic() - began
        for one in watched:
            report.findings += one.findings()
            report.grown[one.name] = one.memory() - one.start
    report.lookups = good.lookups
    report.findings += good.findings
    return report


# -- the dialling side -------------------------------------------------------------------


class HostileServer:
    """A server that answers every request of every connection with something hostile."""

    def __init__(self, seed: int) -> None:
        self._grammar = Grammar(random.Random(seed))
        self._rng = random.Random(seed + 1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._thread = threading.Thread(target=self._run, name="hostile")

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # closed
            with sock, contextlib.suppress(OSError):
                sock.settimeout(HUNG)
                self._perform(sock)

    def _perform(self, sock: socket.socket) -> None:
        reader = FrameReader(1 << 26)
        honest = list(after_resolving())[: self._rng.choice((0, 1, 2, 2, 2))]
        for line in (*honest, *[self._grammar.answer] * 5):
            while (payload := reader.next()) is None:
                if not (data := sock.recv(CHUNK_BYTES)):
                    return
                reader.feed(data)
            sock.sendall(line(messages.load(payload, messages.MAX_REPLY_READS).seq))

    def __enter__(self) -> HostileServer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


def fuzz_client(calls: int, *, seed: int) -> FuzzReport:
    """Fuzzes lanes: each calls until its connection ends, as it must with the first nonsense."""
    report = FuzzReport()
    process = psutil.Process()
    limits = Limits(frame_in=Limits().frame_in, frame_reply=8 << 20)
    start, began = 0, time.monotonic()
    with HostileServer(seed) as hostile:
        while report.frames < calls:
            with Lane.dial(*hostile.address, limits=limits) as lane:
                report.sessions += 1
                while not lane.closed:
                    report.frames += 1
                    report.findings += _called(lane)
            if not start and report.frames >= calls // 4:
                start = process.memory_info().rss
        report.grown["caller"] = process.memory_info().rss - start
    report.seconds = time.monotonic() - began
    return report


def _called(lane: Lane) -> Iterator[str]:
    began = time.monotonic()
    try:
        # After a piece of a frame, the peer waits for us as we do for it.
        lane.call("verb", timeout=0.05)
    except TransportError:
        pass
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        yield f"a lane raised {type(error).__name__}: {error}"
    if time.monotonic() - began > HUNG:
        yield "a call on a lane outlived its deadline"
