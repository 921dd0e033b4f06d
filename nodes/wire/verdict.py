"""The verdict: what is to be said of a whole cluster in one line, the worst first.

A pure function of a snapshot and its age, so that the console, `ps` and whoever else asks say
the same of the same cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from nodes.support.units import counted, duration
from nodes.wire.conditions import (
    RECENT_S,
    answers,
    has_left,
    is_crash_looping,
    is_flapping,
    is_mute,
    is_recordless,
    is_waiting,
    next_try,
    was_lost,
)
from nodes.wire.views import ClusterSnapshot, MachineView, WorkerView

LOST_AFTER_S = 3.0
"""Age of a snapshot from which nobody knows how the cluster is."""

STARTING_S = 15.0
"""Seconds after the master's start within which it is no outage that no worker is up yet."""

MAX_NAMED = 3
"""Workers or machines that a sentence names; of more it tells the number."""

NEEDED_FOR = {"spawn": "spawn", "restart": "spawn", "reload": "spawn", "thaw": "freeze"}
"""The ability of the fleet that a hint needs; see `ClusterSnapshot`."""


class Level(IntEnum):
    """How bad it is, the worst first."""

    OUTAGE = 0
    MASTER_LOST = 1
    DEGRADED = 2
    STARTING = 3
    HEALTHY = 4

    @property
    def word(self) -> str:
        """As it is shown."""
        return self.name.replace("_", " ")


class Verdict(NamedTuple):
    """What is to be said.

    Attributes:
        level: how bad it is.
        text: what is wrong, the worst first; "" when there is nothing to say.
        hint: the name of the operation that helps, as "spawn"; "" for none.
        purpose: what is not as usual, and no fault of the cluster: mostly, somebody wants it so.
    """

    level: Level
    text: str = ""
    hint: str = ""
    purpose: str = ""

    @property
    def line(self) -> str:
        """All of it, for one line."""
        return "  ".join(part for part in (self.level.word, self.words) if part)

    @property
    def words(self) -> str:
        """What there is to say beside the level."""
        return "  ".join(part for part in (self.text, self.purpose) if part)


class Finding(NamedTuple):
    """One thing that is wrong, and the operation that helps."""

    text: str
    hint: str = ""


def verdict(
    snapshot: ClusterSnapshot,
    age_s: float = 0.0,
    *,
    lost: str = "",
    traffic_per_s: int = 0,
    read_only: bool = False,
) -> Verdict:
    """Judges a cluster.

    Args:
        snapshot: the newest there is.
        age_s: seconds since it was taken.
        lost: why there is no newer one, if that is known.
        traffic_per_s: what the built-in load asks for, 0 when it is off.
        read_only: whether who looks may change nothing.
    """
    purpose = _purpose(snapshot, traffic_per_s=traffic_per_s, read_only=read_only)
    if lost or age_s > LOST_AFTER_S:
        why = f": {lost}" if lost else ""
        return Verdict(Level.MASTER_LOST, f"{duration(age_s)} ago{why}, trying again", "", purpose)
    outage = _outage(snapshot)
    if outage is not None:
        level, text, hint = outage
        return Verdict(level, text, _possible(hint, snapshot), purpose)
    found = list(_degraded(snapshot))
    if found:
        hint = next((finding.hint for finding in found if finding.hint), "")
        text = "; ".join(finding.text for finding in found)
        return Verdict(Level.DEGRADED, text, _possible(hint, snapshot), purpose)
    return Verdict(Level.HEALTHY, "; ".join(_recently(snapshot)), "", purpose)


def _possible(hint: str, snapshot: ClusterSnapshot) -> str:
    """A hint, if the fleet can do it."""
    return hint if NEEDED_FOR.get(hint) in snapshot.abilities else ""


def _outage(snapshot: ClusterSnapshot) -> tuple[Level, str, str] | None:
    """Whether every lookup fails."""
    answering = [worker for worker in snapshot.workers if answers(worker)]
    if answering:
        return _recordless(snapshot, answering) or _failing(snapshot)
    if any(is_mute(worker) for worker in snapshot.workers):
        return None if snapshot.lookups_per_s else _nobody_answers(snapshot)
    coming = len(_coming(snapshot))
    if coming and snapshot.uptime_s < STARTING_S:
        return Level.STARTING, f"0 of {counted(coming, 'worker')} up", ""
    failing = "every lookup fails: " if snapshot.errors_per_s > 0 else ""
    awaited = coming or any(map(is_waiting, snapshot.workers))
    return Level.OUTAGE, f"{failing}{_why_none(snapshot, coming)}", "" if awaited else "spawn"


def _coming(snapshot: ClusterSnapshot) -> list[WorkerView]:
    """The workers that are starting, on a machine that has room for them."""
    return [one for one in snapshot.workers if one.state == "starting" and not is_waiting(one)]


