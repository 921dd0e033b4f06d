"""`rollcall`: the operator's console."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from nodes.errors import RollcallError
from nodes.support.text import printable


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rollcall-console", prog_name="rollcall")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=23000,
    show_default=True,
    help="The master's port; 0 lets the system choose.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 256),
    default=3,
    show_default=True,
    help="How many to start.",
)
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=None,
    help="Records to serve, a folder or a file.  [default: the sample that ships]",
)
@click.option(
    "--balance",
    type=click.Choice(["load", "tasks", "latency"]),
    default="load",
    show_default=True,
    help="Who gets the next lookup.",
)
@click.option("--watch", is_flag=True, help="Reload by itself when the records change.")
@click.option(
    "--require-token", is_flag=True, help="Answer lookups only to those who have a token."
)
@click.option(
    "--attach",
    metavar="HOST:PORT",
    default=None,
    help="Watch and steer a cluster that runs elsewhere, in place of hosting one.",
)
@click.option(
    "--tls",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=None,
    envvar="ROLLCALL_TLS",
    show_envvar=True,
    help="Use TLS, with the certificates in this folder; see 'rollcall-nodes certs init'.",
)
@click.option("--read-only", is_flag=True, help="Take the commands that steer away.")
def rollcall(
    port: int,
    workers: int,
    data: Path | None,
    balance: str,
    watch: bool,
    require_token: bool,
    attach: str | None,
    tls: Path | None,
    read_only: bool,
) -> None:
    """Lookups over records, answered by workers behind one master: see it and steer it.

    Without a terminal the same cluster runs without a screen, as by 'rollcall-nodes up'.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if attach is not None:
            command = f"rollcall-nodes ps --master {printable(attach)}"
            click.echo(f"rollcall: --attach needs a terminal; without one: {command}", err=True)
            raise SystemExit(2)
        _run_without_screen(
            port=port,
            workers=workers,
            data=data,
            balance=balance,
            watch=watch,
            require_token=require_token,
            tls=tls,
        )
        return
    try:
        code = _run(
            port,
            workers,
            data,
            balance,
            attach,
            watch=watch,
            require_token=require_token,
            tls=tls,
            read_only=read_only,
        )
    except RollcallError as error:
        click.echo(f"rollcall: {printable(str(error))}", err=True)
        raise SystemExit(2) from None
    raise SystemExit(code)


def _run_without_screen(**options: object) -> None:
    from nodes.cli.serve import up  # noqa: PLC0415 - only then is it needed

    click.echo("rollcall: no terminal, so no screen: runs as 'rollcall-nodes up' does", err=True)
    click.get_current_context().invoke(up, **options)


def _run(
    port: int,
    workers: int,
    data: Path | None,
    balance: str,
    attach: str | None,
    *,
    watch: bool,
    require_token: bool,
    tls: Path | None,
    read_only: bool,
) -> int:
    if attach is not None:
        from nodes.support.addresses import parse_address  # noqa: PLC0415 - only then is it needed

        parse_address(attach)
    from console.app import RollcallApp  # noqa: PLC0415
    from console.cluster_factory import attaching, hosting  # noqa: PLC0415
    from console.settings import load_settings, save_settings  # noqa: PLC0415
    from console.text import terminal_glyphs  # noqa: PLC0415

    # Nothing that logs may write on the screen.
    logging.basicConfig(handlers=[logging.NullHandler()], level=logging.WARNING)
    settings = load_settings()
    app = RollcallApp(
        open_cluster=attaching(attach, tls)
        if attach is not None
        else hosting(
            port=port,
            workers=workers,
            data=data,
            balance=balance,
            watch=watch,
            require_token=require_token,
            tls=tls,
        ),
        settings=settings,
        glyphs=terminal_glyphs(),
        attached=attach is not None,
        tls=tls,
        read_only=read_only,
    )
    try:
        app.run()
    finally:
        # However the screen ended, nothing of the cluster outlives it.
        app.traffic.stop()
        app.driver.stop()
        save_settings(settings)
    return app.return_code or 0


def main() -> None:
    """Runs the console; ends the process with its exit code."""
    rollcall(prog_name="rollcall")


if __name__ == "__main__":
    main()
