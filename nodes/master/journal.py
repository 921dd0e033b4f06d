"""What happened, kept on disk: a master's events and its figures of each second."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nodes.errors import encodable
from nodes.master.journal_file import (
    FILE_ERRORS,
    MAX_VERDICT_CHARS,
    JournalFile,
    Noted,
    explain_file_error,
    is_damage,
    sidecars,
)
from nodes.master.recorder import Recorder
from nodes.routing import State
from nodes.support.files import put_aside
from nodes.support.steady import steady_time
from nodes.support.supervision import AT_ONCE, Report, Supervision, shielded, supervise
from nodes.wire import ClusterSnapshot, Event, Second, verdict

logger = logging.getLogger("rollcall.journal")

WRITE_EVERY_S = 1.0
"""Seconds between two writes."""

MAX_WAITING_EVENTS = 10_000
"""Events that wait to be written at most; more are counted as dropped."""

KEEP_BYTES = 50_000_000
CLEAN_EVERY_S = 600.0
"""Bytes that are kept, and seconds between two looks at what is too old."""

MAX_RETRY_S = 30.0
"""Seconds after which a journal that cannot be written is tried again at the latest."""


def second_of(snapshot: ClusterSnapshot) -> Second:
    """The figures of a snapshot that are written down, and what is to be said of it."""
    found = verdict(snapshot)
    return Second(
        at=snapshot.taken_at,
        lookups_per_s=snapshot.lookups_per_s,
        p50_ms=snapshot.p50_ms,
        p99_ms=snapshot.p99_ms,
        in_flight=snapshot.in_flight,
        answered=snapshot.answered,
        errors=snapshot.errors,
        reroutes=snapshot.reroutes,
        hedges=snapshot.hedges,
        up=sum(worker.state == State.UP for worker in snapshot.workers),
        level=found.level.name,
        verdict=encodable(found.words[:MAX_VERDICT_CHARS]),
    )


class Journal:
    """Writes in a thread of its own; nothing that happens to the file disturbs the caller.

    A file that is of no use is put aside, and another begun.

    Args:
        path: the file; it and its folder are made, for their owner only.
        take_snapshot: takes one of now; asked each second.
        recorder: is given each snapshot; None for no recording.
        report: told what befell the file, in words for an event.
        clock: Unix time in seconds.
        steady: seconds of a clock that is never set.
        keep_bytes: that the file may have; the oldest goes first.
        write_every_s: seconds between two writes.

    Attributes:
        trouble: why nothing can be written at present, "" when it can.
        dropped: events lost to trouble.
    """

    def __init__(
        self,
        path: Path,
        take_snapshot: Callable[[], ClusterSnapshot],
        *,
        recorder: Recorder | None = None,
        report: Report = lambda _text: None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady_time,
        keep_bytes: int = KEEP_BYTES,
        write_every_s: float = WRITE_EVERY_S,
    ) -> None:
        self.path = path
        self.trouble = ""
        self.dropped = 0
        self._take_snapshot = take_snapshot
        self._recorder = recorder
        self._report = report
        self._clock = clock
        self._steady = steady
        self._keep_bytes = keep_bytes
        self._write_every_s = write_every_s
        self._wait_s = write_every_s
        self._clean_at = -1.0
        self._waiting: queue.Queue[Noted] = queue.Queue(MAX_WAITING_EVENTS)
        self._batch: list[Noted] = []
        self._stopping = threading.Event()
        self._file: JournalFile | None = None
        recording = Supervision("the recording", report, backoff=AT_ONCE)
        self._record = shielded(self._add_to_recording, recording)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def note(self, event: Event) -> None:
        """Takes an event down; returns at once, whatever the state of the disk."""
        try:
            self._waiting.put_nowait(Noted(event, self._steady()))
        except queue.Full:
            self.dropped += 1

    @property
    def losses(self) -> str:
        """What its reader will miss, in words: the trouble it is in, the events it has lost; and
        the same of the recording.
        """
        lost = f"{self.dropped} event(s) are missing from the journal" if self.dropped else ""
        recording = "" if self._recorder is None else self._recorder.losses
        return encodable("; ".join(part for part in (self.trouble, lost, recording) if part))

    @property
    def recording_dropped(self) -> int:
        """Snapshots that the recording has lost."""
        return 0 if self._recorder is None else self._recorder.dropped

    def close(self) -> None:
        """Writes what waits, if it can be written, and ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        try:
            supervise(self._keep_writing, Supervision("the journal", self._report), self._stopping)
            self._write_once()
        finally:
            if self._recorder is not None:
                self._recorder.close()
            self._let_go()

    def _keep_writing(self) -> None:
        while not self._stopping.wait(self._wait_s):
            self._write_once()

    def _write_once(self) -> None:
        self._take_waiting()
        snapshot = self._take_snapshot()
        self._record(snapshot)
        batch, self._batch = self._batch, []
        try:
            self._write(batch, second_of(snapshot))
        except FILE_ERRORS as error:
            self._batch = batch
            self._failed(error)
            self._wait_s = min(MAX_RETRY_S, self._wait_s * 2)
        except BaseException:
            self.dropped += len(batch)  # they may be why
            raise
        else:
            if self.trouble:
                logger.warning("the journal is written again")
            self.trouble = ""
            self._wait_s = self._write_every_s

    def _add_to_recording(self, snapshot: ClusterSnapshot) -> None:
        if self._recorder is not None:
            self._recorder.add(snapshot)

    def _take_waiting(self) -> None:
        while len(self._batch) < MAX_WAITING_EVENTS:
            try:
                self._batch.append(self._waiting.get_nowait())
            except queue.Empty:
                break

    def _write(self, batch: list[Noted], second: Second) -> None:
        if self._file is not None and not self._file.is_in_place():
            self._tell(f"the journal {self.path} was taken away while it was written")
            self._let_go()
        file = self._file = self._file or JournalFile(
            self.path, clock=self._clock, steady=self._steady, keep_bytes=self._keep_bytes
        )
        file.write(batch, second)
        now = self._steady()
        if now >= self._clean_at:
            self._clean_at = now + CLEAN_EVERY_S
            file.clean()

    def _failed(self, error: Exception) -> None:
        trouble = encodable(
            f"the journal {self.path} cannot be written: {explain_file_error(error)}"
        )
        if trouble != self.trouble:
            logger.warning("%s; lookups are not affected", trouble)
        self.trouble = trouble
        self._let_go()
        if is_damage(error, self.path):
            self._put_aside(explain_file_error(error))

    def _put_aside(self, why: str) -> None:
        try:
            aside = put_aside(self.path, sidecars(self.path))
        except OSError as error:
            logger.warning("what is there cannot be put aside: %s", explain_file_error(error))
        else:
            self._wait_s = 0.0  # nothing is in the way any more
            self._tell(f"the journal {self.path} was of no use ({why}): it is {aside.name} now")

    def _tell(self, text: str) -> None:
        logger.warning("%s; another is begun", encodable(text))
        self._report(f"{text}; another is begun")

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
