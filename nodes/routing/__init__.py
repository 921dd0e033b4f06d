"""Pure decisions: no sockets, no threads; clock and randomness are passed in."""

from nodes.routing.balancer import POLICIES, Policy, pick
from nodes.routing.budget import Budget
from nodes.routing.figures import Figures
from nodes.routing.registry import Address, AddressHeld, Registry, State, Worker
from nodes.routing.restarts import Restarts
from nodes.routing.router import NO_WORKERS, Journey, Router, panics

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
    "Restarts",
    "Router",
    "State",
    "Worker",
    "panics",
    "pick",
]
