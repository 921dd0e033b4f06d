"""A fleet placed by a file of machines: checked against the master's address, then opened."""

from __future__ import annotations

from pathlib import Path

from nodes.errors import StartError
from nodes.fleet.hosts import Hosts, load_hosts
from nodes.fleet.machine import Machines, OpenMachines
from nodes.fleet.ssh_machine import SshMachines
from nodes.security.credentials import worker_token
from nodes.support.addresses import Address
from nodes.support.listening import is_loopback


def machines_of(path: Path, *, tls: bool) -> OpenMachines:
    """The machines of a file, over ssh.

    Args:
        path: the file.
        tls: whether the cluster uses TLS.

    Raises:
        StartError: the file is wrong.
    """
    hosts = load_hosts(path)
    for host in hosts.machines:
        if tls and not host.tls and not host.is_local:
            raise StartError(
                f"{path}: machine {host.name}: tls is missing: the folder there with its "
                "certificates, as 'rollcall-nodes certs init' makes them"
            )

    def open_machines(master: Address) -> Machines:
        check_reachable(hosts, master.host)
        return SshMachines(hosts, token=worker_token)

    return open_machines


def check_reachable(hosts: Hosts, master: str) -> None:
    """Whether workers of those machines can reach a master that listens there.

    Raises:
        StartError: they cannot; says which option changes it.
    """
    for host in hosts.machines:
        if not host.is_local and not is_loopback(host.host) and is_loopback(master):
            raise StartError(
                f"machine {host.name} cannot reach a master at {master}: add --host with an "
                "address of this machine that it reaches, and --tls (where it is this machine "
                f'after all, give it host = "{master}")'
            )
