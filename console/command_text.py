"""Commands as they are typed after `:`, taken apart and completed; pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from console.command import Argument, ClusterCommand, ConsoleCommand
from console.commands import BY_NAME, COMMANDS
from nodes.errors import BadRequest

MAX_NUMBER_DIGITS = 6
"""Digits of a number: more than any count of workers or lookups a second has."""

SHORT = {
    "q": "quit",
    "wq": "quit",
    "q!": "quit",
    "h": "help",
    "e": "export",
    "time": "at",
    "now": "live",
}
"""What those who come from other programs type, or call otherwise."""


def parse(line: str) -> tuple[ClusterCommand | ConsoleCommand, str]:
    """The command and the argument of a line typed after `:`.

    Raises:
        BadRequest: there is no such command, or its argument is missing or not one.
    """
    name, _, argument = line.strip().partition(" ")
    command = BY_NAME.get(SHORT.get(name, name))
    if command is None:
        near = difflib.get_close_matches(name, BY_NAME, n=1, cutoff=0.5)
        meant = f"did you mean :{near[0]}?" if near else ":help lists them"
        raise BadRequest(f"there is no command {name[:40]!r}; {meant}")
    argument = argument.strip()
    match command.argument:
        case Argument.NONE | Argument.NEWEST if argument:
            raise BadRequest(f"{name} takes nothing after it")
        case Argument.COUNT if not _is_number(argument):
            raise BadRequest(f"{name} takes a number, as in :{name} 3")
        case Argument.OPTIONAL_COUNT if argument and not _is_number(argument):
            raise BadRequest(f"{name} takes a number, as in :{name} 3")
        case Argument.PLACED_COUNT if argument and not _is_number(argument.split()[0]):
            raise BadRequest(f"{name} takes a number and a machine, as in :{name} 3 m1")
    return command, argument


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_DIGITS


def complete(line: str, workers: Sequence[str], machines: Sequence[str] = ()) -> list[str]:
    """Whole lines that the line may become: commands, then the ids of workers, or machines after
    a number.
    """
    name, space, argument = line.partition(" ")
    if not space:
        return [command.name for command in COMMANDS if command.name.startswith(name)]
    command = BY_NAME.get(name)
    if command is not None and command.argument is Argument.PLACED_COUNT:
        count, space, where = argument.partition(" ")
        found = machines if space and _is_number(count) else ()
        return [f"{name} {count} {one}" for one in found if one.startswith(where)]
    if command is None or command.argument is not Argument.WORKER:
        return []
    return [f"{name} {worker}" for worker in workers if worker.startswith(argument.strip())]
