"""Where a report's material is: in the files of this machine, or with the master."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from nodes.client.attached import AttachedCluster
from nodes.errors import DataError, RollcallError
from nodes.master.events import MAX_EVENTS
from nodes.master.journal_file import SUFFIX as JOURNAL_SUFFIX
from nodes.master.journal_reading import JournalReader, find_journal
from nodes.master.recorder import MAX_BYTES
from nodes.master.recording import SUFFIX as RECORDING_SUFFIX
from nodes.master.recording import Recording
from nodes.report.figures import LEAD_S, Material
from nodes.support.addresses import parse_address
from nodes.support.listening import is_loopback
from nodes.support.units import counted
from nodes.wire import ClusterSnapshot, Event, Second

T = TypeVar("T")

EACH_UP_TO_S = 2 * 3600.0
"""Seconds of a report up to which every snapshot is read, if the journal has each second's figures;
of more, one of so many that as many are read, and one of `MOST_APART` at least. Latencies are of
the last 10 s in any of them, and counters lose nothing.
"""

MOST_APART = 10

NOW_S = 1.0
"""Seconds that a report's end may be past to be now."""

FRESH_S = 10.0
"""Seconds within which a master that runs has written something down."""

HISTORY_S = 300
"""Seconds of figures that a master is asked for: more than are not recorded yet."""


@contextmanager
def material_of(master: str, tls: Path | None, first: float, last: float) -> Iterator[Material]:
    """What there is of a stretch of time: of a master of this machine, in its files, which outlive
    it; of any other, what it tells.

    Args:
        master: its "HOST:PORT".
        tls: the folder of certificates, None for no TLS.
        first, last: from when to when, Unix time in seconds.

    Raises:
        RollcallError: neither can be had.
    """
    host, port = parse_address(master)
    journal = find_journal(port, host)
    recording = journal.with_suffix(RECORDING_SUFFIX)
    is_here = os.path.lexists(journal) or os.path.lexists(recording)
    to_now = last > time.time() - NOW_S
    with ExitStack() as stack:
        if is_here and is_loopback(host):
            now = _snapshot_of_now(master, tls) if to_now else None
            if now is None or _is_written_by(journal, now):
                yield stack.enter_context(_files(journal, recording, first, last, now))
                return
        try:
            found = stack.enter_context(_told(master, tls, first, last, to_now=to_now))
        except RollcallError:
            if not is_here:
                raise
            found = stack.enter_context(_files(journal, recording, first, last, None))
        yield found


@contextmanager
def material_in(recording: Path, first: float, last: float) -> Iterator[Material]:
    """What there is in a recording that was copied from elsewhere, and in the journal beside it, if
    there is one, whoever they are from; arguments and errors as `material_of`.
    """
    journal = recording.with_suffix(JOURNAL_SUFFIX)
    with _files(journal, recording, first, last, None, own=False) as found:
        yield found


def end_of(recording: Path) -> float:
    """The time of the last snapshot in a recording, Unix time in seconds.

    Raises:
        DataError: there is none.
    """
    with Recording.open(recording, own=False) as opened:
        return opened.span[1]


def _snapshot_of_now(master: str, tls: Path | None) -> ClusterSnapshot | None:
    """The cluster as it is; None if its master does not run."""
    try:
        with AttachedCluster(master, tls=tls) as cluster:
            return cluster.snapshot()
    except RollcallError:
        return None  # what was written down is told, and until when


def _is_written_by(journal: Path, now: ClusterSnapshot) -> bool:
    """Whether a journal is that of the master that answers: not of one that had its port before, as
    another machine's has that is reached through a tunnel.
    """
    try:
        with JournalReader(journal) as reader:
            newest = _newest_in(reader)
    except DataError:
        newest = None
    return newest is not None and now.taken_at - newest < FRESH_S


def _newest_in(journal: JournalReader) -> float | None:
    """The time of the last figures in a journal, None without any."""
    return next((one.at for one in journal.newest(Second, math.inf, 1)), None)


