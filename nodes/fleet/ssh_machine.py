"""Machines that are reached by the system's own ssh: one connection and one keeper each."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import msgspec

from nodes.errors import StartError
from nodes.fleet.hosts import Host, Hosts
from nodes.fleet.keeper.messages import (
    Alive,
    BadFrameError,
    Hello,
    decode_report,
    read_frame,
)
from nodes.fleet.keeper.session import SILENT_S, KeeperSession, KeptWorker
from nodes.fleet.local_machine import LocalMachine
from nodes.fleet.machine import Ability, Launch, Machine, Sink
from nodes.fleet.ssh_words import explain_ssh
from nodes.fleet.token_watch import TokenWatch
from nodes.support.backoff import Backoff
from nodes.support.os_errors import explain_os_error
from nodes.support.supervision import Supervision, supervised_thread
from nodes.support.version import VERSION

OPTIONS = (
    *("-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "-o", "LogLevel=ERROR"),
    *("-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=4"),
)
"""Nobody is asked anything, and a machine that is silent for eight seconds is lost."""

RECONNECT_BACKOFF = Backoff(first_s=0.3, factor=1.5, longest_s=10.0)

FIRST_CONTACT_S = 5.0
"""Seconds that the machines may take to be reached before the first worker is placed."""

SAID_BYTES = 4000
"""Bytes of what ssh wrote that are looked at."""

CONNECTING = "it is being connected to"
"""Why a machine takes no worker yet."""


NO_ANSWER = "it does not answer any more"
"""Why a machine is lost whose keeper has been silent."""


class SshMachine:
    """A machine elsewhere; see `nodes.fleet.machine.Machine`.

    Args:
        host: which machine.
        config: a file for ssh's `-F`, None for the user's own.
        token: the token that its workers register with.
        ssh: the program.
        master: the address by which it reaches this machine; "" for that which ssh comes from.
        silent_s: seconds of silence after which its keeper is given up.
    """

    def __init__(
        self,
        host: Host,
        *,
        config: Path | None,
        token: Callable[[], str | None],
        ssh: str = "ssh",
        master: str = "",
        silent_s: float = SILENT_S,
    ) -> None:
        self._silent_s = silent_s
        self.name, self.room, self.tls = host.name, host.room, host.tls
        self.host, self.master = host.host, master
        self.lost = CONNECTING
        self.settled = threading.Event()
        self._destination = host.destination
        self._python = host.python
        self._token = token
        files = [] if config is None else ["-F", str(config)]
        keeper = shlex.join([host.python, "-P", "-m", "nodes.fleet.keeper"])
        self._command = [ssh, *files, *OPTIONS, "--", host.destination, f"exec {keeper}"]
        self._closed = threading.Event()
        self._connection: subprocess.Popen[bytes] | None = None
        self._session: KeeperSession | None = None
        supervision = Supervision(f"the connection to {host.name}")
        self._thread = supervised_thread(
            f"ssh-{host.name}", self._keep_connected, supervision, self._closed
        )

    def start(self, launch: Launch, output: Sink) -> KeptWorker:
        """Starts a worker there: what is secret goes over its standard input."""
        session = self._session
        if session is None:
            raise ConnectionError(self.lost)
        return session.start(launch, output, self._token() or "")

    def tell_token(self, token: str) -> None:
        """Hands its workers another token to register with."""
        session = self._session
        if session is not None:
            session.tell_token(token)

    def close(self) -> None:
        """Ends the connection, and so the keeper."""
        self._closed.set()
        connection = self._connection
        if connection is not None:
            connection.terminate()
        self._thread.join(2.0)

    def _keep_connected(self) -> None:
        """Connects, waits for the end of that connection, and connects again, until closed."""
        random, attempts = Random(), 0  # noqa: S311 - jitter, no secret
        while not self._closed.is_set():
            try:
                if self._connect():
                    attempts = 0
            except OSError as error:
                self.lost = f"ssh cannot be started: {explain_os_error(error)}"
            self.settled.set()
            self._closed.wait(RECONNECT_BACKOFF.wait_s(attempts, random.random()))
            attempts += 1

    def _connect(self) -> bool:
        """One connection, from start to end. Returns whether there was a keeper."""
        with tempfile.TemporaryFile() as said:
            connection = self._connection = subprocess.Popen(  # noqa: S603 - no shell here
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                process_group=0,  # Ctrl-C is ours to pass on
            )
            assert connection.stdin is not None  # noqa: S101 - it is a pipe
            silent = threading.Event()

            def give_up() -> None:
                silent.set()
                _kill(connection)

            session = KeeperSession(connection.stdin, give_up, self._silent_s)
            if self._closed.is_set():
                _kill(connection)
            why = NO_ANSWER
            try:
                why = self._listen(connection, session) or (NO_ANSWER if silent.is_set() else "")
            finally:  # whatever it was: nobody listens there any more
                _kill(connection)
                status = connection.wait()
                said.seek(0)
                words = said.read(SAID_BYTES).decode("utf-8", "replace")
                self.lost = why or explain_ssh(words, status, self._destination, self._python)
                met, self._session = self._session is not None, None
                session.lose(f"{self.name} is lost: {self.lost}")
                _close_pipes(connection)
        return met

    def _listen(self, connection: subprocess.Popen[bytes], session: KeeperSession) -> str:
        """Takes in what the keeper says, to its end. Returns why it is of no use, "" if it is."""
        assert connection.stdout is not None  # noqa: S101 - it is a pipe
        try:
            while frame := read_frame(connection.stdout):
                session.heard()
                match decode_report(frame):
                    case Hello() as hello:
                        if hello.version != VERSION:
                            return (
                                f"it has Rollcall {hello.version}, and here is "
                                f"{VERSION}: install the same there"
                            )
                        self.host = self.host or hello.address
                        self.master = self.master or hello.launcher
                        self._session = session
                        self.lost = ""
                        self.settled.set()
                    case Alive():
                        pass
                    case report:
                        session.take(report)
        except (BadFrameError, msgspec.MsgspecError):
            return (
                f"something else than Rollcall speaks there: a shell that prints when it starts? "
                f"See 'ssh {shlex.quote(self._destination)} true' by hand, which must print nothing"
            )
        return ""


def _close_pipes(connection: subprocess.Popen[bytes]) -> None:
    for pipe in (connection.stdin, connection.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not sent has nowhere to go
                pipe.close()


def _kill(connection: subprocess.Popen[bytes]) -> None:
    """Ends an ssh and what it started here, such as the program that leads to a jump host."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(connection.pid, signal.SIGKILL)


