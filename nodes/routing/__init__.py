"""Pure decisions: no sockets, no threads; clock and randomness are passed in."""

from nodes.routing.balancer import POLICIES, Policy, pick
from nodes.routing.budget import Budget
from nodes.routing.call import NO_WORKERS, Journey, Router, panics
from nodes.routing.histogram import Figures
from nodes.routing.registry import Address, AddressHeld, Registry, State, Worker

__all__ = [
    "NO_WORKERS",
    "POLICIES",
    "Address",
    "AddressHeld",
    "Budget",
    "Figures",
    "Journey",
    "Policy",
    "Registry",
    "Router",
    "State",
    "Worker",
    "panics",
    "pick",
]
