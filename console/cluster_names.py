"""What clusters are called on the screen and, where there are several, their workers; pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence

from nodes.errors import BadRequest
from nodes.support.addresses import Address, parse_address

_OF = " of "


def cluster_names(addresses: Sequence[str]) -> list[str]:
    """The shortest names that tell the clusters of these masters apart, in the same order: their
    ports, their hosts, or both. One that is alone needs none, and is called "".

    Raises:
        BadRequest: an address is none, or is there twice.
    """
    parsed = [(host.lower(), port) for host, port in map(parse_address, addresses)]
    for address, one in zip(addresses, parsed, strict=True):
        if parsed.count(one) > 1:
            raise BadRequest(
                f"{address[:80]} is given twice: give each --attach an address of its own"
            )
    hosts, ports = [host for host, _ in parsed], [port for _, port in parsed]
    if len(parsed) == 1:
        return [""]
    if len(set(hosts)) == 1:
        return [f":{port}" for port in ports]
    if len(set(hosts)) == len(hosts):
        return _short_hosts(hosts)
    return [str(Address(host, port)) for host, port in parsed]


def _short_hosts(hosts: Sequence[str]) -> list[str]:
    """Their first labels, if all of them are names and these differ."""
    first = [host.partition(".")[0] for host in hosts]
    return first if len(set(first)) == len(hosts) and not any(map(_is_ip, hosts)) else [*hosts]


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def worker_key(cluster: str, worker_id: str) -> str:
    """What a worker is known by on the screen: ids are unique in a cluster, and nowhere else."""
    return f"{worker_id}{_OF}{cluster}" if cluster else worker_id


def split_key(key: str, clusters: Collection[str]) -> tuple[str, str]:
    """The cluster's name and the worker's id of a key; "" for the name if it has none of these."""
    worker_id, _, cluster = key.rpartition(_OF)
    return (cluster, worker_id) if cluster in clusters and worker_id else ("", key)


def named_workers(ids: Mapping[str, Sequence[str]]) -> str:
    """Workers as a question names them: "w1, w2 of :23000; w1 of :23001".

    Args:
        ids: of the workers, by the name of their cluster.
    """
    return "; ".join(worker_key(cluster, ", ".join(some)) for cluster, some in ids.items())


def said_of(cluster: str, text: str) -> str:
    """What is said of a cluster; its name before it if it has one."""
    return f"{cluster}: {text}" if cluster else text