class SshMachines:
    """The machines of a file; see `nodes.fleet.machine.Machines`.

    Args:
        hosts: the file.
        token: the token that workers register with; asked again, as it may be rotated.

    Raises:
        StartError: there is no ssh here.
    """

    abilities = frozenset(Ability)

    def __init__(self, hosts: Hosts, *, token: Callable[[], str | None]) -> None:
        elsewhere = [one for one in hosts.machines if not one.is_local]
        ssh = shutil.which("ssh")
        if elsewhere and ssh is None:
            raise StartError("there is no ssh on this machine: install an OpenSSH client")
        self._remote = {
            one.name: SshMachine(
                one, config=hosts.ssh_config, token=token, ssh=ssh or "ssh", master=hosts.master
            )
            for one in elsewhere
        }
        self._all: tuple[Machine, ...] = tuple(
            self._remote.get(one.name) or LocalMachine(one.name, one.room) for one in hosts.machines
        )
        for machine in self._remote.values():
            machine.settled.wait(FIRST_CONTACT_S)
        self._watch = TokenWatch(token, self._tell_token)

    def all(self) -> Sequence[Machine]:
        """Those of the file."""
        return self._all

    def _tell_token(self, token: str) -> None:
        for machine in self._remote.values():
            machine.tell_token(token)

    def close(self) -> None:
        """Ends the connections."""
        self._watch.close()
        for machine in self._remote.values():
            machine.close()
