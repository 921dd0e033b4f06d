"""The test kit: real nodes on ports the system picks, conditions polled, faults by name."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import itertools
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import psutil

from nodes.catalog import ensure_catalog, open_catalog
from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from nodes.master.master import Master
from nodes.master.opening import open_master
from nodes.security.certificates import make_certificates
from nodes.security.credentials import worker_token
from nodes.security.tokens import TokenRole, ValidToken, match_token, read_token
from nodes.support.paths import shipped_data
from nodes.transport import Connection, LoopThread, Server, Service, dial
from nodes.wire import Registration, decode_envelope, instance_proof
from nodes.worker.server import WorkerServer
from tests.faults.proxy import FaultProxy

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that anything may take before a test gives up on it."""


def poll_for(condition: Callable[[], T], timeout: float = PATIENCE, what: str = "") -> T:
    """Waits until `condition()` is true, and returns what it gave."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        time.sleep(0.005)


def shipped_records() -> list[dict[str, Any]]:
    """Every record that ships, read without our code."""
    files = sorted(shipped_data().glob("data-*.json"))
    return [record for file in files for record in json.loads(file.read_text()).values()]


def scan(records: list[dict[str, Any]], **wanted: object) -> list[dict[str, Any]]:
    """The model of every lookup: a plain scan."""
    return [r for r in records if all(r.get(key) == value for key, value in wanted.items())]


def same_records(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Whether both have the same records, in any order."""

    def key(record: dict[str, Any]) -> str:
        return json.dumps(record, sort_keys=True)

    return sorted(map(key, found)) == sorted(map(key, expected))


def make_tls(
    folder: Path, *, hosts: tuple[str, ...] = (), days: int = 100, days_ago: int = 0
) -> Path:
    """A folder of certificates, made so many days ago; returns it."""
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days_ago)
    make_certificates(folder, hosts=hosts, days=days, now=now)
    return folder


def role_of(given: object, tokens: Iterable[ValidToken]) -> TokenRole | None:
    """The role that a token gives if those are valid; None for none."""
    found = match_token(given, tokens)
    return None if found is None else found.role


# -- forks -------------------------------------------------------------------------

FORK_WARNING = "ignore:This process:DeprecationWarning"
"""Python 3.12 and later warn of a fork of a process with threads; a mark for such a test."""

LONGEST_CHILD = 120
"""Seconds after which a forked child ends in any case."""


class ForkedChild:
    """A forked child of this process, which does its work and nothing else, and tells what it
    returned. One that hangs is ended.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._told, tells = multiprocessing.Pipe(duplex=False)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(LONGEST_CHILD)
                tells.send(work())
            except BaseException:  # noqa: BLE001 - the end of this process, whatever it is
                traceback.print_exc()
            finally:
                os._exit(0)
        tells.close()

    def result(self) -> Any:
        """What its work returned, once it has ended."""
        with self._told:
            try:
                return self._told.recv()
            except EOFError as error:
                raise AssertionError("a forked child hung or failed; see its stderr") from error
            finally:
                os.kill(self.pid, signal.SIGKILL)  # it has told all, or never will
                os.waitpid(self.pid, 0)


# -- nodes -----------------------------------------------------------------------


@contextlib.contextmanager
def hosted(
    workers: int = 3,
    *,
    data: Path | None = None,
    balance: str = "load",
    port: int = 0,
    watch: bool = False,
    tls: Path | None = None,
    audit: Path | None = None,
    clock: Callable[[], float] = time.time,
    tracing: bool = False,
) -> Iterator[HostedCluster]:
    """A master in this process and workers in processes of their own, all up."""
    folder = data or shipped_data()
    with HostedCluster(
        build=lambda progress: ensure_catalog(folder, progress=progress),
        workers=workers,
        balance=balance,
        port=port,
        watch=watch,
        tls=tls,
        audit=audit,
        clock=clock,
        tracing=tracing,
    ) as cluster:
        wait_up(cluster, workers)
        yield cluster


def wait_up(cluster: HostedCluster, count: int, timeout: float = PATIENCE) -> None:
    """Waits until exactly `count` workers are up."""
    poll_for(lambda: len(up(cluster)) == count, timeout, f"{count} workers up")


def up(cluster: HostedCluster) -> list[str]:
    """The ids of the workers that are up."""
    return [view.id for view in cluster.snapshot().workers if view.state == "up"]


@contextlib.contextmanager
def master_alone(**options: Any) -> Iterator[Master]:
    """A master in this process, with no workers."""
    chosen: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "balance": "load"} | options
    master = open_master(**chosen)
    master.start()
    try:
        yield master
    finally:
        master.stop()


@contextlib.contextmanager
def worker_inside(
    master: Master, *, data: Path | None = None, port_of_master: int = 0, **options: Any
) -> Iterator[WorkerServer]:
    """A worker in threads of this process: no process to start, the same code and sockets. It
    reaches the master by another port if one is given.
    """
    catalog = open_catalog(ensure_catalog(data or shipped_data()).path)
    address = master.address
    worker = WorkerServer(
        catalog=catalog,
        master=(address.host, port_of_master or address.port),
        token=worker_token,
        **options,
    )
    worker.start()
    try:
        worker.registration.settled.wait(PATIENCE)
        yield worker
    finally:
        worker.stop()
        catalog.close()


class Door(Service):
    """A worker's port that does nothing but show whose it is.

    Args:
        instance: the worker's secret.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance

    def verb(self, name: str) -> Callable[..., object] | None:
        return functools.partial(instance_proof, self._instance) if name == "identify" else None


