"""What is not to leave a machine with a report: homes of people, passwords in addresses; pure."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from nodes.errors import encodable

MAX_TEXT_CHARS = 500
"""Characters of any text of a report: a file that was copied from elsewhere may have any."""

T = TypeVar("T", bound=msgspec.Struct)

_HOME = re.compile(r"(?<![\w.~-])/(?:(?:home|Users)/[^/\s:;,'\"]+|root)(?=[/\s:;,'\"]|$)")
_PASSWORD = re.compile(r"(\w://)[^/\s]*:[^/\s]*@")


def redacted(text: str) -> str:
    """A text without the names of home folders, and without what opens a store."""
    return _PASSWORD.sub(r"\1...@", _HOME.sub("~", text))


def redact(told: T) -> T:
    """The same struct, with each text in it redacted, bounded, and such that it can be written."""
    return msgspec.convert(_walked(msgspec.to_builtins(told)), type(told))


def _walked(value: object) -> object:
    if isinstance(value, str):
        told = redacted(encodable(value))
        return told if len(told) <= MAX_TEXT_CHARS else f"{told[: MAX_TEXT_CHARS - 3]}..."
    if isinstance(value, dict):
        return {_walked(str(name)): _walked(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_walked(one) for one in value]
    return value
