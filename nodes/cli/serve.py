"""`up` and `master`: a cluster, or only its master, until it is told to stop."""

from __future__ import annotations

import functools
import logging
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
    log_to_stderr,
    place_options,
    port_option,
    print_json,
    require_token_option,
    say_insecurity,
    skip_bad_option,
    wait_for,
    watch_option,
    workers_from_option,
    workers_option,
)
from nodes.cli.data import build_with_progress
from nodes.cluster import HostedCluster, open_master
from nodes.errors import StartError
from nodes.fleet.elsewhere import machines_elsewhere
from nodes.support.addresses import DEFAULT_PORT
from nodes.support.collection import freeze_permanent_objects
from nodes.support.paths import shipped_data
from nodes.support.text import printable
from nodes.wire import ClusterSnapshot

READY_TIMEOUT_S = 15.0
"""Seconds that the workers of a new cluster may take to come up."""


MAX_DESCRIPTORS = 8192
"""Files and connections that a master may have open: those of its clients and its workers."""


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
@place_options
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
    skip_bad: bool,
    watch: bool,
    require_token: bool,
    workers_from: tuple[str, ...],
    machines: Path | None,
    engine: str | None,
    open_engine: bool,
    as_json: bool,
) -> None:
    """Run a master and its workers until Ctrl-C; then drain and stop all of them."""
    log_to_stderr(logging.WARNING)
    bound_descriptors(MAX_DESCRIPTORS)
    stop = StopSignals()
    build = functools.partial(build_with_progress, data or shipped_data(), skip_bad=skip_bad)
    open_machines = machines_elsewhere(
        machines, engine, open_engine=open_engine, tls=tls is not None
    )
    with HostedCluster(
        build=build,
        workers=workers,
        host=host,
        port=port,
        balance=balance,
        watch=watch,
        require_token=require_token,
        tls=tls,
        insecure=insecure,
        workers_from=workers_from,
        open_machines=open_machines,
    ) as cluster:
        say_insecurity(host, tls)
        freeze_permanent_objects()
        ready = _wait_up(cluster, workers, stop)
        if ready is not None:
            _say_ready(ready, workers, as_json=as_json)
        wait_for(stop.asked)


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


def _say_ready(snapshot: ClusterSnapshot, workers: int, *, as_json: bool) -> None:
    running = sum(worker.state == "up" for worker in snapshot.workers)
    if as_json:
        print_json({"ready": True, "master": snapshot.address, "workers": running})
        return
    count = f"{running} of {workers} workers" if running != workers else f"{workers} workers"
    click.echo(
        f"ready: {snapshot.address}, {count}, {printable(snapshot.dataset)} "
        f"({snapshot.records:,} records); Ctrl-C drains and stops"
    )


@click.command()
@click.argument("port", type=click.IntRange(0, 65535), default=DEFAULT_PORT)
@listen_options
@balance_option
@require_token_option
@workers_from_option
@json_option
@explained
def master(
    port: int,
    host: str,
    tls: Path | None,
    insecure: bool,
    balance: str,
    require_token: bool,
    workers_from: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a master alone, on PORT (default 23000); workers started elsewhere register."""
    log_to_stderr(logging.WARNING)
    bound_descriptors(MAX_DESCRIPTORS)
    stop = StopSignals()
    running = open_master(
        host=host,
        port=port,
        balance=balance,
        require_token=require_token,
        tls=tls,
        insecure=insecure,
        workers_from=workers_from,
    )
    say_insecurity(host, tls)
    freeze_permanent_objects()
    running.start()
    try:
        if as_json:
            print_json({"ready": True, "master": str(running.address), "workers": 0})
        else:
            click.echo(
                f"ready: {running.address}; workers: rollcall-nodes worker --master "
                f"{running.address}"
            )
        wait_for(stop.asked)
    finally:
        running.stop()
