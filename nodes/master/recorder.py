"""Recordings, written: what a master's snapshots say, a block of a minute at a time.

How it lies on disk is told in `nodes.master.recording_blocks`; `nodes.master.recording` reads it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from nodes.errors import encodable
from nodes.master.recording_blocks import (
    Block,
    EncodedSnapshot,
    encode_block,
    encode_snapshot,
    find_blocks,
    is_recording,
)
from nodes.support.files import OWNER_ONLY, draft, put_aside
from nodes.support.os_errors import explain_os_error
from nodes.support.ownership import ExposedFileError, check_unaltered
from nodes.support.paths import make_private
from nodes.support.supervision import Report
from nodes.wire import ClusterSnapshot

logger = logging.getLogger("rollcall.recording")

BLOCK_S = 60.0
"""Seconds of a block: what a crash may cost."""

KEEP_S = 48 * 3600.0
MAX_BYTES = 100_000_000
"""Seconds that are kept, and bytes that a recording may have."""

GAP_S = 600.0
"""Seconds that a time counts at most in which nothing was recorded; one that the clock jumped over
is such a time as well."""

SLACK = 1 / 16
"""By which part more than it has to be a recording is cut when it is too large, and may be too old
before it is cut: it is copied for that, and not each minute."""

MAX_WAITING_SNAPSHOTS = 120
"""Snapshots that wait to be written at most; of more, the oldest are counted as dropped."""

RETRY_S = 10.0
"""Seconds after which a recording that cannot be written is tried again."""


class Recorder:
    """Writes a recording, a block at a time; what happens to the file disturbs nobody.

    It is for one thread, which may wait for the disk. The time is that of the snapshots.

    Args:
        path: the file; it and its folder are made, for their owner only.
        block_s: seconds of a block.
        keep_s: seconds that are kept; at most a sixteenth more is there.
        max_bytes: that the file may have; the oldest block goes first. While it is copied without
            what goes, both are there.
        report: told when a file is put aside, in words for an event.

    Attributes:
        trouble: why nothing can be written at present, "" when it can.
        dropped: snapshots lost to trouble.
    """

    def __init__(
        self,
        path: Path,
        *,
        block_s: float = BLOCK_S,
        keep_s: float = KEEP_S,
        max_bytes: int = MAX_BYTES,
        report: Report = lambda _text: None,
    ) -> None:
        self.path = path
        self.trouble = ""
        self.dropped = 0
        self._block_s = block_s
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._report = report
        self._waiting: list[EncodedSnapshot] = []
        self._begun = False
        self._failed_at: float | None = None
        self._trimmed_at: float | None = None

    @property
    def losses(self) -> str:
        """What its reader will miss, in words; "" for nothing."""
        lost = f"{self.dropped} second(s) are missing from the recording" if self.dropped else ""
        return "; ".join(part for part in (self.trouble, lost) if part)

    def add(self, snapshot: ClusterSnapshot) -> None:
        """Takes a snapshot down; once there is a block of them, writes it. The first is written
        at once: so trouble with the disk is known from the start.
        """
        if self._waiting and snapshot.taken_at < self._waiting[-1].taken_at:
            self._write()  # the clock was set back: a block goes forward in time
        # Encoded one by one: many at once would hold up the other threads.
        self._waiting.append(encode_snapshot(snapshot))
        now = snapshot.taken_at
        # A clock that is set back does not keep a block open.
        full = (
            not self._begun
            or _apart(now, self._waiting[0].taken_at, self._block_s)
            or len(self._waiting) >= MAX_WAITING_SNAPSHOTS
        )
        if full and (self._failed_at is None or _apart(now, self._failed_at, RETRY_S)):
            self._write()
        if len(self._waiting) > MAX_WAITING_SNAPSHOTS:
            del self._waiting[0]
            self.dropped += 1

    def close(self) -> None:
        """Writes what waits, if it can be written."""
        if self._waiting:
            self._write()

    def _write(self) -> None:
        now = self._waiting[-1].taken_at
        block = encode_block(self._waiting)
        try:
            make_private(self.path.parent)
            self._put_aside_what_is_none()
            self._trim(now, len(block))
            _append(self.path, block)
        except OSError as error:
            self._failed_at = now
            trouble = encodable(
                f"the recording {self.path} cannot be written: {explain_os_error(error)}"
            )
            if trouble != self.trouble:
                logger.warning("%s; lookups are not affected", trouble)
            self.trouble = trouble
        else:
            if self.trouble:
                logger.warning("the recording is written again")
            self.trouble = ""
            self._begun = True
            self._failed_at = None
            self._waiting = []

    def _put_aside_what_is_none(self) -> None:
        """What is in its place and has no block at all, is no recording, or nothing is left of it;
        and what others can write says what they want.

        Raises:
            OSError: it cannot be done.
        """
        if not os.path.lexists(self.path):
            return
        why = "was no recording"
        try:
            if self.path.is_file():
                check_unaltered(self.path, self.path.stat())
            if is_recording(self.path):
                return
        except ExposedFileError as error:
            why = f"was of no use (it {error.why})"
        aside = put_aside(self.path)
        text = f"{self.path} {why}: it is {aside.name} now; another is begun"
        logger.warning("%s", encodable(text))
        self._report(text)

    def _trim(self, now: float, room: int) -> None:
        """Drops what is too old or, if there is no room for so many bytes more, the oldest.

        Raises:
            OSError: it cannot be done.
        """
        if room > self._max_bytes:
            raise OSError(f"a block has {room} bytes, and all may have {self._max_bytes}")
        if not self.path.exists():
            return
        size = self.path.stat().st_size
        too_large = size + room > self._max_bytes
        trimmed_at = self._trimmed_at
        if too_large or trimmed_at is None or _apart(now, trimmed_at, self._keep_s * SLACK):
            most = self._max_bytes * (1 - SLACK if too_large else 1) - room
            _cut(self.path, now=now, keep_s=self._keep_s, most=most)
            self._trimmed_at = now


def _apart(one: float, other: float, seconds: float) -> bool:
    return abs(one - other) >= seconds


def _append(path: Path, block: bytes) -> None:
    """Appends a block, all of it or nothing. Raises `OSError`."""
    # Not to wait for whoever reads from a pipe that may have been put there.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
    descriptor = os.open(path, flags, OWNER_ONLY)
    try:
        size = os.fstat(descriptor).st_size
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _old(blocks: Sequence[Block], now: float, keep_s: float) -> int:
    """How many blocks, the first to be written, are older than that: by how long was recorded
    since, whatever the clock was set to meanwhile.
    """
    age = 0.0
    for index in reversed(range(len(blocks))):
        age += min(max(0.0, now - blocks[index].end), GAP_S)
        now = blocks[index].end
        if age > keep_s:
            return index + 1
    return 0


def _cut(path: Path, *, now: float, keep_s: float, most: float) -> None:
    """Drops the blocks that are older than that, the oldest beyond `most` bytes, and what is
    damaged. Who has the file open goes on reading it as it was. Raises `OSError`.
    """
    for left in path.parent.glob(f"{path.name}.*"):
        left.unlink(missing_ok=True)  # the draft of one that was killed meanwhile
    with path.open("rb") as file:
        found = list(find_blocks(file))
        kept = found[_old(found, now, keep_s) :]
        size = sum(block.size for block in kept)
        dropped = 0
        while dropped < len(kept) and size > most:
            size -= kept[dropped].size
            dropped += 1
        if size == file.seek(0, os.SEEK_END):
            return
        with draft(path, b"") as written:
            with written.open("ab") as copy:
                for block in kept[dropped:]:
                    file.seek(block.offset)
                    data = file.read(block.size)
                    if zlib.crc32(data[-block.length :]) == block.checksum:
                        copy.write(data)
            written.replace(path)
