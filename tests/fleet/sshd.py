"""Real sshd's on this machine, each of which stands for a machine of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from nodes.fleet.hosts import Host, Hosts
from tests.kit import PATIENCE, poll_for

WHY_NOT = (
    ""
    if shutil.which("sshd", path="/usr/sbin:/usr/bin") and shutil.which("ssh")
    else "there is no OpenSSH server and client here: install openssh-server"
)
"""Why there can be none; "" if there can."""

PROJECT = Path(__file__).parent.parent.parent


class Sshd:
    """An sshd with a folder of its own for keys, state and cache.

    Args:
        folder: made here.
        name: of the machine that it stands for.
        key: the public key that it lets in.
    """

    def __init__(self, folder: Path, name: str, key: str) -> None:
        self.name = name
        self._folder = folder
        folder.mkdir()
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")],
            check=True,
        )
        self.host_key = (folder / "host_key.pub").read_text().rsplit(None, 1)[0]
        (folder / "authorized_keys").write_text(key)
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = held.getsockname()[1]
        # The worker's own settings; what pytest has for itself is not inherited.
        settings = {
            "ROLLCALL_STATE": folder / "state",
            "ROLLCALL_CACHE": folder / "cache",
            "PYTHONPATH": PROJECT,
        }
        (folder / "config").write_text(
            "\n".join(
                (
                    f"Port {self.port}",
                    "ListenAddress 127.0.0.1",
                    f"HostKey {folder / 'host_key'}",
                    f"AuthorizedKeysFile {folder / 'authorized_keys'}",
                    f"PidFile {folder / 'pid'}",
                    "StrictModes no",
                    "UsePAM no",
                    "PasswordAuthentication no",
                    "PermitRootLogin prohibit-password",
                    f"SetEnv {' '.join(f'{name}={value}' for name, value in settings.items())}",
                )
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Switches the machine on."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
        assert sshd is not None
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", str(self._folder / "config")],
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        poll_for(self._listens)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def processes(self) -> list[psutil.Process]:
        """All that runs on the machine, sshd first."""
        if self._process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            sshd = psutil.Process(self._process.pid)
            return [sshd, *sshd.children(recursive=True)]
        return []

    def _signal(self, number: int) -> list[psutil.Process]:
        hit = self.processes()
        for process in hit:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return hit

    def freeze(self) -> None:
        """The machine stops, and keeps its connections."""
        self._frozen = self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        for process in self._frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

    def cut_power(self) -> None:
        """The machine is off: nothing of it is left."""
        hit = self._signal(signal.SIGKILL)
        psutil.wait_procs(hit, timeout=PATIENCE)
        if self._process is not None:
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def machines(folder: Path, rooms: dict[str, int]) -> Iterator[tuple[Hosts, dict[str, Sshd]]]:
    """Machines, and the file that names them."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True
    )
    key = (folder / "key.pub").read_text()
    found: dict[str, Sshd] = {}
    try:
        for name in rooms:
            found[name] = Sshd(folder / name, name, key)
        (folder / "known_hosts").write_text(
            "".join(f"[127.0.0.1]:{one.port} {one.host_key}\n" for one in found.values())
        )
        common = (
            f"  HostName 127.0.0.1\n  User {getpass.getuser()}\n  IdentityFile {folder / 'key'}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder / 'known_hosts'}\n"
        )
        config = folder / "ssh_config"
        config.write_text(
            "".join(f"Host {one.name}\n  Port {one.port}\n{common}" for one in found.values())
        )
        hosts = tuple(
            Host(name, name, room, sys.executable, "127.0.0.1", "") for name, room in rooms.items()
        )
        yield Hosts(hosts, ssh_config=config), found
    finally:
        for one in found.values():
            one.cut_power()
