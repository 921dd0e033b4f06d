"""A copy of a master's recording, as much of it as is looked at; and what was seen here since."""

from __future__ import annotations

import io
import math
import tempfile
import time
from bisect import bisect
from collections.abc import Callable, Sequence
from typing import BinaryIO

from nodes.errors import DataError, RollcallError
from nodes.master.recording import Recording
from nodes.master.recording_blocks import EncodedSnapshot, encode_block, find_blocks
from nodes.support.os_errors import explain_os_error
from nodes.wire import RecordingPart

MAX_COPY_BYTES = 200_000_000
"""Bytes of a copy at most: more than a master keeps. Beyond that it is begun anew."""

FETCH_S = 600.0
"""Seconds of a recording that are fetched together at least."""

ASK_AGAIN_S = 10.0
"""Seconds after which a master is asked again for what it did not have, or did not answer."""

SEEN_BLOCK = 60
"""Snapshots of a block in which what was seen here is put behind what was fetched."""

BESIDE_S = 1.0
"""Seconds beside what was fetched within which nothing that was seen here is of use."""

Fetch = Callable[[float], RecordingPart]
"""`fetch(after)`: see `nodes.cluster.Cluster.recording`."""


class RecordingCopy:
    """A copy of as much of a master's recording as was looked at, and what was seen here where the
    master has nothing; see `console.replay.Source`. It is an unnamed file: it may be large.

    Args:
        fetch: asks the master for a part.
        clock: seconds, monotonic.

    Attributes:
        trouble: why the master's recording cannot be had, "" when it can.
    """

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self.trouble = ""
        self._fetch = fetch
        self._clock = clock
        self._file: BinaryIO | None = None
        self._begin: float | None = None
        self._silent_until = -math.inf
        self._seen: Sequence[EncodedSnapshot] = ()
        self._recording: Recording | None = None
        self._clear()

    def _clear(self) -> None:
        self._size = 0
        self._held: dict[tuple[float, int], float] = {}
        self._covered: list[tuple[float, float]] = []
        self._written_until = math.inf
        self._ask_again_at = -math.inf
        self._grown = True

    def remember(self, seen: Sequence[EncodedSnapshot]) -> None:
        """Takes what was seen here of late, oldest first."""
        self._seen = seen

    def begin(self) -> float:
        """The time of the first snapshot."""
        if self._begin is None:
            try:
                part = self._ask(0.0)
                first = next(iter(find_blocks(io.BytesIO(part.blocks))), None)
                self._begin = None if first is None else first.start
            except RollcallError:
                pass  # said by `trouble`
        earliest = min((start for start, _ in self._held), default=math.inf)
        seen = self._seen[0].taken_at if self._seen else math.inf
        return min(earliest, seen, math.inf if self._begin is None else self._begin)

    def end(self) -> float:
        """The time of the last."""
        seen = self._seen[-1].taken_at if self._seen else -math.inf
        return max(seen, self._fetched_until)

    @property
    def _fetched_until(self) -> float:
        return max(self._held.values(), default=-math.inf)

    def cover(self, first: float, last: float) -> Recording:
        """A recording that has all there is from one time to another, as far as it can be had."""
        try:
            file = self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - it is kept
            self._fetch_between(file, first, last)
            known = self._recording
            if known is None or self._grown or known.span[1] < min(last, self.end()):
                known = self._recording = self._read_anew(file)
                self._grown = False
        except OSError as error:
            raise DataError(
                f"no copy of the recording can be made in {tempfile.gettempdir()}: "
                f"{explain_os_error(error)}"
            ) from error
        return known

    def _ask(self, after: float) -> RecordingPart:
        if self._clock() < self._silent_until:
            raise DataError(self.trouble)
        try:
            part = self._fetch(after)
        except RollcallError as error:
            self.trouble = f"the master's recording cannot be had: {error}"
            self._silent_until = self._clock() + ASK_AGAIN_S
            raise
        self.trouble = ""
        return part

    def _fetch_between(self, file: BinaryIO, first: float, last: float) -> None:
        first = first // FETCH_S * FETCH_S  # not a little more with each step back
        while (start := self._first_missing(first, last)) is not None:
            if start >= self._written_until and self._clock() < self._ask_again_at:
                return
            try:
                part = self._ask(start)
            except RollcallError:
                return  # what is there is shown, and `trouble` said
            self._append(file, part.blocks)
            self._covered = _joined([*self._covered, (start, part.until)])
            if not part.more:
                self._written_until = part.until
                self._ask_again_at = self._clock() + ASK_AGAIN_S
                return

    def _first_missing(self, first: float, last: float) -> float | None:
        for begin, end in self._covered:
            if begin <= first < end:
                first = end
        return first if first < last else None

    def _append(self, file: BinaryIO, blocks: bytes) -> None:
        if self._size + len(blocks) > MAX_COPY_BYTES:
            self._clear()
        file.seek(self._size)
        file.truncate()
        for block in find_blocks(io.BytesIO(blocks)):
            if (block.start, block.checksum) not in self._held:
                self._held[block.start, block.checksum] = block.end
                file.write(blocks[block.offset : block.stop])
        self._size = file.tell()
        self._grown = True

    def _read_anew(self, file: BinaryIO) -> Recording:
        """The file, with what was seen here beside what was fetched."""
        file.seek(self._size)
        file.truncate()
        for run in self._not_fetched():
            for start in range(0, len(run), SEEN_BLOCK):
                file.write(encode_block(run[start : start + SEEN_BLOCK]))
        if not file.tell():
            raise DataError(self.trouble or "nothing is recorded yet")
        return Recording(file)

    def _not_fetched(self) -> list[list[EncodedSnapshot]]:
        """What was seen here in times of which nothing was fetched, each by itself: the last
        minute, or one that a master took with it.
        """
        spans = sorted((start, end) for (start, _), end in self._held.items())
        runs: dict[int, list[EncodedSnapshot]] = {}
        for one in self._seen:
            index = bisect(spans, (one.taken_at, math.inf))
            after = spans[index - 1][1] + BESIDE_S if index else -math.inf
            before = spans[index][0] - BESIDE_S if index < len(spans) else math.inf
            if after < one.taken_at < before:
                runs.setdefault(index, []).append(one)
        return list(runs.values())

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same spans of time, in order; those that touch are one."""
    joined: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return joined
