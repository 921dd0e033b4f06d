"""From a snapshot to what is drawn of it: pure, so that it is tested without a screen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from console.history import Sample
from console.states import DATED, EXPLAINED, State, live, variant
from console.text import (
    Glyphs,
    bar,
    clean,
    count,
    fit,
    memory_size,
    number,
    sparkline,
)
from console.widgets.table import Column, Row
from nodes.security.expiry import expiry
from nodes.support.event_kinds import BAD, GOOD
from nodes.support.natural import natural_key
from nodes.support.units import duration, latency, milliseconds
from nodes.wire import ClusterSnapshot, Event, WorkerView

WORKER_COLUMNS = (
    Column("ID", 5),
    Column("STATE", 10),
    Column("SERVED", 7, right=True),
    Column("NOW", 4, right=True),
    Column("/S", 5, right=True),
    Column("P50", 5, right=True),
    Column("P99", 5, right=True),
    Column("ERR", 4, right=True),
    Column("CPU", 5, right=True),
    Column("MEM", 6, right=True),
    Column("PID", 8, right=True),
    Column("ADDRESS", 21),
    Column("CATALOG", 12),
    Column("UP", 7, right=True),
    Column("RST", 4, right=True),
    Column("WHY", 60),
)

LOAD_COLUMNS = (Column("ID   SHARE OF 10 S, NOW, RATE", 200),)

EVENT_COLUMNS = (Column("TIME", 8), Column("ID", 5), Column("WHAT", 14), Column("", 120))


def state_text(worker: WorkerView, glyphs: Glyphs) -> str:
    """A state in a sign and a word; a frozen worker is called so whatever its state."""
    word = "frozen" if worker.frozen else worker.state
    return f"{glyphs.states.get(worker.state, ' ')} {word}"


def worker_row(worker: WorkerView, now: float, glyphs: Glyphs) -> Row:
    """One worker's row; `now` is Unix time."""
    down = worker.state == State.DOWN
    why = worker.why
    if why and worker.state in DATED:
        at = time.strftime("%H:%M:%S", time.localtime(worker.state_since))
        why = f"{why} (since {at})" if now - worker.state_since < 86400 else why
    return Row(
        key=worker.id,
        cells=(
            worker.id,
            state_text(worker, glyphs),
            count(worker.served, 7),
            count(worker.in_flight, 4),
            number(round(worker.lookups_per_s, 1)),
            milliseconds(worker.p50_ms),
            milliseconds(worker.p99_ms),
            count(worker.errors, 4),
            f"{worker.cpu_percent:.0f}%" if not down else "-",
            memory_size(worker.memory_bytes),
            str(worker.pid or "-"),
            worker.address or "-",
            worker.catalog or "-",
            duration(worker.uptime_s) if not down else "-",
            count(worker.restarts, 4),
            clean(why),
        ),
        order=(
            natural_key(worker.id),
            worker.state,
            worker.served,
            worker.in_flight,
            worker.lookups_per_s,
            worker.p50_ms,
            worker.p99_ms,
            worker.errors,
            worker.cpu_percent,
            worker.memory_bytes,
            worker.pid,
            worker.address,
            worker.catalog,
            worker.uptime_s,
            worker.restarts,
            worker.why,
        ),
        variant="bad" if worker.frozen else variant(worker.state),
    )


def reason(snapshot: ClusterSnapshot, selected: str, glyphs: Glyphs) -> str:
    """Why the selected worker is not up, else the one that went down last; "" for neither."""
    troubled = [w for w in snapshot.workers if w.why and w.state in EXPLAINED]
    chosen = [w for w in troubled if w.id == selected]
    if not chosen:
        down = [w for w in troubled if w.state == State.DOWN]
        chosen = sorted(down, key=lambda w: w.state_since)[-1:]
    if not chosen:
        return ""
    worker = chosen[0]
    at = time.strftime("%H:%M:%S", time.localtime(worker.state_since))
    return clean(f"{worker.id} {state_text(worker, glyphs)}: {worker.why} (since {at})", 200)


