"""What crosses the transport: plain values, finished text, and a stand-in for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

Value: TypeAlias = "bool | int | float | str | bytes | tuple[Value, ...] | None"
"""What may cross, by exact type. A subclass of str, a list, a dict does not."""

IdPack: TypeAlias = tuple[str, int, int]
"""RPyC's name for an object that stays where it is: class name, class id, object id."""


class Utf8(bytes):
    """Finished UTF-8 text, which a verb returns and the peer receives as `str`.

    JSON from a catalog crosses without a decode and an encode on the way. The bytes
    are not checked: a peer given broken UTF-8 will drop the connection.
    """

    __slots__ = ()


class RemoteReference:
    """What a verb is given in place of an argument that did not cross by value.

    A peer that passes a list, a dict or a callback passes a reference to it. It is
    never followed: a call back to a caller is a round trip at best and a deadlock
    at worst. Verbs that check ``type(x) is str`` refuse it as they refuse any other type.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<an argument not passed by value>"


class RawVerb(NamedTuple):
    """A verb that passes its arguments on as they came, and answers when it can.

    Attributes:
        take: called with the `nodes.transport.requester.Asker`, the encoded sequence number, and
            the encoded arguments of a call. Returns whether it will answer the call.
        general: called with the decoded arguments where `take` has returned False.
    """

    take: Callable[..., bool]
    general: Callable[..., object]


class FastVerb(NamedTuple):
    """A verb with a fast path for the common form of its calls.

    Attributes:
        fast: called with the encoded arguments of a call. Returns the answer, or None to have
            `general` called, which says the same or more.
        general: called with the decoded arguments.
    """

    fast: Callable[[bytes], bytes | None]
    general: Callable[..., object]


Verb: TypeAlias = Callable[..., object] | RawVerb | FastVerb
"""What a peer may call."""
