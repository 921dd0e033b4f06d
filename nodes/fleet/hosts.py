"""The file of machines that a fleet is placed on: `hosts.toml`, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nodes.errors import StartError
from nodes.fleet.machine import MAX_WORKERS
from nodes.support.os_errors import explain_os_error

LOCAL = "local"
"""The destination that stands for this machine."""

MAX_MACHINES = 64

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DESTINATION = re.compile(r"(ssh://)?([^@/\s]+@)?(\[[^\]\s]+\]|[^:/\s@]+)(:\d+)?", re.ASCII)
_KEYS = {"name": str, "destination": str, "room": int, "python": str, "host": str, "tls": str}
_EXAMPLE = '[[machine]]\nname = "a"\ndestination = "user@a.example.org"\nroom = 8'


class Host(NamedTuple):
    """One machine of the file.

    Args:
        name: what it is called in the cluster.
        destination: where ssh finds it, as on its command line; `LOCAL` for this machine.
        room: workers that it takes at most.
        python: its Python, which has this package installed.
        host: the address that its workers listen on, "" for that at which ssh reaches it.
        tls: the folder of certificates there, "" where there is no TLS.
    """

    name: str
    destination: str
    room: int
    python: str
    host: str
    tls: str

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return self.destination == LOCAL


class Hosts(NamedTuple):
    """What the file says.

    Args:
        machines: all of them, in the order of the file.
        ssh_config: a file for ssh's `-F`; None for the user's own.
        master: the address by which they reach this machine, where its master listens on all of
            its addresses; "" for the one that ssh comes from.
    """

    machines: tuple[Host, ...]
    ssh_config: Path | None = None
    master: str = ""


def load_hosts(path: Path) -> Hosts:
    """Reads a file of machines.

    Raises:
        StartError: it cannot be used; says where, why and what to write.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StartError(f"{path} cannot be read: {explain_os_error(error)}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StartError(f"{path} is not TOML: {error}") from None
    unknown = document.keys() - {"machine", "ssh_config", "master"}
    if unknown:
        raise StartError(
            f"{path}: there is no {min(unknown)!r} here; there are ssh_config, master, [[machine]]"
        )
    master = document.get("master", "")
    if not isinstance(master, str):
        raise StartError(f"{path}: master must be an address of this machine, a text")
    tables = document.get("machine")
    if not isinstance(tables, list) or not 1 <= len(tables) <= MAX_MACHINES:
        raise StartError(f"{path}: needs 1 to {MAX_MACHINES} machines, each as\n{_EXAMPLE}")
    machines = tuple(_host(f"{path}: machine {n}", one) for n, one in enumerate(tables, 1))
    for what in ("name", "destination"):
        values = [getattr(one, what) for one in machines]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise StartError(f"{path}: two machines have the {what} {twice!r}")
    return Hosts(machines, _ssh_config(path, document.get("ssh_config")), master)


def _ssh_config(path: Path, given: object) -> Path | None:
    if given is None:
        return None
    if not isinstance(given, str) or not given:
        raise StartError(f"{path}: ssh_config must be the name of a file")
    found = path.parent / Path(given).expanduser()
    if not found.is_file():
        raise StartError(f"{path}: ssh_config: there is no file {found}")
    return found


def _host(where: str, table: object) -> Host:
    if not isinstance(table, Mapping):
        raise StartError(f"{where}: must be a table, as\n{_EXAMPLE}")
    for key, value in table.items():
        kind = _KEYS.get(key)
        if kind is None:
            raise StartError(f"{where}: there is no {key!r}; there are {', '.join(_KEYS)}")
        if type(value) is not kind:
            wanted = "a whole number" if kind is int else "a text"
            raise StartError(f"{where}: {key} must be {wanted}")
    return _checked(where, dict(table))


def _checked(where: str, given: dict[str, Any]) -> Host:
    name, destination = given.get("name", ""), given.get("destination", "")
    if not _NAME.fullmatch(name):
        raise StartError(
            f"{where}: name must be 1 to 64 letters, digits, '.', '_' or '-', not {name!r}"
        )
    where = f"{where} ({name})"
    found = _DESTINATION.fullmatch(destination)
    if found is None or destination.startswith("-"):
        raise StartError(
            f"{where}: destination must be as ssh has it, as user@host, or {LOCAL!r} for this "
            f"machine; not {destination!r}"
        )
    room = given.get("room", MAX_WORKERS if destination == LOCAL else 0)
    if not 1 <= room <= MAX_WORKERS:
        raise StartError(f"{where}: room is how many workers it takes, 1 to {MAX_WORKERS}: give it")
    return Host(
        name=name,
        destination=destination,
        room=room,
        python=given.get("python", "python3"),
        host=given.get("host", ""),
        tls=given.get("tls", ""),
    )