class FakeWorker:
    """A worker in name only: registered, and answering its master with the verbs it is given.

    Args:
        master: where it registers.
        registration: what it says of itself.
        verbs: by name; what is not there is refused.
        through: a proxy by which its address leads to it.
        says: what it says of itself besides, or in place of the same.
    """

    def __init__(
        self,
        master: tuple[str, int],
        registration: Registration,
        verbs: dict[str, Callable[..., object]] | None = None,
        through: FaultProxy | None = None,
        says: Mapping[str, object] | None = None,
    ) -> None:
        self._loop = LoopThread("fake worker")
        self._loop.start()
        fake_verbs = verbs or {}

        class Answers(Service):
            def verb(self, name: str) -> Callable[..., object] | None:
                return fake_verbs.get(name)

        self._door = Server(functools.partial(Door, registration.instance), host=registration.host)
        port = self._door.address[1]
        if through is not None:
            through.behind, port = port, through.port
        registration = msgspec.structs.replace(registration, port=port)
        self._loop.call(self._door.start)

        async def register() -> Connection:
            connection = await dial(*master, service=Answers())
            told = {**msgspec.to_builtins(registration), **(says or {})}
            text = msgspec.json.encode(told).decode()
            for verb, said in (("login", read_token() or ""), ("register", text)):
                reply = await connection.call(verb, said, timeout_s=PATIENCE)
                assert isinstance(reply, str)
                self.reply = decode_envelope(reply)
            return connection

        self._connection = self._loop.run(register())

    @property
    def connected(self) -> bool:
        """Whether its connection has not ended."""
        return not self._connection.ended

    def close(self) -> None:
        """Ends its connection."""
        self._loop.call(self._connection.abort)
        self._loop.run(self._door.stop())
        self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def never(*_args: object) -> object:
    """A verb that never answers."""
    return asyncio.get_running_loop().create_future()