@contextmanager
def _files(
    journal: Path,
    recorded: Path,
    first: float,
    last: float,
    now: ClusterSnapshot | None,
    *,
    own: bool = True,
) -> Iterator[Material]:
    begin, missing = first - LEAD_S, _Missing()
    with ExitStack() as stack:
        seconds: Iterable[Second] = ()
        events: Iterable[Event] = ()
        snapshots: Iterable[ClusterSnapshot] = ()
        written_at, newest_at, every = None, None, 1
        try:
            reader = stack.enter_context(JournalReader(journal, own=own))
            newest_at = written_at = _newest_in(reader)
        except DataError as error:
            missing.add(str(error))
        else:
            seconds = missing.until_it_fails(reader.between(Second, begin, last))
            events = missing.until_it_fails(reader.between(Event, begin, last))
            every = min(MOST_APART, max(1, math.ceil((last - first) / EACH_UP_TO_S)))
        try:
            recording = stack.enter_context(Recording.open(recorded, own=own))
        except DataError as error:
            missing.add(str(error))
        else:
            missing.recording = recording
            newest_at = max(recording.span[1], newest_at or 0.0)
            snapshots = missing.until_it_fails(recording.between(begin, last, every))
        yield Material(
            source="what its master wrote down",
            seconds=seconds,
            snapshots=_and_then(snapshots, now),
            snapshot_every_s=float(every),
            events=events,
            knows_starts=written_at is not None,
            now_at=None if now is None else now.taken_at,
            newest_at=newest_at,
            missing=missing.told,
        )


@contextmanager
def _told(
    master: str, tls: Path | None, first: float, last: float, *, to_now: bool
) -> Iterator[Material]:
    begin, missing = first - LEAD_S, _Missing()
    with ExitStack() as stack:
        cluster = stack.enter_context(AttachedCluster(master, tls=tls))
        events = cluster.events(0)
        if len(events) >= MAX_EVENTS and events[0].at > first:
            missing.add(
                f"there were more than the {counted(len(events), 'event')} that the master has: "
                "all are in the journal on its own machine"
            )
        snapshots: Iterable[ClusterSnapshot] = ()
        copy = stack.enter_context(tempfile.TemporaryFile())
        after, size, more = begin, 0, True
        while more and after < last and size < MAX_BYTES:
            part = cluster.recording(after)
            size += copy.write(part.blocks)
            after, more = part.until, part.more
        try:
            missing.recording = recording = Recording(copy, f"the recording of {master}")
        except DataError as error:
            missing.add(str(error))
        else:
            snapshots = recording.between(begin, last)
        now = cluster.snapshot() if to_now else None
        seconds = [one for one in cluster.history(HISTORY_S) if begin <= one.at <= last]
        yield Material(
            source=f"what the master at {master} tells",
            seconds=seconds,
            snapshots=_and_then(missing.until_it_fails(snapshots), now),
            snapshot_every_s=1.0,
            events=[one for one in events if begin <= one.at <= last],
            knows_starts=False,
            now_at=None if now is None else now.taken_at,
            missing=missing.told,
        )


def _and_then(
    snapshots: Iterable[ClusterSnapshot], now: ClusterSnapshot | None
) -> Iterator[ClusterSnapshot]:
    yield from snapshots
    if now is not None:
        yield now


class _Missing:
    """What is missing of the material, as it turns out while it is read.

    Attributes:
        recording: that is read, None for none.
    """

    def __init__(self) -> None:
        self.recording: Recording | None = None
        self._notes: list[str] = []

    def add(self, text: str) -> None:
        """Something is, and what."""
        if text not in self._notes:
            self._notes.append(text)

    def until_it_fails(self, some: Iterable[T]) -> Iterator[T]:
        """All of these, as far as they can be read."""
        try:
            yield from some
        except DataError as error:
            self.add(str(error))

    def told(self) -> list[str]:
        """All of it."""
        trouble = self.recording.trouble if self.recording is not None else ""
        return [*self._notes, *([trouble] if trouble else [])]
