"""Ray's table of nodes, as machines: what each is called, and how many workers it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.fleet.ray.messages import RayNode

ROOM_RESOURCE = "rollcall"
"""The resource by which a node says how many workers it takes; one without it has its CPUs."""


def alive_nodes(table: Iterable[Mapping[str, Any]]) -> tuple[RayNode, ...]:
    """The nodes that are alive and take workers, by name.

    A node is called as Ray calls it: as it was named at its start, or by its address. Two may be
    called the same.

    Args:
        table: as `ray.nodes()` has it.
    """
    nodes = [
        RayNode(
            id=str(node["NodeID"]),
            name=str(node.get("NodeName") or node["NodeManagerAddress"]),
            address=str(node["NodeManagerAddress"]),
            room=room(node["Resources"]),
            declares_room=ROOM_RESOURCE in node["Resources"],
        )
        for node in table
        if node["Alive"] and room(node["Resources"])
    ]
    return tuple(sorted(nodes, key=lambda node: (node.name, node.id)))


def room(resources: Mapping[str, float]) -> int:
    """How many workers a node with these resources takes."""
    return int(resources.get(ROOM_RESOURCE, resources.get("CPU", 0)))
