"""`ps`, `events`, and what changes a running cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from nodes.cli.common import (
    explained,
    json_option,
    master_options,
    print_json,
)
from nodes.client.attached import AttachedCluster
from nodes.errors import MasterLost, RollcallError
from nodes.security.expiry import expiry
from nodes.support.addresses import DEFAULT_ADDRESS
from nodes.support.text import printable
from nodes.support.units import duration, latency
from nodes.wire import (
    ClusterSnapshot,
    Event,
    Verdict,
    WorkerView,
    are_several,
    is_waiting,
    machine_names,
    machine_text,
    reason,
    verdict,
)
from nodes.wire.conditions import up_text

EXIT_BEHIND = 3
"""The exit code of a reload that some workers did not follow."""

FOLLOW_EVERY_S = 0.5
"""Seconds between questions of `events --follow`."""


WORKER_COLUMNS = (
    *("ID", "MACHINE", "ADDRESS", "PID", "STATE", "SERVED", "NOW", "PER S", "P50", "P99"),
    *("HEDGED", "ERR", "CPU", "MEMORY", "UP", "RESTARTS", "VERSION", "WHY"),
)


def _complete(
    names: Callable[[ClusterSnapshot], list[str]],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes by names of what there is in the cluster."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        try:
            address, tls = ctx.params.get("master") or DEFAULT_ADDRESS, ctx.params.get("tls")
            with AttachedCluster(address, timeout=1.0, tls=tls) as cluster:
                found = names(cluster.snapshot())
        except RollcallError:
            return []  # nothing to offer; the command itself will say why
        return [one for one in found if one.startswith(incomplete) and one.isprintable()]

    return complete


_id = click.argument(
    "worker_id",
    metavar="ID",
    shell_complete=_complete(lambda snapshot: [worker.id for worker in snapshot.workers]),
)


@click.command()
@master_options
@json_option
@explained
def ps(master: str, tls: Path | None, as_json: bool) -> None:
    """Show the cluster and every worker."""
    with AttachedCluster(master, tls=tls) as cluster:
        snapshot = cluster.snapshot()
    print_snapshot(snapshot, as_json=as_json)


def print_snapshot(snapshot: ClusterSnapshot, *, as_json: bool) -> None:
    """The cluster and every worker."""
    if as_json:
        print_json(snapshot)
        return
    for line in summary(snapshot):
        click.echo(line)
    _table(WORKER_COLUMNS, [worker_row(worker, snapshot.taken_at) for worker in snapshot.workers])


def summary(snapshot: ClusterSnapshot) -> list[str]:
    """The cluster in a few lines, as `ps` prints them above the table of workers."""
    expires = expiry(snapshot.tls_expires_at, snapshot.taken_at)
    lines = [
        verdict_line(verdict(snapshot)),
        f"master {snapshot.address}{_program(snapshot)}  up {duration(snapshot.uptime_s)}  "
        f"dataset {snapshot.dataset or 'unknown'} ({', '.join(snapshot.catalogs)})  "
        f"workers {up_text(snapshot)}",
        f"{snapshot.lookups_per_s:.1f} lookups/s (mean {snapshot.mean_lookups_per_s:.1f})  "
        f"p50 {latency(snapshot.p50_ms)}  p99 {latency(snapshot.p99_ms)}  "
        f"errors/s {snapshot.errors_per_s:.1f}  in flight {snapshot.in_flight}  "
        f"waiting {snapshot.waiting}",
        f"answered {snapshot.answered}  errors {snapshot.errors}{_by_code(snapshot)}  "
        f"reroutes {snapshot.reroutes}  hedges {snapshot.hedges}  "
        f"refused logins {snapshot.refused_logins}",
        f"{expires}: see 'certs init --renew'" if expires else "",
        *_machine_lines(snapshot),
    ]
    return [printable(line) for line in lines if line]


def _machine_lines(snapshot: ClusterSnapshot) -> list[str]:
    """A line for each machine, where there are several, or one is lost."""
    if not are_several(snapshot) and not any(one.lost for one in snapshot.machines):
        return []
    names = machine_names(snapshot)
    width = max(map(len, names))
    return [f"machine {name:<{width}}  {machine_text(snapshot, name)}" for name in names]


def verdict_line(found: Verdict) -> str:
    """A verdict, with the command that helps."""
    if not found.hint:
        return found.line
    return found._replace(text=f"{found.text} ('rollcall-nodes {found.hint}')").line


def _program(snapshot: ClusterSnapshot) -> str:
    return f"  Rollcall {snapshot.program}" if snapshot.program else ""


def _by_code(snapshot: ClusterSnapshot) -> str:
    by_code = sorted(snapshot.errors_by_code.items(), key=lambda one: one[1], reverse=True)
    return f" ({', '.join(f'{code} {count}' for code, count in by_code)})" if by_code else ""


def worker_row(worker: WorkerView, now: float) -> list[str]:
    """A worker's line in the table of `ps` at that time, a text for each of `WORKER_COLUMNS`."""
    return [
        worker.id,
        worker.machine,
        worker.address,
        str(worker.pid or ""),
        _state(worker),
        str(worker.served),
        str(worker.in_flight),
        f"{worker.lookups_per_s:.1f}",
        latency(worker.p50_ms),
        latency(worker.p99_ms),
        str(worker.hedged_away),
        str(worker.errors),
        f"{worker.cpu_percent:.0f} %",
        f"{worker.memory_bytes / 2**20:.0f} MiB",
        duration(worker.uptime_s),
        str(worker.restarts),
        worker.program,
        reason(worker, now),
    ]


