"""The option `--version`, of every program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from nodes.support.version import VERSION

F = TypeVar("F", bound=Callable[..., object])


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"{ctx.find_root().info_name}, version {VERSION}")
        ctx.exit()


def version_option(command: F) -> F:
    """Of a program: says its name and version, and leaves."""
    return click.option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Show the version and leave.",
    )(command)