def totals_row(snapshot: ClusterSnapshot) -> Row:
    """The last line of the worker table."""
    working = live(snapshot.workers)
    cells = [""] * len(WORKER_COLUMNS)
    cells[0] = "total"
    cells[1] = f"{sum(w.state == State.UP for w in working)} up/{len(snapshot.workers)}"
    cells[2] = count(sum(worker.served for worker in snapshot.workers), 7)
    cells[3] = count(sum(worker.in_flight for worker in snapshot.workers), 4)
    cells[4] = number(round(sum(worker.lookups_per_s for worker in working), 1))
    cells[5] = milliseconds(snapshot.p50_ms)
    cells[6] = milliseconds(snapshot.p99_ms)
    cells[7] = count(sum(worker.errors for worker in snapshot.workers), 4)
    cells[8] = f"{sum(worker.cpu_percent for worker in working):.0f}%"
    cells[9] = memory_size(sum(worker.memory_bytes for worker in working))
    cells[14] = count(sum(worker.restarts for worker in snapshot.workers), 4)
    return Row("", tuple(cells), ())


def event_row(event: Event) -> Row:
    """One event's row."""
    at = time.strftime("%H:%M:%S", time.localtime(event.at))
    shown = "bad" if event.kind in BAD else "good" if event.kind in GOOD else ""
    kind = event.kind.replace("_", "-")
    return Row(
        key=str(event.number),
        cells=(at, event.worker, kind, clean(event.text)),
        order=(event.number, event.worker, event.kind, event.text),
        variant=shown,
    )


BUSY_PATIENCE = 1.5
"""`ClusterSnapshot.patience` from which the machine is said to be busy: probes come late then."""


def header(snapshot: ClusterSnapshot, *, read_only: bool, attached: bool) -> tuple[str, str]:
    """The two lines at the top: what it is, and how it is."""
    catalogs = clean(", ".join(snapshot.catalogs)) or "no catalog"
    if len(snapshot.catalogs) > 1:
        catalogs += " (versions differ)"
    what = [
        f"{clean(snapshot.dataset) or 'unknown dataset'} {catalogs}",
        f"{'attached to' if attached else 'hosting'} {clean(snapshot.address)}",
        f"up {duration(snapshot.uptime_s)}",
    ]
    if read_only:
        what.append("READ-ONLY")
    if snapshot.panic:
        what.append("PANIC: most workers fail")
    if snapshot.activity:
        what.append(clean(snapshot.activity))
    if snapshot.patience > BUSY_PATIENCE:
        what.append("busy machine")
    if soon := expiry(snapshot.tls_expires_at, snapshot.taken_at):
        what.append(soon)
    how = [
        f"{number(round(snapshot.lookups_per_s, 1))}/s",
        f"p50 {latency(snapshot.p50_ms)}",
        f"p99 {latency(snapshot.p99_ms)}",
        f"errors {snapshot.errors}",
        f"reroutes {snapshot.reroutes}",
        f"hedges {snapshot.hedges}",
        f"answered {snapshot.answered}",
        f"workers {state_counts(snapshot)}",
    ]
    return "  ".join(what), "  ".join(how)


def state_counts(snapshot: ClusterSnapshot) -> str:
    """How many workers are in each state, in words."""
    counts = {state: sum(w.state == state for w in snapshot.workers) for state in State}
    named = [f"{count} {state}" for state, count in counts.items() if count]
    frozen = sum(worker.frozen for worker in snapshot.workers)
    if frozen:
        named.append(f"{frozen} FROZEN")
    return ", ".join(named) or "none"


def load_rows(
    workers: Iterable[WorkerView],
    rates: Mapping[str, Sequence[Sample]],
    width: int,
    glyphs: Glyphs,
) -> list[Row]:
    """A row for each live worker: its share of the last 10 s, its in-flight, its rate of late.

    Args:
        workers: those of a snapshot.
        rates: their history.
        width: cells there are.
        glyphs: what the terminal can show.
    """
    working = live(workers)
    total = sum(worker.lookups_per_s for worker in working)
    spark = max(0, min(30, width - 30))
    wide = max(4, min(20, width - 15 - (spark + 1 if spark else 0)))
    rows = []
    for worker in working:
        share = worker.lookups_per_s / total if total else 0.0
        history = [sample.lookups_per_s for sample in rates.get(worker.id, ())]
        text = (
            f"{fit(clean(worker.id, 6), 4)} {bar(share, wide, glyphs)} {share:4.0%} "
            f"{count(worker.in_flight, 4):>4} {sparkline(history, spark, glyphs)}"
        )
        rows.append(Row(worker.id, (text,), (natural_key(worker.id),)))
    return rows
