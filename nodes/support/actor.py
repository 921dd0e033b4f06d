"""The actor: on whose behalf this thread, or task, changes the cluster; for events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LAUNCHER = "the launcher"
"""Who starts the first workers, and reloads records whose files are watched."""

_actor: ContextVar[str] = ContextVar("actor", default="an operator")


def actor() -> str:
    """Who acts, in words."""
    return _actor.get()


def by_actor() -> str:
    """By whom, as an event tells it."""
    return by(actor())


def by(who: str) -> str:
    """By them, as an event tells it."""
    return f"by {who}"


@contextmanager
def acting_as(who: str) -> Iterator[None]:
    """What is done within it is done by them."""
    token = _actor.set(who)
    try:
        yield
    finally:
        _actor.reset(token)
