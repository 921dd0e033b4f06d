"""Probation: when all connections are in use, a newcomer may show that one is kept for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from nodes.transport.errors import RequestRefused
from nodes.transport.values import Verb


class Kept(Protocol):
    """A service, some of whose verbs are for those for whom connections are kept."""

    @property
    def trusted(self) -> bool:
        """Whether the peer is one of them."""

    def verb(self, name: str) -> Verb | None:
        """The verb of that name, or None."""

    def verbs(self) -> Iterable[str]:
        """The names of verbs."""

    def is_kept(self, verb: str) -> bool:
        """Whether a verb is for those for whom connections are kept."""


class OnProbation:
    """The verbs of a connection beyond those there are for everybody: those for which connections
    are kept, and all of them once the peer has shown that it may be trusted.

    Args:
        service: answers the connection.
        full: what everybody else is told.
        refused: called whenever that was said.
    """

    def __init__(self, service: Kept, full: str, refused: Callable[[], object]) -> None:
        self._service = service
        self._full = full
        self._refused = refused

    def verb(self, name: str) -> Verb | None:
        """See `nodes.transport.responder.Verbs`."""
        if self._service.trusted or self._service.is_kept(name):
            return self._service.verb(name)
        self._refused()
        raise RequestRefused("Overloaded", self._full, module="rollcall")

    def verbs(self) -> Iterable[str]:
        """See `nodes.transport.responder.Verbs`."""
        return self._service.verbs()
