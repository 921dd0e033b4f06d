"""`rollcall-web`: the console in a browser."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import click

from nodes.cli.common import explained, tls_option
from nodes.cli.log_options import log_to_stderr
from nodes.errors import StartError
from nodes.fleet.program import program_environment
from nodes.support.addresses import DEFAULT_ADDRESS, Address, bare_host, parse_address
from nodes.support.listening import explain_bind, is_loopback
from nodes.support.process_start import prepare_process
from nodes.support.text import printable
from nodes.support.version import VERSION

DEFAULT_WEB_PORT = 23080

NOT_INSTALLED = "what serves browsers is not installed here: pip install 'rollcall-console[web]'"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="rollcall-web")
@click.option(
    "--attach",
    metavar="HOST:PORT",
    multiple=True,
    default=(DEFAULT_ADDRESS,),
    show_default=True,
    help="The cluster to show. Given several times, several on one screen.",
)
@click.option(
    "--steer",
    is_flag=True,
    help="Let browsers change the cluster.  [default: they see it, and change nothing]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=lambda _ctx, _param, host: bare_host(host),
    help="The address to listen on: one of loopback.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_WEB_PORT,
    show_default=True,
    help="The port to listen on; 0 lets the system choose.",
)
@click.option(
    "--public-url",
    metavar="URL",
    default="",
    help="How browsers reach this server, where a proxy with TLS stands before it.",
)
@click.option(
    "--max-consoles",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many consoles run at once.",
)
@tls_option
@explained
def rollcall_web(
    attach: tuple[str, ...],
    steer: bool,
    host: str,
    port: int,
    public_url: str,
    max_consoles: int,
    tls: Path | None,
) -> None:
    """Show the console of a running cluster in a browser, to whoever opens the link first.

    Each link is worth something once: another is printed when one was used.
    """
    for address in attach:
        parse_address(address)
    if not is_loopback(host):
        raise StartError(
            f"{host} is reached from elsewhere, and this server has no TLS: listen on loopback, "
            "and put a proxy with TLS before it (--public-url), or forward the port by ssh -L"
        )
    if public_url and urlsplit(public_url).scheme not in ("http", "https"):
        raise StartError(f"--public-url begins with https://, {public_url[:80]!r} does not")
    log_to_stderr("warning")
    os.environ |= program_environment(PYTHONUTF8="1", TERM="xterm-256color")
    os.environ.pop("NO_COLOR", None)
    command = [sys.executable, "-P", "-m", "console"]
    for address in attach:
        command += ["--attach", address]
    if tls is not None:
        command += ["--tls", str(tls)]
    if not steer:
        command.append("--read-only")
    _serve(command, host, port, public_url, max_consoles)


def _serve(command: list[str], host: str, port: int, public_url: str, max_consoles: int) -> None:
    """Serves until it is told to stop."""
    try:
        from aiohttp import web  # noqa: PLC0415 - an extra

        from console.web.server import WebServer  # noqa: PLC0415
    except ImportError as error:
        raise StartError(NOT_INSTALLED) from error
    from console.web.access import WebAccess  # noqa: PLC0415
    from console.web.guard import allowed_hosts  # noqa: PLC0415

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise StartError(explain_bind(error, host, port)) from error
    port = listener.getsockname()[1]
    access = WebAccess(time.monotonic)
    base = public_url.rstrip("/") or f"http://{Address(host, port)}"

    def print_link() -> None:
        click.echo(f"open {printable(base)}/?key={access.key}")

    server = WebServer(
        command,
        access,
        hosts=allowed_hosts(port, public_url),
        max_consoles=max_consoles,
        on_redeemed=print_link,
    )
    print_link()
    web.run_app(server.application(), sock=listener, print=None, access_log=None)


def main() -> None:
    """Serves browsers; ends the process with its exit code."""
    prepare_process()
    rollcall_web(prog_name="rollcall-web")


if __name__ == "__main__":
    main()