class ServerThread:
    """A server on a loop of its own.

    Args:
        make_service: see `Server`, as the options.
    """

    def __init__(self, make_service: Callable[[], Service], **options: Any) -> None:
        self.loop = LoopThread("served")
        self.server = Server(make_service, **options)
        self.address = self.server.address
        self.loop.start()
        self.loop.call(self.server.start)

    def leave_port(self) -> None:
        """Accepts nobody any more."""
        self.loop.call(self.server.leave_port)

    def stop(self) -> None:
        """Ends it."""
        if not self.loop.loop.is_closed():
            self.loop.run(self.server.stop())
            self.loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class Node:
    """A `rollcall-nodes` command as a process, from its ready line to its end.

    Args:
        args: the command.
        env: added to the environment.
        cwd: where it starts.
        said: where its stderr goes, when more may come than a pipe holds.
        module: what is run in its place: `console`, for the console without a terminal.
    """

    def __init__(
        self,
        *args: str,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        said: Path | None = None,
        module: str = "nodes.cli",
    ) -> None:
        self.args = args
        with contextlib.ExitStack() as stack:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if said is None else stack.enter_context(said.open("wb")),
                env={**os.environ, **(env or {})},
                cwd=cwd,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready_line = line
        self.ready: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        if not line or self.ready.get("error"):
            _out, err = self.process.communicate(timeout=PATIENCE)
            raise AssertionError(f"{args} ended with {self.process.returncode}: {err}")

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def successor(self) -> Node:
        """The same again on its port, as soon as it can have it."""
        port = str(self.ready["master"]).rpartition(":")[2]
        args = [port if arg == "0" else arg for arg in self.args]
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return Node(*args)
            except AssertionError as error:
                if "taken" not in str(error) or time.monotonic() > deadline:
                    raise

    def wait(self, timeout: float = 20.0) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(timeout)

    def close(self) -> None:
        """Ends it if it has not ended, and everything it started."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def run_nodes(
    *args: str, stdin: str | None = None, timeout: float = 30.0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a `rollcall-nodes` command to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "nodes.cli", *args],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **(env or {})},
    )


# -- load --------------------------------------------------------------------------


class ClientResults:
    """What one client saw: how many answers, which were wrong, which were errors."""

    def __init__(self) -> None:
        self.answers = 0
        self.wrong: list[str] = []
        self.errors: list[str] = []
        self.slowest = 0.0


def ask_each(
    client: Client, records: list[dict[str, Any]], numbers: Iterable[int]
) -> ClientResults:
    """Asks for the records of those numbers by name, one by one, and checks every answer."""
    result = ClientResults()
    for number in numbers:
        record = records[number % len(records)]
        began = time.monotonic()
        try:
            found = client.getbyname(record["name"])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            result.errors.append(f"{type(error).__name__}: {error}")
            continue
        result.slowest = max(result.slowest, time.monotonic() - began)
        result.answers += 1
        if not same_records(found, scan(records, name=record["name"])):
            result.wrong.append(record["name"])
    return result


def load_from_threads(
    address: str,
    *,
    clients: int,
    lookups: int,
    records: list[dict[str, Any]],
    more: Callable[[], bool] = lambda: False,
    direct: bool = False,
    tls: Path | None = None,
) -> list[ClientResults]:
    """Runs `clients` threads of `lookups` lookups each, and checks every answer. They go on
    beyond that number as long as `more()` says so.
    """

    def ask(offset: int) -> ClientResults:
        turns = itertools.takewhile(lambda turn: turn < lookups or more(), itertools.count())
        with Client(address, timeout=5.0, direct=direct, tls=tls) as client:
            return ask_each(client, records, (offset + turn for turn in turns))

    with ThreadPoolExecutor(clients, thread_name_prefix="client") as threads:
        return list(threads.map(ask, range(0, 7 * clients, 7)))


# -- faults ------------------------------------------------------------------------


def kill_process(pid: int) -> None:
    """Sends SIGKILL: the process ends without a goodbye."""
    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def kill_storm(cluster: HostedCluster, *, workers: int, every: float) -> Iterator[list[int]]:
    """Kills one worker after the other, each when all `workers` are up again, at least `every`
    seconds apart; yields the processes killed so far.
    """
    over = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while not over.wait(every):
            pids = [one.pid for one in cluster.snapshot().workers if one.state == "up"]
            if len(pids) == workers:
                victim = pids[len(killed) % workers]
                kill_process(victim)
                killed.append(victim)

    killer = threading.Thread(target=kill, name="killer")
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


class FrozenProcess:
    """A process stopped with SIGSTOP until the end of the block: alive, connected, and silent."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def __enter__(self) -> Self:
        os.kill(self.pid, signal.SIGSTOP)
        poll_for(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)


class SilentServer:
    """A port that accepts connections and never says a word."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.listener.close()


# -- leaks -------------------------------------------------------------------------


class ResourceCount:
    """The child processes, threads and descriptors of this process, counted to find leaks."""

    def __init__(self) -> None:
        self._me = psutil.Process()
        self.processes = self._processes()
        self.threads = self._threads()
        self.descriptors = self._me.num_fds()

    def _processes(self) -> set[int]:
        return {child.pid for child in self._me.children(recursive=True)}

    def _threads(self) -> set[str]:
        return {f"{thread.name} {thread.ident}" for thread in threading.enumerate()}

    def leaks(self) -> list[str]:
        """What is there now and was not when this was made."""
        found = [f"process {pid}" for pid in self._processes() - self.processes]
        found += [f"thread {name}" for name in self._threads() - self.threads]
        if self._me.num_fds() > self.descriptors:
            opened = self._me.num_fds() - self.descriptors
            found.append(f"{opened} descriptors: {[f.path for f in self._me.open_files()]}")
        return found
