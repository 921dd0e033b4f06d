"""`worker`: one worker process."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import click

from nodes.catalog import Catalog, CatalogInfo, ensure_catalog, open_catalog
from nodes.cli.common import (
    StopSignals,
    bound_descriptors,
    data_option,
    explained,
    json_option,
    leave_with_stdin_option,
    listen_options,
    master_option,
    print_json,
    say_insecurity,
    skip_bad_option,
    watch_stdin,
)
from nodes.cli.launcher_input import LauncherInput
from nodes.cli.log_options import log_options
from nodes.cli.service import StartProgress, serve_until, tell_until
from nodes.errors import StartError, StoreDown
from nodes.security.credentials import worker_token
from nodes.security.tls import CertificateRole, Tls
from nodes.support.addresses import Address, parse_address
from nodes.support.backoff import Backoff
from nodes.support.collection import freeze_permanent_objects
from nodes.support.listening import check_host, explain_bind, named
from nodes.support.paths import shipped_data
from nodes.support.service_manager import ServiceManager
from nodes.support.text import printable
from nodes.wire import INSTANCE_VARIABLE
from nodes.worker.fetching import FETCH_LOGGER, CatalogFetcher
from nodes.worker.server import WorkerServer

logger = logging.getLogger("rollcall.worker")

STORE_BACKOFF = Backoff(first_s=0.2, factor=1.5, longest_s=2.0)
"""Between attempts to open a catalog in a store that is down."""

MAX_DESCRIPTORS = 2048
"""Files and connections that a worker may have open: two for each connection, and to spare."""


@click.command()
@click.argument("port", type=click.IntRange(0, 65535), default=0)
@master_option
@data_option
@listen_options
@click.option("--id", "worker_id", default="", help="The id to ask the master for.")
@click.option(
    "--catalog",
    metavar="PATH",
    default=None,
    help="Serve this compiled catalog as it is, in place of --data.",
)
@click.option(
    "--from-master",
    is_flag=True,
    help="Serve what the master serves, fetched from it where this machine has it not yet.",
)
@click.option(
    "--advertise",
    metavar="HOST:PORT",
    default=None,
    help="Where clients find it, if not where it listens: behind a published port, say.",
)
@skip_bad_option
@leave_with_stdin_option
@click.option(
    "--secrets-from-stdin",
    is_flag=True,
    help="Take token and identity from standard input, and leave with it: for launchers.",
)
@log_options("info")
@json_option
@explained
def worker(
    port: int,
    master: str,
    data: Path | None,
    host: str,
    tls: Path | None,
    insecure: bool,
    worker_id: str,
    catalog: str | None,
    from_master: bool,
    advertise: str | None,
    skip_bad: bool,
    leave_with_stdin: bool,
    secrets_from_stdin: bool,
    as_json: bool,
) -> None:
    """Run one worker, on PORT (default: the system picks one).

    The first SIGTERM, SIGHUP or Ctrl-C lets it answer its last lookups; another, a second or more
    later, ends it at once.
    """
    manager = ServiceManager()
    progress = StartProgress(manager)
    launcher = LauncherInput() if secrets_from_stdin else None
    token = worker_token if launcher is None else launcher.token
    # Taken out of the environment: what this process starts is another.
    instance = os.environ.pop(INSTANCE_VARIABLE, "") if launcher is None else launcher.instance
    bound_descriptors(MAX_DESCRIPTORS)
    check_host(host, tls=tls is not None, insecure=insecure)
    secure = None if tls is None else Tls(tls, CertificateRole.WORKER, host=named(host))
    say_insecurity(host, tls)
    if launcher is not None:
        launcher.watch()
        # However little it is to log: a launcher takes one that says nothing for stuck.
        logging.getLogger(FETCH_LOGGER).setLevel(logging.INFO)
    elif leave_with_stdin:
        watch_stdin()
    if from_master and (data or catalog or skip_bad):
        raise StartError(
            "--from-master takes the master's records: leave --data, --catalog and --skip-bad to it"
        )

    def records() -> CatalogInfo:
        return ensure_catalog(data or shipped_data(), skip_bad=skip_bad, progress=progress)

    def find() -> str:
        if not from_master:
            return catalog or records().path
        to_master = None if secure is None else secure.to_master()
        fetcher = CatalogFetcher(
            master=parse_address(master), token=token, tls=to_master, progressed=progress
        )
        return fetcher.fetch().path

    opened = _open(find, manager)
    try:
        running = WorkerServer(
            catalog=opened,
            master=parse_address(master),
            token=token,
            host=host,
            port=port,
            wanted_id=worker_id,
            tls=secure,
            instance=instance,
            follows=from_master,
            records=None if from_master or catalog else records,
            advertise=None if advertise is None else parse_address(advertise),
        )
    except OSError as error:
        raise StartError(explain_bind(error, host, port)) from error
    StopSignals(running.drain)
    freeze_permanent_objects()
    running.start()
    try:
        registration = running.registration
        tell_until(registration.settled, manager, lambda: registration.status)
        if registration.ready:
            _say_ready(running, master, as_json=as_json)
            serve_until(registration.done, manager, running.loop, lambda: registration.status)
    finally:
        running.stop()
    if registration.refusal is not None:
        raise registration.refusal


def _open(find: Callable[[], str], manager: ServiceManager) -> Catalog:
    """Opens what is to be served. A store that is down is waited for: what it holds is as it was,
    and a process that ended would only be started again.

    Args:
        find: finds it, and returns where it is.
        manager: told what is waited for.
    """
    attempts = 0
    while True:
        try:
            return open_catalog(find())
        except StoreDown as down:
            logger.warning("waits: %s", down)
            manager.status(f"waits: {down}")
        # Random numbers keep workers from coming in step: nothing else depends on them.
        time.sleep(STORE_BACKOFF.wait_s(attempts, random.random()))  # noqa: S311
        attempts += 1


def _say_ready(running: WorkerServer, master: str, *, as_json: bool) -> None:
    at = Address(*running.server.address)
    unready = running.registration.unready
    if as_json:
        ready = {"ready": not unready, "worker": running.id, "address": str(at)}
        print_json({**ready, "why": unready} if unready else ready)
        return
    who = f"{running.id} at {at}, registered with {parse_address(master)}"
    said = f"unready: {who}; it is sent no lookups: {unready}" if unready else f"ready: {who}"
    click.echo(printable(said))
