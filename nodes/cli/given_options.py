"""Given options: those that a command was started with, to be told to whoever reads of it later."""

from __future__ import annotations

import re
from pathlib import Path

import click

OF_THE_COMMAND = ("as_json", "attach", "replay", "settings", "read_only")
"""Options by name that say how a command is used, and nothing of the cluster that it starts."""


def given_options() -> tuple[str, ...]:
    """The options that change what the running command starts, as they are typed; of a file or a
    folder not which, nor what follows an address: where things are is nobody else's.
    """
    context = click.get_current_context()
    found: list[str] = []
    for option in context.command.params:
        given = context.params.get(option.name or "")
        if option.name in OF_THE_COMMAND or given is None or given == option.get_default(context):
            continue
        if isinstance(option, click.Option):
            several = given if isinstance(given, tuple) else (given,)
            found += [_typed(option.opts[-1], one) for one in several]
    return tuple(found)


def _typed(name: str, value: object) -> str:
    if isinstance(value, bool | Path):
        return name
    text = str(value)
    return f"{name} {re.split('[?#]', text)[0] if '://' in text else text}"
