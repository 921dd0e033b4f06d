"""The version of this program, beside that of whoever is at the other end."""

from __future__ import annotations

from nodes.support.text import excerpt
from nodes.support.version import VERSION

MAX_VERSION_CHARS = 40
"""Characters that are told of a version."""


def other_program(who: str, program: str) -> str:
    """How the other end differs, and what to do; "" if it does not.

    Args:
        who: is there.
        program: its version, "" if it does not say.
    """
    if program == VERSION:
        return ""
    theirs = excerpt(program, MAX_VERSION_CHARS) or "an older version than this"
    return (
        f"{who} runs Rollcall {theirs}, and this end {VERSION}: they work together; "
        "bring the older one up to date when you can"
    )


def other_protocol(who: str, protocol: int, program: str, *, ours: int) -> str:
    """What is said to, and of, one with which nothing can be done."""
    theirs = excerpt(program, MAX_VERSION_CHARS) or "an unknown version"
    return (
        f"{who} speaks protocol {str(protocol)[:MAX_VERSION_CHARS]} (Rollcall {theirs}), and its "
        f"master protocol {ours} (Rollcall {VERSION}): install the same version at both ends"
    )
