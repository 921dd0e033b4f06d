"""Admission: when all connections are in use, a newcomer waits for its turn, and may show meanwhile
that one is kept for it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from typing import Protocol

from nodes.transport.errors import RequestRefused
from nodes.transport.values import FastVerb, RawVerb, Verb


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


class Admission:
    """Whether a connection has a place, or none, or waits for one.

    Args:
        kept: whether it has one from the beginning.

    Attributes:
        kept: whether it has one.
    """

    def __init__(self, *, kept: bool) -> None:
        self.kept = kept
        self._refusal = "its connection has ended"
        self._decided = asyncio.Event()

    def keep(self) -> None:
        """It has a place."""
        self.kept = True
        self._decided.set()

    def refuse(self, why: str) -> None:
        """It has none; whatever is asked is told why, unless it was decided before."""
        if not self._decided.is_set():
            self._refusal = why
            self._decided.set()

    def end(self) -> None:
        """It needs none any more: nobody waits for it."""
        self._decided.set()

    async def wait(self) -> None:
        """Waits until that is decided. Raises `RequestRefused` if it has no place."""
        await self._decided.wait()
        if not self.kept:
            raise RequestRefused("Overloaded", self._refusal, module="rollcall")


class Gated:
    """The verbs of a connection that may have to wait for its place: those for which connections
    are kept are answered meanwhile, and all of them once the peer has shown that it may be
    trusted.

    Args:
        service: answers the connection.
        admission: of the connection.
        refused: called whenever a call was refused.
    """

    def __init__(self, service: Kept, admission: Admission, refused: Callable[[], object]) -> None:
        self._service = service
        self._admission = admission
        self._refused = refused

    def verb(self, name: str) -> Verb | None:
        """See `nodes.transport.responder.Verbs`."""
        verb = self._service.verb(name)
        if verb is None or self._service.is_kept(name):
            return verb
        if isinstance(verb, RawVerb):
            take, general = verb
            return RawVerb(lambda *call: self._is_open and take(*call), self._patient(general))
        if isinstance(verb, FastVerb):
            fast, general = verb
            return FastVerb(
                lambda arguments: fast(arguments) if self._is_open else None,
                self._patient(general),
            )
        return self._patient(verb)

    def verbs(self) -> Iterable[str]:
        """See `nodes.transport.responder.Verbs`."""
        return self._service.verbs()

    @property
    def _is_open(self) -> bool:
        return self._admission.kept or self._service.trusted

    def _patient(self, general: Callable[..., object]) -> Callable[..., object]:
        async def wait(*args: object, **named: object) -> object:
            try:
                await self._admission.wait()
            except RequestRefused:
                self._refused()
                raise
            answer = general(*args, **named)
            return await answer if inspect.isawaitable(answer) else answer

        def answer(*args: object, **named: object) -> object:
            return general(*args, **named) if self._is_open else wait(*args, **named)

        return answer
