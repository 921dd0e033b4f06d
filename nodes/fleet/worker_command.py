"""The command of a worker, by the machine that it is to run on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nodes.fleet.machine import Machine
from nodes.support.addresses import Address
from nodes.support.listening import beside, is_loopback, is_wildcard


def worker_command(
    worker_id: str,
    machine: Machine,
    *,
    master: Address,
    catalog: str,
    tls: Path | None,
    log_options: Sequence[str] = (),
) -> list[str]:
    """The arguments of `rollcall-nodes` that start it there.

    Args:
        worker_id: its id.
        machine: where it is to run.
        master: where its master listens.
        catalog: the path of what it serves, on this machine; elsewhere it fetches that.
        tls: the folder of certificates on this machine; None for no TLS.
        log_options: what and how it logs, if not by its own defaults.
    """
    # A master that others reach needs no workers that others reach, but for other machines'.
    home = machine.host or beside(master.host)
    if is_wildcard(master.host):
        master = Address(machine.master or home, master.port)
    command = ["worker", "0", "--host", home, "--master", str(master)]
    if machine.host:
        command += ["--from-master", "--secrets-from-stdin"]
    else:
        command += ["--catalog", catalog, "--leave-with-stdin"]
    if tls is not None:
        command += ["--tls", machine.tls or str(tls.absolute())]
    elif not is_loopback(home):
        command.append("--insecure")  # as its master was told to be
    return [*command, *log_options, "--id", worker_id]