def _recordless(
    snapshot: ClusterSnapshot, answering: Sequence[WorkerView]
) -> tuple[Level, str, str] | None:
    """Whether no worker can read its records: no fault of theirs."""
    if snapshot.lookups_per_s or not all(map(is_recordless, answering)):
        return None
    failing = "; every lookup fails" if snapshot.errors_per_s > 0 else ""
    return Level.OUTAGE, f"{answering[0].why}{failing}", ""


def _failing(snapshot: ClusterSnapshot) -> tuple[Level, str, str] | None:
    """Whether every lookup fails although workers answer probes: of the last second or, where
    there are few, of the last 10.
    """
    lately = snapshot.recent_errors_by_code
    code = f": {max(lately, key=lambda code: lately[code])}" if lately else ""
    if snapshot.errors_per_s > 0 and not snapshot.lookups_per_s:
        return Level.OUTAGE, f"every lookup fails, {snapshot.errors_per_s:.0f}/s{code}", ""
    if lately and not snapshot.mean_lookups_per_s:
        return Level.OUTAGE, f"every lookup of the last 10 s failed{code}", ""
    return None


def _nobody_answers(snapshot: ClusterSnapshot) -> tuple[Level, str, str]:
    """Workers are there, and each is frozen or silent."""
    there = [one for one in snapshot.workers if is_mute(one)]
    silent = [one for one in there if not one.frozen]
    failing = "every lookup fails: " if snapshot.errors_per_s > 0 else ""
    if not silent:
        return Level.OUTAGE, f"{failing}no worker answers, all are frozen", "thaw"
    return Level.OUTAGE, f"{failing}no worker answers, {_named(silent)} silent", "restart"


def _why_none(snapshot: ClusterSnapshot, coming: int) -> str:
    for finding in _machines(snapshot):
        starting = f", {counted(coming, 'is', 'are')} starting" if coming else ""
        return f"no worker is up{starting}; {finding.text}"
    if coming:
        return f"no worker is up, {counted(coming, 'is', 'are')} starting"
    looping = [one for one in snapshot.workers if is_crash_looping(one)]
    if looping:
        again = next_try(looping, snapshot.taken_at)
        return ", ".join(filter(None, (f"{_named(looping)} died too often", again)))
    unready = [one for one in snapshot.workers if one.state == "unready"]
    if unready:
        return f"{_named(unready)} with other records than are served"
    draining = [one for one in snapshot.workers if one.state == "draining"]
    return f"no workers, {_named(draining)} draining" if draining else "no workers"


def _degraded(snapshot: ClusterSnapshot) -> Iterator[Finding]:
    lost = {machine.name for machine in snapshot.machines if machine.lost}
    # What becomes of the workers of a lost machine is told once, with their machine.
    workers = [one for one in snapshot.workers if not _is_lost_with(one, lost, snapshot.taken_at)]
    if snapshot.panic:
        yield Finding("most workers fail, so all of them are tried")
    yield from _machines(snapshot)
    if slow := [one for one in workers if one.slow and one.state == "up" and not one.frozen]:
        hedged = sum(one.hedged_last_minute for one in slow)
        away = f", {counted(hedged, 'hedge')}/min" if hedged else ""
        yield Finding(f"{_named(slow)} slow{away}", "restart")
    if suspect := [one for one in workers if one.state == "suspect" and not one.frozen]:
        yield Finding(f"{_named(suspect)} silent", "restart")
    if recordless := [one for one in workers if is_recordless(one)]:
        yield Finding(f"{recordless[0].why}, for {_named(recordless)}")
    if broken := [one for one in workers if one.breaker_open and one.state != "down"]:
        yield Finding(f"{_named(broken)} failing, not asked for a while", "restart")
    if looping := [one for one in workers if is_crash_looping(one)]:
        again = next_try(looping, snapshot.taken_at)
        text = ", ".join(filter(None, (f"{_named(looping)} crash-looping", again)))
        yield Finding(text, "restart")
    if flapping := [one for one in workers if is_flapping(one)]:
        times = max(one.deaths_last_minute for one in flapping)
        verb = "keeps" if len(flapping) == 1 else "keep"
        yield Finding(f"{_named(flapping)} {verb} dying, {counted(times, 'time')} in a minute")
    if unready := [one for one in workers if one.state == "unready"]:
        yield Finding(f"{_named(unready)} with other records, not asked", "reload")
    if len(snapshot.catalogs) > 1:
        yield Finding(f"{len(snapshot.catalogs)} versions of the records are served", "reload")
    yield from _missing(snapshot, looping)
    if gone := [one for one in workers if was_lost(one, snapshot.taken_at)]:
        yield Finding(f"{_named(gone)} lost {_ago(gone, snapshot.taken_at)}: {gone[0].why}")
    if snapshot.hedges_spent:
        yield Finding("more lookups are late than are hedged")
    for trouble in filter(None, (snapshot.journal_trouble, snapshot.log_trouble)):
        yield Finding(trouble)