def _state(worker: WorkerView) -> str:
    if worker.slow and worker.state == "up":
        return "slow"
    return "waiting" if is_waiting(worker) else worker.state


@click.command()
@master_options
@click.option("--after", type=click.IntRange(0), default=0, help="Only those numbered above this.")
@click.option("--follow", is_flag=True, help="Go on with new ones until Ctrl-C.")
@json_option
@explained
def events(master: str, tls: Path | None, after: int, follow: bool, as_json: bool) -> None:
    """Show what happened, oldest first."""
    with AttachedCluster(master, tls=tls) as cluster:
        later = _follow(cluster, after) if follow else iter([cluster.events(after)])
        for fresh in later:
            for event in fresh:
                print_json(event) if as_json else click.echo(event_line(event))


def _follow(cluster: AttachedCluster, after: int) -> Iterator[list[Event]]:
    """The events with a higher number, as they come, of whichever master is there.

    Raises:
        MasterLost: there is none to begin with.
    """
    met, lost = False, False
    told_at = 0.0
    while True:
        try:
            # Another master may count anew, or go on from the one before.
            events = cluster.events(0 if lost else after)
        except MasterLost as error:
            if not met:
                raise
            if not lost:
                click.echo(printable(f"rollcall-nodes: {error}; waiting for another"), err=True)
            lost = True
        else:
            if events or lost:
                after = events[-1].number if events else 0
            fresh = [event for event in events if not lost or event.at > told_at]
            met, lost = True, False
            if fresh:
                told_at = fresh[-1].at
                yield fresh
        time.sleep(FOLLOW_EVERY_S)


def event_line(event: Event) -> str:
    """An event as a line of a terminal."""
    at = time.strftime("%H:%M:%S", time.localtime(event.at))
    return printable(f"{event.number:>5}  {at}  {event.worker:<5} {event.kind:<14} {event.text}")


@click.command()
@click.argument("count", type=click.IntRange(1, 256), default=1)
@click.option(
    "--on",
    metavar="MACHINE",
    default="",
    shell_complete=_complete(lambda snapshot: [one.name for one in snapshot.machines]),
    help="Where to start them.  [default: each where there is most room]",
)
@master_options
@json_option
@explained
def spawn(count: int, on: str, master: str, tls: Path | None, as_json: bool) -> None:
    """Start COUNT more workers (default 1)."""
    with AttachedCluster(master, tls=tls) as cluster:
        ids = cluster.spawn(count, on)
    print_json(ids) if as_json else click.echo(printable(f"started {', '.join(ids)}"))


@click.command()
@click.argument("count", type=click.IntRange(0, 256))
@master_options
@json_option
@explained
def scale(count: int, master: str, tls: Path | None, as_json: bool) -> None:
    """Start or drain workers until COUNT are wanted."""
    _steer(master, tls, lambda cluster: cluster.scale(count), as_json=as_json)


def _on_worker(name: str, do: Callable[[AttachedCluster, str], str], told: str) -> click.Command:
    """The command of that name, which does something to one worker."""

    @click.command(name, help=told)
    @_id
    @master_options
    @json_option
    @explained
    def command(worker_id: str, master: str, tls: Path | None, as_json: bool) -> None:
        _steer(master, tls, lambda cluster: do(cluster, worker_id), as_json=as_json)

    return command


drain = _on_worker(
    "drain",
    lambda cluster, one: cluster.drain(one),
    "Let a worker answer its last lookups, then leave for good.",
)
kill = _on_worker(
    "kill",
    lambda cluster, one: cluster.kill(one),
    "End a worker at once, for good; its lookups are rerouted.",
)
restart = _on_worker(
    "restart",
    lambda cluster, one: cluster.restart(one),
    "Let a worker answer its last lookups, then start it anew.",
)
freeze = _on_worker(
    "freeze",
    lambda cluster, one: cluster.freeze(one),
    "Stop a worker with SIGSTOP, to rehearse the failure that no exit reports.",
)
thaw = _on_worker("thaw", lambda cluster, one: cluster.thaw(one), "Let a frozen worker go on.")
again = _on_worker(
    "again",
    lambda cluster, one: cluster.again(one),
    "Start a worker that is gone under the same id.",
)


@click.command()
@master_options
@json_option
@explained
def clear(master: str, tls: Path | None, as_json: bool) -> None:
    """Forget the workers that are gone."""
    _steer(master, tls, lambda cluster: cluster.clear(), as_json=as_json)


@click.command()
@master_options
@json_option
@explained
def reload(master: str, tls: Path | None, as_json: bool) -> None:
    """Bring changed records into service, worker after worker.

    Ends with 3 when some workers did not follow: those are sent no lookups.
    """
    with AttachedCluster(master, tls=tls) as cluster:
        done = cluster.reload()
    if as_json:
        print_json({"error": False, "done": done.text, "behind": done.behind})
    else:
        click.echo(printable(done.text))
    if done.behind:
        raise SystemExit(EXIT_BEHIND)


def _steer(
    master: str, tls: Path | None, do: Callable[[AttachedCluster], str], *, as_json: bool
) -> None:
    with AttachedCluster(master, tls=tls) as cluster:
        done = do(cluster)
    print_json({"error": False, "done": done}) if as_json else click.echo(printable(done))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be, on a terminal and in a pipe alike."""
    lines = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
