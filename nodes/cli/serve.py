"""`up` and `master`: a cluster, or only its master, until it is told to stop."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path

import click

from nodes.cli.common import (
    StopSignals,
    balance_option,
    bound_descriptors,
    data_option,
    explained,
    json_option,
    listen_options,
    monitoring_options,
    place_options,
    port_option,
    print_json,
    require_token_option,
    say_insecurity,
    skip_bad_option,
    watch_option,
    workers_from_option,
    workers_option,
)
from nodes.cli.data import build_with_progress
from nodes.cli.given_options import given_options
from nodes.cli.log_options import (
    audit_option,
    log_choices,
    log_options,
    start_log,
    workers_log_options,
)
from nodes.cli.service import StartProgress, serve_until
from nodes.cluster import HostedCluster
from nodes.errors import DataError, StartError
from nodes.fleet.elsewhere import machines_elsewhere
from nodes.fleet.fleet import Build
from nodes.master.master import Master
from nodes.master.opening import open_endpoint, open_master, stop_watched
from nodes.monitoring.endpoint import Endpoint
from nodes.monitoring.pages import STUCK
from nodes.support.addresses import DEFAULT_PORT
from nodes.support.collection import freeze_permanent_objects
from nodes.support.paths import shipped_data
from nodes.support.service_manager import ServiceManager
from nodes.support.text import printable
from nodes.wire import ClusterSnapshot, verdict

READY_TIMEOUT_S = 15.0
"""Seconds that the workers of a new cluster may take to come up."""


MAX_DESCRIPTORS = 8192
"""Files and connections that a master may have open: those of its clients and its workers."""


class _Stopped(DataError):  # noqa: N818 - asked for
    """Records are not wanted any more."""


@click.command()
@workers_option
@port_option
@listen_options
@data_option
@balance_option
@skip_bad_option
@watch_option
@require_token_option
@workers_from_option
@monitoring_options
@place_options
@audit_option
@log_choices("warning")
@json_option
@explained
def up(
    workers: int,
    port: int,
    host: str,
    tls: Path | None,
    insecure: bool,
    data: Path | None,
    balance: str,
    audit: Path | None,
    skip_bad: bool,
    watch: bool,
    require_token: bool,
    workers_from: tuple[str, ...],
    metrics: str | None,
    metrics_open: bool,
    tracing: bool,
    machines: Path | None,
    engine: str | None,
    open_engine: bool,
    log_level: str | None,
    log_format: str | None,
    as_json: bool,
) -> None:
    """Run a master and its workers until Ctrl-C; then drain and stop all of them."""
    start_log(log_level, log_format, "warning")
    bound_descriptors(MAX_DESCRIPTORS)
    stop, manager = StopSignals(), ServiceManager()
    open_machines = machines_elsewhere(
        machines, engine, open_engine=open_engine, tls=tls is not None
    )
    with (
        contextlib.suppress(_Stopped),
        HostedCluster(
            build=_builder(data or shipped_data(), stop, manager, skip_bad=skip_bad),
            workers=workers,
            host=host,
            port=port,
            balance=balance,
            audit=audit,
            watch=watch,
            require_token=require_token,
            tls=tls,
            insecure=insecure,
            workers_from=workers_from,
            open_machines=open_machines,
            metrics=metrics,
            metrics_open=metrics_open,
            tracing=tracing,
            options=given_options(),
            log_options=workers_log_options(log_level, log_format),
        ) as cluster,
    ):
        say_insecurity(host, tls)
        freeze_permanent_objects()
        manager.starting("starting: workers come up", 2 * READY_TIMEOUT_S)
        ready = _wait_up(cluster, workers, stop)
        if ready is not None:
            _say_ready(ready, workers, cluster.endpoint, as_json=as_json)
            _serve(cluster.master, stop, manager)


def _builder(data: Path, stop: StopSignals, manager: ServiceManager, *, skip_bad: bool) -> Build:
    """Makes the catalog of that data, tells the service manager meanwhile, and leaves if asked."""

    def leave_if_asked(stage: str, done: int, total: int) -> None:
        del stage, done, total
        if stop.asked.is_set():
            raise _Stopped("told to stop while it reads records")

    told = (StartProgress(manager), leave_if_asked)
    return functools.partial(build_with_progress, data, *told, skip_bad=skip_bad)


def _wait_up(cluster: HostedCluster, workers: int, stop: StopSignals) -> ClusterSnapshot | None:
    """Waits until every worker is up. None if it was told to stop meanwhile.

    Raises:
        StartError: none came up in time.
    """
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not stop.asked.wait(0.02):
        snapshot = cluster.snapshot()
        states = [worker.state for worker in snapshot.workers]
        settled = [state in ("up", "down") for state in states]
        if states.count("up") >= workers or time.monotonic() > deadline or all(settled):
            if workers and "up" not in states:
                why = "; ".join(f"{w.id}: {w.why or w.state}" for w in snapshot.workers)
                logs = cluster.fleet.log_file("w1").parent
                raise StartError(f"no worker came up ({why}); their logs are in {logs}")
            return snapshot
    return None


def _say_ready(
    snapshot: ClusterSnapshot, workers: int, endpoint: Endpoint | None, *, as_json: bool
) -> None:
    running = sum(worker.state == "up" for worker in snapshot.workers)
    if as_json:
        _print_ready(snapshot.address, running, endpoint)
        return
    count = f"{running} of {workers} workers" if running != workers else f"{workers} workers"
    click.echo(
        f"ready: {snapshot.address}, {count}, {printable(snapshot.dataset)} "
        f"({snapshot.records:,} records){_watched_at(endpoint)}; Ctrl-C drains and stops"
    )


def _print_ready(address: str, workers: int, endpoint: Endpoint | None) -> None:
    watched = {} if endpoint is None else {"metrics": str(endpoint.address)}
    print_json({"ready": True, "master": address, "workers": workers, **watched})


def _watched_at(endpoint: Endpoint | None) -> str:
    return "" if endpoint is None else f", watched at http://{endpoint.address}"


def _serve(master: Master, stop: StopSignals, manager: ServiceManager) -> None:
    """Serves until it is told to stop."""

    def status() -> str:
        try:
            return verdict(master.recent_snapshot()).line
        except TimeoutError:
            return STUCK

    serve_until(stop.asked, manager, master.loop, status)


@click.command()
@click.argument("port", type=click.IntRange(0, 65535), default=DEFAULT_PORT)
@listen_options
@balance_option
@require_token_option
@workers_from_option
@monitoring_options
@audit_option
@log_options("warning")
@json_option
@explained
def master(
    port: int,
    host: str,
    tls: Path | None,
    insecure: bool,
    balance: str,
    audit: Path | None,
    require_token: bool,
    workers_from: tuple[str, ...],
    metrics: str | None,
    metrics_open: bool,
    tracing: bool,
    as_json: bool,
) -> None:
    """Run a master alone, on PORT (default 23000); workers started elsewhere register."""
    bound_descriptors(MAX_DESCRIPTORS)
    stop, manager = StopSignals(), ServiceManager()
    running = open_master(
        host=host,
        port=port,
        balance=balance,
        audit=audit,
        require_token=require_token,
        tls=tls,
        insecure=insecure,
        workers_from=workers_from,
        tracing=tracing,
        options=given_options(),
    )
    say_insecurity(host, tls)
    freeze_permanent_objects()
    endpoint: Endpoint | None = None
    try:
        endpoint = open_endpoint(running, metrics, is_open=metrics_open)
        running.start()
        address = str(running.address)
        if as_json:
            _print_ready(address, 0, endpoint)
        else:
            workers = f"workers: rollcall-nodes worker --master {address}"
            click.echo(f"ready: {address}{_watched_at(endpoint)}; {workers}")
        _serve(running, stop, manager)
    finally:
        stop_watched(running, endpoint)
