"""`rollcall-nodes`: the commands, each in a module that is loaded when it is called.

Imports whatever a command needs; nothing of `nodes` imports it.
"""

from __future__ import annotations

import importlib
import sys

import click

from nodes.support.process_start import prepare_process
from nodes.support.version import VERSION

_COMMANDS = {
    "up": "serve",
    "master": "serve",
    "worker": "worker",
    "lookup": "lookup",
    "ps": "steer",
    "health": "health",
    "events": "steer",
    "journal": "journal",
    "recording": "recording",
    "report": "report",
    "spawn": "steer",
    "scale": "steer",
    "drain": "steer",
    "kill": "steer",
    "restart": "steer",
    "freeze": "steer",
    "thaw": "steer",
    "again": "steer",
    "clear": "steer",
    "reload": "steer",
    "data": "data",
    "certs": "certs",
    "traffic": "traffic",
    "token": "token",
    "bench": "bench",
}


class _Lazy(click.Group):
    """Loads a command's module for that command only: a worker starts in a fraction of a
    second because it never sees the rest.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        home = _COMMANDS.get(cmd_name)
        if home is None:
            return None
        command = getattr(importlib.import_module(f"nodes.cli.{home}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="rollcall-nodes")
def cli() -> None:
    """Lookups over records, answered by worker processes behind one master."""


def main() -> None:
    """Runs the launcher; ends the process with its exit code."""
    prepare_process()
    # What a terminal or a pipe cannot show is escaped, in place of ending the command.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="rollcall-nodes")
