"""A real Ray cluster on loopback: a head and nodes, each with an address of its own.

Ray listens on every address whatever it is told, so that each cluster here has a token of its own.
Every process of it bears a mark in its environment, by which it is found and ended.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.kit import poll_for

WHY_NOT = "" if find_spec("ray") else "there is no Ray here: pip install -e '.[test,ray]'"
"""Why there can be none; "" if there can."""

HEAD = "127.0.0.2"
"""The head's address. (Ray takes 127.0.0.1 for this machine's outer address.)"""

_MARK = "ROLLCALL_TEST_CLUSTER"
_STORE_BYTES = 80_000_000


class RayCluster:
    """A cluster of Ray: a head without room for workers, and nodes that are called by their
    addresses.

    Args:
        durable: whether its head remembers, on its disk, what it knew when it ended.
        token: what it asks for; "" if it is open.
    """

    def __init__(self, *, durable: bool = True, token: str | None = None) -> None:
        self.token = secrets.token_hex(16) if token is None else token
        self.port = _free_port()
        self._mark = secrets.token_hex(8)
        # Short: sockets are in it, and a socket's path has 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="rc-"))
        self._head: tuple[list[str], dict[str, str]] | None = None
        period = {"period": 500, "timeout": 500, "initial_delay": 500}
        self.environment = {
            **os.environ,
            _MARK: self._mark,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
            "RAY_health_check_failure_threshold": "3",
            **{f"RAY_health_check_{what}_ms": str(ms) for what, ms in period.items()},
            "RAY_AUTH_MODE": "token" if self.token else "disabled",
            "RAY_AUTH_TOKEN": self.token,
        }
        if durable:
            self.environment |= {
                "RAY_gcs_storage": "rocksdb",
                "RAY_gcs_storage_path": str(self._folder / "store"),
            }

    @property
    def address(self) -> str:
        """Of its head."""
        return f"{HEAD}:{self.port}"

    def start_head(self) -> None:
        """Starts the head, which takes no workers."""
        self._ray("start", "--head", "--port", str(self.port), "--include-dashboard", "false",
                  "--temp-dir", str(self._folder / "t"), *self._options(HEAD, cpus=0))  # fmt: skip

    def start_node(self, number: int, *options: str, cpus: int = 4) -> str:
        """Starts a node; returns its name, which is its address."""
        address = f"127.0.0.{number}"
        self._ray("start", "--address", self.address, *self._options(address, cpus=cpus), *options)
        return address

    def kill_node(self, address: str) -> None:
        """Ends a node as a machine ends that loses its power: all of it, at once."""
        _send(signal.SIGKILL, self._of_node(address))

    def freeze_node(self, address: str) -> Callable[[], None]:
        """Stops all of a node; it goes on when what is returned is called."""
        frozen = self._of_node(address)
        _send(signal.SIGSTOP, frozen)
        return lambda: _send(signal.SIGCONT, frozen)

    def _of_node(self, address: str) -> list[psutil.Process]:
        raylets = [one for one in self._processes() if _is_raylet(one, address)]
        assert raylets
        return [*raylets, *(child for one in raylets for child in one.children(recursive=True))]

    def kill_head(self) -> None:
        """Ends the head's own process."""
        for process in self._processes():
            if "gcs_server" in process.name():
                self._head = (process.cmdline(), process.environ())
                _send(signal.SIGKILL, [process])

    def restart_head(self) -> None:
        """Starts the head's own process again, as it was."""
        assert self._head is not None
        command, environment = self._head
        # No child of this process: of those, a test leaves none behind.
        detached = ["setsid", "--fork", *command]
        nothing = subprocess.DEVNULL
        subprocess.run(detached, env=environment, check=True, stdin=nothing, stdout=nothing)

    def named(self, word: str) -> list[psutil.Process]:
        """Its processes whose command has that word."""
        return [one for one in self._processes() if any(word in part for part in _command(one))]

    def close(self) -> None:
        """Ends all of its processes, those of workers as well."""
        for _ in range(3):
            _send(signal.SIGKILL, self._processes())
        poll_for(lambda: not self._processes())
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _options(self, address: str, *, cpus: int) -> list[str]:
        store = ["--object-store-memory", str(_STORE_BYTES)]
        quiet = ["--disable-usage-stats", "--include-log-monitor", "false"]
        return ["--node-ip-address", address, "--num-cpus", str(cpus), *store, *quiet]

    def _ray(self, *arguments: str) -> None:
        done = subprocess.run(
            [Path(sys.executable).with_name("ray"), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _processes(self) -> list[psutil.Process]:
        """Those with the mark, and their children: some of Ray's write over their environment."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get(_MARK) == self._mark:
                    found[process.pid] = process
                    found |= {child.pid: child for child in process.children(recursive=True)}
        return list(found.values())


def _is_raylet(process: psutil.Process, address: str) -> bool:
    command = _command(process)
    return "raylet" in process.name() and f"--node_ip_address={address}" in command


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _send(number: int, processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def _free_port() -> int:
    with socket.create_server(("", 0)) as listener:
        return int(listener.getsockname()[1])
