"""Pure decisions: no sockets, no threads; clock and randomness are passed in."""

from nodes.routing.balancer import POLICIES, Policy, pick
from nodes.routing.budget import Budget
from nodes.routing.call import NO_WORKERS, CallState, Router, panics
from nodes.routing.histogram import WindowedHistogram
from nodes.routing.registry import Address, AddressHeld, Registry, State, Worker

__all__ = [
    "NO_WORKERS",
    "POLICIES",
    "Address",
    "AddressHeld",
    "Budget",
    "CallState",
    "Policy",
    "Registry",
    "Router",
    "State",
    "WindowedHistogram",
    "Worker",
    "panics",
    "pick",
]
