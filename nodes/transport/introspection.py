"""What a person is told who looks around with a stock client: `dir`, `repr`, `help`, completion.

Names and constants answer, never an object of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from nodes.transport import consts
from nodes.transport.errors import RequestRefused
from nodes.transport.values import IdPack

ROOT_TEXT = "<the server's verbs: dir() names them>"
ROOT_DOC = "The verbs that this server answers; dir() names them."
VERB_DOC = "A verb of the server; the server's documentation says what it takes and returns."

_VERB_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
"""What the name of a verb may look like."""


class Exported(NamedTuple):
    """A reference given to the peer: to the root, or to a verb.

    Attributes:
        ref: the name by which the peer refers to it.
        verb: None for the root.
        name: of the verb.
    """

    ref: IdPack
    verb: Callable[..., object] | None
    name: str = ""


def is_verb_name(name: str) -> bool:
    """Whether the name of a verb may look like that."""
    return _VERB_NAME.fullmatch(name) is not None


def attribute(exported: object, name: object) -> str | None:
    """What `help` asks of an object before it shows anything; None for any other attribute."""
    if type(exported) is not Exported:
        return None
    if name == "__doc__":
        return ROOT_DOC if exported.verb is None else VERB_DOC
    return exported.name or None if name in ("__name__", "__qualname__") else None


class Introspection:
    """Answers the requests of one who looks around.

    Args:
        names: of the verbs that are told.
    """

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    def handlers(self) -> dict[int, Callable[..., object]]:
        """What answers which of RPyC's requests."""
        return {
            consts.HANDLE_DIR: self._dir,
            consts.HANDLE_REPR: _text,
            consts.HANDLE_STR: _text,
            consts.HANDLE_HASH: _hash,
            consts.HANDLE_CMP: _compare,
            consts.HANDLE_INSPECT: _inspect,
        }

    def _dir(self, obj: object) -> tuple[str, ...]:
        if _ours(obj).verb is not None:
            return ()
        # What Python itself looks up is no verb.
        return tuple(sorted({one for one in self._names() if is_verb_name(one) and one[0] != "_"}))


def _text(obj: object) -> str:
    exported = _ours(obj)
    return ROOT_TEXT if exported.verb is None else f"<the server's verb {exported.name}>"


def _hash(obj: object) -> int:
    _kind, _cls, number = _ours(obj).ref
    return number


def _compare(obj: object, other: object, operation: object = "") -> bool:
    same = _ours(obj) is other
    if operation == "__eq__":
        return same
    if operation == "__ne__":
        return not same
    raise RequestRefused("TypeError", "verbs have no order")


def _inspect(_ref: object) -> tuple[()]:
    """No methods: a client asks for a verb once, and calls it by its reference."""
    return ()


def _ours(obj: object) -> Exported:
    if type(obj) is not Exported:
        raise RequestRefused("TypeError", "only the root and its verbs can be looked at")
    return obj
