"""`rollcall-nodes certs`: makes what TLS needs."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from nodes.cli.common import (
    explained,
    json_option,
    print_json,
)
from nodes.support.listening import tls_folder
from nodes.support.text import printable

F = TypeVar("F", bound=Callable[..., object])


@click.group()
def certs() -> None:
    """Make the certificates that --tls takes."""


def _folder(what: str) -> Callable[[F], F]:
    return click.option(
        "--dir",
        "folder",
        metavar="DIR",
        type=click.Path(path_type=Path),
        default=None,
        help=f"{what}  [default: 'tls' with the state]",
    )


_days = click.option(
    "--days", type=click.IntRange(1, 36500), default=365, show_default=True, help="Validity."
)


@certs.command()
@_folder("The folder to make.")
@click.option(
    "--host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name or address by which masters and workers are dialled, besides localhost; may "
    "be given several times.",
)
@_days
@click.option(
    "--renew",
    is_flag=True,
    help="Replace the certificates in DIR by new ones from the CA that is there, for the same "
    "names and those given.",
)
@json_option
@explained
def init(
    folder: Path | None, hosts: tuple[str, ...], days: int, renew: bool, as_json: bool
) -> None:
    """Make a CA, and certificates of a master, workers, operators and viewers, each with its key.

    Nothing is overwritten, unless --renew says so. A certificate's role is in the
    certificate: a worker's is no operator's. Masters and workers are shown to be who they
    are by the names given here.
    """
    from nodes.security.certificates import make_certificates  # noqa: PLC0415 - see below

    folder = folder or tls_folder()
    now = datetime.datetime.now(datetime.UTC)
    files = make_certificates(folder, hosts=hosts, days=days, now=now, renew=renew)
    if as_json:
        print_json({"folder": str(folder), "files": [file.name for file in files], "days": days})
        return
    click.echo(
        f"{'replaced' if renew else 'made'} in {folder}: " + ", ".join(file.name for file in files)
    )
    click.echo(f"use them here: --tls {shlex.quote(str(folder))}")
    click.echo("copy to other machines: ca.pem and the two files of their role; never ca-key.pem")


@certs.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["operator", "viewer"]),
    default="operator",
    show_default=True,
    help="Of the certificate.",
)
@_folder("The folder with the CA.")
@click.option(
    "--to",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder to make for them.",
)
@_days
@json_option
@explained
def issue(name: str, role: str, folder: Path | None, to: Path, days: int, as_json: bool) -> None:
    """Make the certificate of one person, called NAME, in a folder to be handed to them.

    What they do is told by that name, in events and in the audit file.
    """
    from nodes.security.certificates import issue_certificate  # noqa: PLC0415 - see below
    from nodes.security.tls import CertificateRole  # noqa: PLC0415 - see below

    files = issue_certificate(
        folder or tls_folder(),
        to,
        role=CertificateRole(role),
        name=name,
        days=days,
        now=datetime.datetime.now(datetime.UTC),
    )
    if as_json:
        print_json({"folder": str(to), "files": [file.name for file in files], "days": days})
        return
    click.echo(f"made in {to}: " + ", ".join(file.name for file in files))
    click.echo(f"hand all of it to {printable(name)}, who uses it with --tls")


# What makes certificates is imported late: it takes 0.1 s, which other commands need not wait.
