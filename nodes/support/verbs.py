"""The verbs by name, by who may call them: names that no lookup may have."""

from __future__ import annotations

CLIENT_VERBS = ("login", "lookup", "lookup_many", "describe", "members", "suggest")
WORKER_VERBS = ("register", "renew", "leave", "catalog_offer", "catalog_part")
LOOKING = ("snapshot", "events", "history", "recording", "log")
"""What a viewer can do: to see everything."""

STEERING = (
    "spawn",
    "scale",
    "kill",
    "drain",
    "restart",
    "again",
    "clear",
    "freeze",
    "thaw",
    "reload",
)
"""What changes the cluster: an operator's acts."""

OPERATIONS = (*LOOKING, *STEERING)
"""What an operator can do."""

RESERVED = frozenset((*CLIENT_VERBS, *WORKER_VERBS, *OPERATIONS, "probe", "ping", "root", "close"))
"""All of those, and what RPyC or a worker's own port call something else."""
