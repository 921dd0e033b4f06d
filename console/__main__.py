"""`rollcall`: the operator's console."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from nodes.cli.common import (
    balance_option,
    data_option,
    host_option,
    insecure_option,
    monitoring_options,
    place_options,
    port_option,
    require_token_option,
    tls_option,
    watch_option,
    workers_from_option,
    workers_option,
)
from nodes.cli.given_options import given_options
from nodes.cli.log_options import audit_option, log_choices
from nodes.errors import RollcallError
from nodes.support.process_start import prepare_process
from nodes.support.text import printable
from nodes.support.version import VERSION


def _print_settings(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from console.config_sample import sample  # noqa: PLC0415 - only then is it needed

        click.echo(sample(), nl=False)
        ctx.exit()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="rollcall")
@port_option
@host_option
@insecure_option
@workers_option
@data_option
@balance_option
@audit_option
@watch_option
@require_token_option
@workers_from_option
@monitoring_options
@place_options
@log_choices("warning", "What workers log to their files, and without a terminal this to stderr.")
@tls_option
@click.option(
    "--attach",
    metavar="HOST:PORT",
    multiple=True,
    help="Watch and steer a cluster that runs elsewhere, in place of hosting one. Given several "
    "times, several clusters on one screen.",
)
@click.option(
    "--settings",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=None,
    envvar="ROLLCALL_SETTINGS",
    show_envvar=True,
    help="Your keys, columns, panels, theme.  [default: rollcall/console.toml in ~/.config]",
)
@click.option(
    "--print-settings",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_settings,
    help="Print a settings file with all that can be set, and leave.",
)
@click.option(
    "--replay",
    metavar="FILE|PORT",
    default=None,
    help="Show a recording in place of a cluster: its file, or the port of a master that ran here.",
)
@click.option("--read-only", is_flag=True, help="Without the commands that change the cluster.")
def rollcall(
    attach: tuple[str, ...],
    replay: str | None,
    settings: Path | None,
    read_only: bool,
    **hosted: Any,
) -> None:
    """Lookups over records, answered by workers behind one master: see it and steer it.

    Without a terminal the same cluster runs without a screen, as by 'rollcall-nodes up'.
    """
    if attach and replay is not None:
        raise click.UsageError("--attach shows a cluster, and --replay a recording: give one")
    if attach or replay is not None:
        _check_nothing_hosted(hosted)
    if why := _why_no_screen():
        _run_without_screen(why, attach, replay, hosted)
        return
    try:
        code = _run(attach, replay, hosted, settings, read_only=read_only)
    except RollcallError as error:
        click.echo(f"rollcall: {printable(str(error))}", err=True)
        raise SystemExit(2) from None
    raise SystemExit(code)


def _check_nothing_hosted(hosted: dict[str, Any]) -> None:
    """Raises `UsageError` if an option was given that is for hosting a cluster alone."""
    given = click.get_current_context().get_parameter_source
    for name in hosted:
        if name != "tls" and given(name) is ParameterSource.COMMANDLINE:
            option = name.replace("_", "-")
            raise click.UsageError(
                f"--{option} is for the command that runs the master: give it there"
            )


def _in_browser() -> bool:
    return bool(os.environ.get("TEXTUAL_DRIVER"))


def _why_no_screen() -> str:
    """Why there can be no screen, "" if there can be one."""
    if _in_browser():
        return ""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "no terminal"
    if os.environ.get("TERM", "dumb") == "dumb":
        return "a terminal without a screen (TERM=dumb)"
    return ""


def _run_without_screen(
    why: str, attach: tuple[str, ...], replay: str | None, hosted: dict[str, Any]
) -> None:
    if replay is not None:
        which = f"--master 127.0.0.1:{replay}" if replay.isdigit() else f"--file {replay}"
        command = f"rollcall-nodes recording {printable(which)} --last"
        click.echo(f"rollcall: {why}, which --replay needs; without one: {command}", err=True)
        raise SystemExit(2)
    if attach:
        command = f"rollcall-nodes ps --master {printable(attach[0])}"
        click.echo(f"rollcall: {why}, which --attach needs; without one: {command}", err=True)
        raise SystemExit(2)
    from nodes.cli.serve import up  # noqa: PLC0415 - only then is it needed

    click.echo(f"rollcall: {why}, so no screen: runs as 'rollcall-nodes up' does", err=True)
    click.get_current_context().invoke(up, **hosted)


def _run(
    attach: tuple[str, ...],
    replay: str | None,
    hosted: dict[str, Any],
    settings_file: Path | None,
    *,
    read_only: bool,
) -> int:
    """Runs the console; `hosted` are the options of the cluster that it hosts, by name."""
    tls: Path | None = hosted["tls"]
    recorded = None
    if replay is not None:
        from console.recorded_file import RecordedFile  # noqa: PLC0415 - only then is it needed

        recorded = RecordedFile(replay)
    from console.app import RollcallApp  # noqa: PLC0415
    from console.cluster_factory import attaching_all, hosting  # noqa: PLC0415
    from console.config import load_config  # noqa: PLC0415
    from console.fixed_keys import fixed_keys  # noqa: PLC0415
    from console.settings import Settings, load_settings, save_settings  # noqa: PLC0415
    from console.text import terminal_glyphs  # noqa: PLC0415
    from nodes.support.collection import freeze_permanent_objects  # noqa: PLC0415

    # Nothing that logs may write on the screen.
    logging.basicConfig(handlers=[logging.NullHandler()], level=logging.WARNING)
    config = load_config(settings_file, fixed_keys())
    guest = read_only and _in_browser()
    # What its operator typed is not a guest's to read, nor to add to.
    settings = Settings() if guest else load_settings()
    app = RollcallApp(
        clusters=attaching_all(attach, tls, look_only=read_only)
        if attach
        else {"": hosting(**hosted, options=given_options())},
        settings=settings,
        glyphs=terminal_glyphs(),
        attached=bool(attach),
        tls=tls,
        read_only=read_only or recorded is not None,
        guest=guest,
        config=config,
        recorded=recorded,
    )
    freeze_permanent_objects()
    try:
        app.run()
    finally:
        # However the screen ended, nothing of the clusters outlives it.
        app.clusters.stop()
        if not guest:
            save_settings(settings)
    return app.return_code or 0


def main() -> None:
    """Runs the console; ends the process with its exit code."""
    prepare_process()
    rollcall(prog_name="rollcall")


if __name__ == "__main__":
    main()
