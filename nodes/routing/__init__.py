"""Pure decisions: no sockets, no threads; clock and randomness are passed in."""

from nodes.routing.balancer import POLICIES, Policy, pick
from nodes.routing.figures import Figures
from nodes.routing.registry import Address, AddressHeld, Registry, State, Worker
from nodes.routing.restarts import Restarts

__all__ = [
    "POLICIES",
    "Address",
    "AddressHeld",
    "Figures",
    "Policy",
    "Registry",
    "Restarts",
    "State",
    "Worker",
    "pick",
]
