"""Listening: on which addresses one may, and where one is found who does."""

from __future__ import annotations

import errno
import ipaddress
import shlex
import socket
from collections.abc import Iterable
from pathlib import Path

from nodes.errors import BadRequest, Forbidden, StartError
from nodes.support.addresses import Address
from nodes.support.paths import state_dir


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address. A name other than localhost is none."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether that is every address of this machine: one to listen on, and none to dial."""
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def named(host: str) -> str:
    """The address that a certificate must be for to listen there, "" for any."""
    return "" if is_wildcard(host) else host


def beside(host: str) -> str:
    """The address, of this machine only, for a node beside one that listens on `host`."""
    if is_loopback(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def tls_folder() -> Path:
    """Where certificates are made, unless another folder is named."""
    return state_dir() / "tls"


def check_host(host: str, *, tls: bool, insecure: bool) -> None:
    """Raises `StartError` for an address that others than this machine reach, unless it is
    encrypted, or is meant not to be.
    """
    if tls or insecure or is_loopback(host):
        return
    name = socket.gethostname() if is_wildcard(host) else host
    raise StartError(
        f"{host} can be reached from other machines, where anybody could read along and take "
        f"the token; run 'rollcall-nodes certs init --host {shlex.quote(name)}', then add "
        f"--tls {shlex.quote(str(tls_folder()))} (or stay here: --host 127.0.0.1; or do without: "
        "--insecure)"
    )


def insecurity(host: str) -> str:
    """What `--insecure` gives up at that address, in a line."""
    return (
        f"insecure: {host} is not encrypted; whoever is on the network can read lookups, "
        "answers and the cluster token, and with that steer the cluster"
    )


def registered_host(claimed: str, peer: str, here: str, *, advertised: bool = False) -> str:
    """Where a worker that claims an address is dialled: nobody registers another's machine.

    Args:
        claimed: the address it says it listens on.
        peer: the address its own connection comes from.
        here: the address the master listens on; who comes from there is on this machine.
        advertised: whether it says where clients find it, and not where it listens: behind a port
            that another machine publishes, say.

    Raises:
        BadRequest: that is another machine's.
    """
    if advertised and not is_wildcard(claimed):
        return claimed
    if is_loopback(claimed) and (is_loopback(peer) or peer == here):
        return claimed
    try:
        listens = ipaddress.ip_address(claimed)
        # One that listens on every address is dialled where it comes from.
        if listens.is_unspecified or listens == ipaddress.ip_address(peer):
            return peer
    except ValueError:
        pass  # a name: whose it is, others say
    raise BadRequest(
        f"a worker cannot register {claimed[:80]!r} from {peer}: "
        f"start it with --host {peer}, or on the machine that has that address"
    )


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks in CIDR's form, such as 10.1.0.0/16. Raises `StartError` for what is none."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise StartError(
                f"{text[:80]!r} is no network such as 10.1.0.0/16 or fd00:1::/64"
            ) from error
    return tuple(found)


def check_worker_network(address: str, here: str, networks: tuple[Network, ...]) -> None:
    """Raises `Forbidden` for a worker at an address that is in none of the networks, if there are
    any. Workers of the master's own machine are always let in.

    Args:
        address: where the worker is.
        here: the address the master listens on.
        networks: where workers may be; none for anywhere.
    """
    if not networks or is_loopback(address) or address == here:
        return
    try:
        at = ipaddress.ip_address(address)
    except ValueError:
        raise Forbidden(
            f"workers may not register as {address[:80]!r}: the master was started with "
            "--workers-from, so name the address itself"
        ) from None
    at = getattr(at, "ipv4_mapped", None) or at
    if not any(at in network for network in networks):
        raise Forbidden(
            f"workers may not register from {address}: the master was started with --workers-from "
            f"{', '.join(map(str, networks))}"
        )


def explain_bind(error: OSError, host: str, port: int) -> str:
    """Why a port could not be had, by whom it is held if that can be seen, and what to do."""
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen on {Address(host, port)}: {error.strerror}"
    return f"port {port} is taken{_holder(port)}; choose another with --port, or 0 for any"


def _holder(port: int) -> str:
    import psutil  # noqa: PLC0415 - seldom needed, and slow to import

    try:
        for link in psutil.net_connections("tcp"):
            if link.status == psutil.CONN_LISTEN and link.laddr[1:] == (port,) and link.pid:
                return f" by {psutil.Process(link.pid).name()} (pid {link.pid})"
    except psutil.Error:
        pass
    return ""
