"""PostgreSQL servers for tests: from the distribution's binaries, in a folder of their own, on
loopback.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

PATIENCE_S = 30.0

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # A test's records need not outlive the machine.
    "fsync": "off",
    "full_page_writes": "off",
    # Processes that come and go by themselves look like leaks.
    "autovacuum": "off",
    "max_wal_senders": "4",
    "wal_level": "replica",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
}


@functools.cache
def binaries() -> Path | None:
    """The folder of the newest server's programs; None if none is installed."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(path.parent.parent.name),
    )
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def missing() -> str:
    """Why no server can be started here; "" if one can."""
    if binaries() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if os.getuid() == 0 and _user() is None:
        return "PostgreSQL does not run as root, and there is no user postgres or nobody"
    return ""


@functools.cache
def _user() -> pwd.struct_passwd | None:
    """Whom a server runs as where we are root, as which it refuses to run."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


class PostgresServer:
    """One server process, with its data.

    Args:
        folder: of its data; it is made.
        standby_of: the server that it follows, if it is a replica.
        settings: in the place of, or beside, `SETTINGS`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        standby_of: PostgresServer | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self._data = folder / f"server-{self.port}"
        self._settings = {**SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        if standby_of is None:
            self._run("initdb", "-A", "trust", "-U", "rollcall", "-E", "UTF8", "--no-sync")
        else:
            primary = f"host=127.0.0.1 port={standby_of.port} user=rollcall"
            self._run("pg_basebackup", "-R", "-X", "stream", "-c", "fast", "-d", primary)
        self.start()

    def _as_user(self) -> dict[str, object]:
        user = _user() if os.getuid() == 0 else None
        if user is None:
            return {}
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _run(self, program: str, *options: str) -> None:
        folder = binaries()
        assert folder is not None
        command = [str(folder / program), "-D", str(self._data), *options]
        done = subprocess.run(  # type: ignore[call-overload]
            command, capture_output=True, text=True, cwd="/", check=False, **self._as_user()
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        folder = binaries()
        assert folder is not None
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self._settings.items()]
        log = (self._data.parent / f"server-{self.port}.log").open("ab")
        self._process = subprocess.Popen(  # type: ignore[call-overload]
            [
                str(folder / "postgres"),
                "-D",
                str(self._data),
                "-p",
                str(self.port),
                "-k",
                str(self._data),
                *options,
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            **self._as_user(),
        )
        log.close()
        until = time.monotonic() + PATIENCE_S
        ready = [str(folder / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            assert self._process.poll() is None, f"it ended: see {log.name}"
            assert time.monotonic() < until, "it does not answer"
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Signals it and all its processes, as a machine's end would."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        for process in [*server.children(recursive=True), server]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, to all of its processes."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(PATIENCE_S)

    def freeze(self) -> None:
        """SIGSTOP, to all of its processes."""
        self.signal(signal.SIGSTOP)

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._process is None or self._process.poll() is not None:
            return
        self.signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def url(self) -> str:
        """Where it is."""
        return url_of(self)


def url_of(*servers: PostgresServer, options: str = "") -> str:
    """The URL of several hosts, in that order."""
    hosts = ",".join(f"127.0.0.1:{one.port}" for one in servers)
    return f"postgresql://rollcall@{hosts}/postgres{options}"


@contextlib.contextmanager
def server_folder() -> Iterator[Path]:
    """A folder in which servers may keep their data, whoever they run as."""
    folder = Path(tempfile.mkdtemp(prefix="rollcall-pg-", dir="/tmp"))
    user = _user() if os.getuid() == 0 else None
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_server(**settings: str) -> Iterator[PostgresServer]:
    """A server for as long as the block runs."""
    with server_folder() as folder:
        server = PostgresServer(folder, settings=settings)
        try:
            yield server
        finally:
            server.stop()


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
