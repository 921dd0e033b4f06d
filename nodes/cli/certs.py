"""`rollcall-nodes certs`: makes what TLS needs."""

from __future__ import annotations

import datetime
import shlex
from pathlib import Path

import click

from nodes.cli.common import (
    explained,
    json_option,
    print_json,
)
from nodes.support.listening import tls_folder


@click.group()
def certs() -> None:
    """Make the certificates that --tls takes."""


@certs.command()
@click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=None,
    help="The folder to make.  [default: 'tls' with the state]",
)
@click.option(
    "--host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name or address by which masters and workers are dialled, besides localhost; may "
    "be given several times.",
)
@click.option(
    "--days", type=click.IntRange(1, 36500), default=365, show_default=True, help="Validity."
)
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
    from nodes.security.certificates import make_certificates  # noqa: PLC0415 - 0.1 s, for this command only

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
