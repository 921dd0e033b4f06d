"""`token`: make, rotate and find the tokens of this machine."""

from __future__ import annotations

from pathlib import Path

import click

from nodes.cli.common import (
    explained,
    json_option,
    print_json,
)
from nodes.errors import StartError
from nodes.security.tokens import (
    TOKEN_GRACE_S,
    TokenRole,
    ensure_token,
    read_token,
    rotate_token,
    token_file,
    token_files,
)
from nodes.support.text import printable

_role = click.option(
    "--role",
    type=click.Choice([str(role) for role in TokenRole]),
    default=None,
    help="The token of that role only.  [default: the cluster's, valid for every role]",
)

_name = click.option(
    "--name",
    metavar="NAME",
    default="",
    help="One of several tokens of that role: what its holder does is told by this name.",
)

_show = click.option("--show", is_flag=True, help="Print the token itself as well.")


@click.group()
def token() -> None:
    """Make, rotate and find the tokens by which a master knows who may do what.

    A running master takes up what these commands write by itself.
    """


@token.command()
@_role
@_name
@_show
@json_option
@explained
def make(role: str | None, name: str, show: bool, as_json: bool) -> None:
    """Make a token, if there is none; a role's own leaves the cluster's valid."""
    path = _file(role, name)
    there = path.exists()
    made = ensure_token(path)
    _say(path, "is there already" if there else "made", made, show=show, as_json=as_json)


@token.command()
@_role
@_name
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=TOKEN_GRACE_S,
    show_default=True,
    help="Seconds that the old token stays valid.",
)
@_show
@json_option
@explained
def rotate(role: str | None, name: str, grace: float, show: bool, as_json: bool) -> None:
    """Put a new token in the place of the present one."""
    path = _file(role, name)
    made = rotate_token(path, grace=grace)
    done = f"rotated; the old one is valid for {grace:g} s more"
    _say(path, done if grace else "rotated", made, show=show, as_json=as_json)


@token.command()
@_role
@_name
@_show
@json_option
@explained
def path(role: str | None, name: str, show: bool, as_json: bool) -> None:
    """Say where a token is."""
    where = _file(role, name)
    there = read_token(where)
    if there is None:
        raise StartError(f"there is no token in {where}; make it with: rollcall-nodes token make")
    _say(where, "", there, show=show, as_json=as_json)


@token.command("list")
@json_option
@explained
def list_tokens(as_json: bool) -> None:
    """Show which tokens there are, and none of them: role, name, file.

    To end one that has a role of its own, remove its file.
    """
    for file in token_files():
        if file.path.exists():
            told = {"role": str(file.role), "name": file.name, "path": str(file.path)}
            if as_json:
                print_json(told)
            else:
                whose = "cluster" if file.path == token_file() else told["role"]
                click.echo(printable(f"{whose:<9} {file.name or '-':<16} {file.path}"))


def _file(role: str | None, name: str) -> Path:
    if name and role is None:
        raise StartError("the cluster's token has no name: say --role as well")
    return token_file(None if role is None else TokenRole(role), name)


def _say(path: Path, done: str, secret: str, *, show: bool, as_json: bool) -> None:
    """Where the token is and what was done; the token itself only if that was asked for."""
    if as_json:
        print_json({"path": str(path), "done": done} | ({"token": secret} if show else {}))
        return
    click.echo(printable(f"{path}: {done}" if done else str(path)))
    if show:
        click.echo(secret)
