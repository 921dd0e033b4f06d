"""Pure decisions: no sockets, no threads; clock and randomness are passed in.

Imports support only; imported by dispatch, client and master.
"""

from nodes.routing.attempt import Outcome, PastAttempt
from nodes.routing.balancer import NOISE_S, POLICIES, Policy, is_slow, key_now, pick
from nodes.routing.budget import Budget
from nodes.routing.call import NO_WORKERS, Ask, CallState, WaitUntil
from nodes.routing.histogram import WindowedHistogram
from nodes.routing.limits import DEFAULT_LIMITS, RoutingLimits
from nodes.routing.local import REGISTERS_WITHIN_S, LocalWorker, ProcessEvent
from nodes.routing.refusals import AddressHeld, GivenUp
from nodes.routing.registry import Registry
from nodes.routing.router import Router, panics
from nodes.routing.states import BETWEEN_REGISTRATIONS, IN_ROTATION, Phase, ProcessChange, State
from nodes.routing.worker import Worker

__all__ = [
    "BETWEEN_REGISTRATIONS",
    "DEFAULT_LIMITS",
    "IN_ROTATION",
    "NOISE_S",
    "NO_WORKERS",
    "POLICIES",
    "REGISTERS_WITHIN_S",
    "AddressHeld",
    "Ask",
    "Budget",
    "CallState",
    "GivenUp",
    "LocalWorker",
    "Outcome",
    "PastAttempt",
    "Phase",
    "Policy",
    "ProcessChange",
    "ProcessEvent",
    "Registry",
    "Router",
    "RoutingLimits",
    "State",
    "WaitUntil",
    "WindowedHistogram",
    "Worker",
    "is_slow",
    "key_now",
    "panics",
    "pick",
]
