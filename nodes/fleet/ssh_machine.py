"""Machines that are reached by the system's own ssh, over one connection each."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import IO

from nodes.errors import StartError
from nodes.fleet.hosts import Host, Hosts
from nodes.fleet.local_machine import LocalMachine
from nodes.fleet.machine import Ability, Launch, Machine
from nodes.fleet.ssh_words import explain_ssh
from nodes.fleet.ssh_worker import SCRIPT, SshWorker
from nodes.support.backoff import Backoff
from nodes.wire import LauncherSecrets, encode_secrets

OPTIONS = (
    *("-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "-o", "LogLevel=ERROR"),
    *("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3"),
)
"""Nobody is asked anything, and a machine that is silent for four seconds is lost."""

RECONNECT_BACKOFF = Backoff(first_s=0.3, factor=1.5, longest_s=10.0)

FIRST_CONTACT_S = 5.0
"""Seconds that the machines may take to be reached before the first worker is placed."""

TOKEN_EVERY_S = 2.0
"""Seconds between two looks whether the token has been rotated."""

CONNECTING = "it is being connected to"
"""Why a machine takes no worker yet."""


class SshMachine:
    """A machine elsewhere; see `nodes.fleet.machine.Machine`.

    One ssh holds the connection (`ControlMaster`) for as long as it can be held, and is told by
    that: while there is none, the machine is lost. Workers and signals share it.

    Args:
        host: which machine.
        config: a file for ssh's `-F`, None for the user's own.
        folder: for the control sockets; its name must be short.
        token: the token that its workers register with.
        ssh: the program.
    """

    def __init__(
        self,
        host: Host,
        *,
        config: Path | None,
        folder: Path,
        token: Callable[[], str | None],
        ssh: str = "ssh",
    ) -> None:
        self.name, self.room, self.host, self.tls = host.name, host.room, host.host, host.tls
        self._destination = host.destination
        self._python = host.python
        self._token = token
        self._control = folder / host.name[:20]
        files = [] if config is None else ["-F", str(config)]
        self._ssh = (ssh, *files, *OPTIONS, "-S", str(self._control))
        self.lost = CONNECTING
        self.settled = threading.Event()
        self._closed = threading.Event()
        self._workers: weakref.WeakSet[SshWorker] = weakref.WeakSet()
        self._connection: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(
            target=self._keep_connected, name=f"ssh-{host.name}", daemon=True
        )
        self._thread.start()

    def _keep_connected(self) -> None:
        """Connects, waits for the end of that connection, and connects again, until closed."""
        random, attempts = Random(), 0  # noqa: S311 - jitter, no secret
        while not self._closed.is_set():
            if self._connect():
                attempts = 0
            self.settled.set()
            self._closed.wait(RECONNECT_BACKOFF.wait_s(attempts, random.random()))
            attempts += 1

    def _connect(self) -> bool:
        """One connection, from start to end. Returns whether there was one."""
        self._control.unlink(missing_ok=True)
        connection = self._connection = subprocess.Popen(  # noqa: S603 - no shell here
            [
                *(*self._ssh, "-M", "-N", "-o", "PermitLocalCommand=yes"),
                *("-o", "LocalCommand=echo connected", "--", self._destination),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,  # Ctrl-C is ours to pass on
        )
        assert connection.stdout is not None  # noqa: S101 - for the type checker
        with connection:
            if self._closed.is_set():
                connection.kill()
            connected = bool(connection.stdout.readline())
            if connected:
                self.lost = ""
                self.settled.set()
            _, said = connection.communicate()
        self.lost = explain_ssh(said.decode("utf-8", "replace"), self._destination)
        return connected

    def start(self, launch: Launch, output: IO[bytes]) -> SshWorker:
        """Starts a worker there: what is secret goes over its standard input."""
        program = [self._python, "-P", "-m", "nodes.cli", *launch.arguments, "--secrets-from-stdin"]
        process = subprocess.Popen(  # noqa: S603 - no shell here, and quoted for the one there
            [
                *(*self._ssh, "-o", "ControlMaster=no", "--", self._destination),
                shlex.join(["sh", "-c", SCRIPT, "sh", *program]),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            process_group=0,
        )
        worker = SshWorker(
            process,
            os.dup(output.fileno()),
            command=(*self._ssh, "-o", "ControlMaster=no", "--", self._destination),
            why_lost=lambda: self.lost,
            python=self._python,
        )
        worker.tell(encode_secrets(LauncherSecrets(self._token() or "", launch.instance)))
        self._workers.add(worker)
        return worker

    def tell_token(self, token: str) -> None:
        """Hands its workers another token to register with."""
        for worker in list(self._workers):
            worker.tell(encode_secrets(LauncherSecrets(token)))

    def close(self) -> None:
        """Ends the connection."""
        self._closed.set()
        connection = self._connection
        if connection is not None:
            connection.terminate()
        self._thread.join(2.0)


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
        self._token = token
        self._closed = threading.Event()
        self._stack = contextlib.ExitStack()
        elsewhere = [one for one in hosts.machines if not one.is_local]
        ssh = shutil.which("ssh")
        if elsewhere and ssh is None:
            raise StartError("there is no ssh on this machine: install an OpenSSH client")
        # Not in the folder of the state: the name of a socket has 108 characters at most.
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-")))
        self._remote = {
            one.name: SshMachine(
                one, config=hosts.ssh_config, folder=folder, token=token, ssh=ssh or "ssh"
            )
            for one in elsewhere
        }
        self._all: tuple[Machine, ...] = tuple(
            self._remote.get(one.name) or LocalMachine(one.name, one.room) for one in hosts.machines
        )
        for machine in self._remote.values():
            machine.settled.wait(FIRST_CONTACT_S)
        self._thread = threading.Thread(target=self._watch_token, name="token", daemon=True)
        self._thread.start()

    def all(self) -> Sequence[Machine]:
        """Those of the file."""
        return self._all

    def _watch_token(self) -> None:
        known = self._token()
        while not self._closed.wait(TOKEN_EVERY_S):
            token = self._token()
            if token is not None and token != known:
                known = token
                for machine in self._remote.values():
                    machine.tell_token(token)

    def close(self) -> None:
        """Ends the connections."""
        self._closed.set()
        for machine in self._remote.values():
            machine.close()
        self._stack.close()
