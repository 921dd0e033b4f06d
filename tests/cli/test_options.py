"""Which options a command was given is told, so that whoever reads a report knows."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from console.__main__ import rollcall
from nodes.cli.given_options import given_options
from nodes.cli.serve import master, up

OF_THE_COMMAND = {"--json", "--attach", "--replay", "--settings", "--read-only", "--version"}
"""Those that change nothing of the cluster."""


def told_by(command: click.Command, *args: str) -> list[str]:
    """What a command with the same options tells that was called so."""
    found: list[str] = []
    same = click.Command(
        "same", params=command.params, callback=lambda **_: found.extend(given_options())
    )
    done = CliRunner().invoke(same, args)
    assert done.exit_code == 0, done.output
    return found


def value_of(option: click.Option) -> list[str]:
    """Something that it may be given, and that is not its default."""
    if option.is_flag:
        return []
    if isinstance(option.type, click.Choice):
        return [option.type.choices[-1]]
    return ["7"]


@pytest.mark.parametrize("command", [up, master, rollcall], ids=["up", "master", "rollcall"])
def test_every_option_that_changes_the_cluster_is_told(command: click.Command) -> None:
    options = [one for one in command.params if isinstance(one, click.Option) and one.expose_value]
    assert told_by(command) == []
    for option in options:
        name, value = option.opts[-1], value_of(option)
        is_path = isinstance(option.type, click.Path)
        said = [name if is_path else " ".join((name, *value))]
        assert told_by(command, name, *value) == ([] if name in OF_THE_COMMAND else said)


def test_it_is_told_as_it_is_typed_without_folders_and_files() -> None:
    networks = ("--workers-from", "10.1.0.0/16", "--workers-from", "10.2.0.0/16")
    told = told_by(
        up, "--workers", "0", "--data", "/home/ann", "--watch", "--port=23000", *networks
    )
    assert told == [
        *("--workers 0", "--data", "--watch"),
        *("--workers-from 10.1.0.0/16", "--workers-from 10.2.0.0/16"),
    ]
    engine = told_by(up, "--engine", "ray://head:6379?tls=/home/ann/certs#ann")
    assert engine == ["--engine ray://head:6379"]