def _machines(snapshot: ClusterSnapshot) -> Iterator[Finding]:
    """Machines that are lost, and workers that have none: one finding, as one follows from the
    other.
    """
    lost = [machine for machine in snapshot.machines if machine.lost]
    waiting = [one for one in snapshot.workers if is_waiting(one)]
    parts = [_lost(snapshot, lost)] if lost else []
    if away := sum(machine.away for machine in lost):
        whose = "its" if len(lost) == 1 else "their"
        workers = f"{away} of {whose} workers"
        if not waiting:
            workers = f"{whose} {'worker' if away == 1 else f'{away} workers'}"
        runs, is_placed = ("runs", "is placed") if away == 1 else ("run", "are placed")
        parts.append(f"{workers} {is_placed if _coming(snapshot) else runs} elsewhere")
    if waiting:
        parts.append(f"{_named(waiting)} {'waits' if len(waiting) == 1 else 'wait'} for room")
    if parts:
        yield Finding(", ".join(parts))


def _lost(snapshot: ClusterSnapshot, machines: Sequence[MachineView]) -> str:
    """Which are, since when, and the workers that are with them."""
    names = [machine.name for machine in machines]
    named = f"machine{'s' if len(names) > 1 else ''} {', '.join(names)}"
    named = named if len(names) <= MAX_NAMED else f"{len(names)} machines"
    now, since = snapshot.taken_at, max(machine.since for machine in machines)
    there = sum(_is_lost_with(one, names, now) for one in snapshot.workers)
    gone = f" with {counted(there, 'worker')}" if there else ""
    return f"{named} lost {duration(now - since)} ago{gone}"


def _is_lost_with(worker: WorkerView, machines: Collection[str], now: float) -> bool:
    """Whether it went with one of these machines: whoever answers all the same did not."""
    silent = worker.state == "suspect" and not worker.frozen
    return worker.machine in machines and (silent or was_lost(worker, now))


def _missing(snapshot: ClusterSnapshot, looping: Sequence[WorkerView]) -> Iterator[Finding]:
    """Workers that are wanted, and are neither here nor spoken of already."""
    if snapshot.wanted_workers is None or (
        snapshot.uptime_s < STARTING_S and not snapshot.answered
    ):
        return
    local = [one for one in snapshot.workers if one.local]
    here = [one for one in local if one.frozen or one.state not in ("down", "starting")]
    coming = [one for one in _coming(snapshot) if one.local]
    waiting = [one for one in local if is_waiting(one)]
    missing = snapshot.wanted_workers - len(here) - len(looping) - len(waiting)
    if missing > 0:
        up = sum(answers(one) for one in local)
        which = f": {_named(coming)} starting" if coming else ""
        yield Finding(f"{up} of {snapshot.wanted_workers} workers up{which}")


def _recently(snapshot: ClusterSnapshot) -> Iterator[str]:
    """What an operator did, or what mended itself, a moment ago."""
    alike: dict[str, list[tuple[float, WorkerView]]] = {}
    for one in snapshot.workers:
        down_s = snapshot.taken_at - one.state_since
        if one.state == "down" and down_s < RECENT_S and not one.frozen:
            how, since_s = _how_it_went(one), down_s
        elif one.restarts and 0 < one.uptime_s < RECENT_S and one.state == "up":
            how = "died and was restarted" if one.deaths_last_minute else "restarted"
            since_s = one.uptime_s
        else:
            continue
        alike.setdefault(how, []).append((since_s, one))
    yield from _reached(snapshot)
    for how, some in alike.items():
        newest_s = min(since_s for since_s, _ in some)
        yield f"{_named(one for _, one in some)} {how} {duration(newest_s)} ago"


def _reached(snapshot: ClusterSnapshot) -> Iterator[str]:
    """Machines that came, or came back, since the master began."""
    began = snapshot.taken_at - snapshot.uptime_s
    for one in snapshot.machines:
        for_s = snapshot.taken_at - one.since
        if for_s < RECENT_S and one.since - began > STARTING_S:
            yield f"machine {one.name} reachable for {duration(for_s)}"


def _how_it_went(worker: WorkerView) -> str:
    if has_left(worker):
        return "left"
    return "killed" if worker.why.startswith("killed by an operator") else worker.why


def _purpose(snapshot: ClusterSnapshot, *, traffic_per_s: int, read_only: bool) -> str:
    workers = snapshot.workers
    frozen = [one for one in workers if one.frozen]
    draining = [one for one in workers if one.state == "draining"]
    parts = [
        f"frozen {_named(frozen)}" if frozen else "",
        f"draining {_named(draining)}" if draining else "",
        snapshot.activity,
        "busy machine" if snapshot.busy else "",
        f"traffic {traffic_per_s}/s" if traffic_per_s else "",
        "read-only" if read_only else "",
    ]
    return ", ".join(part for part in parts if part)


def _ago(workers: Sequence[WorkerView], now: float) -> str:
    return f"{duration(now - max(one.state_since for one in workers))} ago"


def _named(workers: Iterable[WorkerView]) -> str:
    ids = [one.id for one in workers]
    if len(ids) > MAX_NAMED:
        return f"{len(ids)} workers"
    return ", ".join(ids)
