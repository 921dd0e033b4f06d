"""Ray's table of nodes, as machines: what each is called, and how many workers it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from nodes.fleet.ray.messages import RayNode

ROOM_RESOURCE = "rollcall"
"""The resource by which a node says how many workers it takes; one without it has its CPUs."""

_ID_CHARS = 6


def alive_nodes(table: Iterable[Mapping[str, Any]]) -> tuple[RayNode, ...]:
    """The nodes that are alive and take workers, by name.

    A node is called as Ray calls it: as it was named at its start, or by its address. Where two
    are called the same, a part of Ray's own id tells them apart.

    Args:
        table: as `ray.nodes()` has it.
    """
    alive = [node for node in table if node["Alive"] and room(node["Resources"])]
    names = Counter(_name(node) for node in alive)
    nodes = []
    for node in alive:
        name, node_id = _name(node), str(node["NodeID"])
        if names[name] > 1:
            name += f"-{node_id[:_ID_CHARS]}"
        address = str(node["NodeManagerAddress"])
        takes = room(node["Resources"])
        nodes.append(RayNode(node_id, name, address, takes, ROOM_RESOURCE in node["Resources"]))
    return tuple(sorted(nodes, key=lambda node: node.name))


def room(resources: Mapping[str, float]) -> int:
    """How many workers a node with these resources takes."""
    return int(resources.get(ROOM_RESOURCE, resources.get("CPU", 0)))


def _name(node: Mapping[str, Any]) -> str:
    return str(node.get("NodeName") or node["NodeManagerAddress"])
