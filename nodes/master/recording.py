"""Recordings, read: what a master's snapshots said, second by second.

How one lies on disk is told in `nodes.master.recording_blocks`; `nodes.master.recorder` writes it.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from nodes.errors import DataError
from nodes.master.recording_blocks import (
    FORMAT_VERSION,
    Block,
    find_blocks,
    other_version,
    read_block,
)
from nodes.support.os_errors import explain_os_error
from nodes.support.ownership import ExposedFileError, check_unaltered
from nodes.support.paths import state_dir
from nodes.wire import ClusterSnapshot, RecordingPart

MAX_PART_BYTES = 384 * 1024
"""Bytes that an operator is sent at a time, unless a single block has more."""

SUFFIX = ".recording"
"""What its name ends with in the place of the journal's ending."""

IsBad = Callable[[ClusterSnapshot], bool]
"""Whether something is wrong in a snapshot."""


def recording_file(port: int) -> Path:
    """Where the recording of the master on that port is: beside its journal."""
    return state_dir() / "journal" / f"{port}{SUFFIX}"


class Recording:
    """A recording that is read, as it was when it was opened. Threads must not share one.

    Args:
        file: read from, and closed at the end.
        name: what it is called in words.

    Attributes:
        trouble: why a part of it is not shown, as far as that is known; "" for no such part.

    Raises:
        DataError: there is nothing in it that can be read.
    """

    def __init__(self, file: BinaryIO, name: str = "the recording") -> None:
        self.trouble = ""
        self._file = file
        self._name = name
        self._held: tuple[Block, tuple[ClusterSnapshot, ...]] | None = None
        try:
            found = list(find_blocks(file))
        except OSError as error:
            raise DataError(f"{name} cannot be read: {explain_os_error(error)}") from error
        others = [block.version for block in found if block.version != FORMAT_VERSION]
        if others:
            self.trouble = other_version(max(others))
        self._blocks = sorted(
            (block for block in found if block.version == FORMAT_VERSION),
            key=lambda block: block.start,
        )
        self._starts = [block.start for block in self._blocks]
        if not self._blocks:
            raise DataError(self.trouble or f"nothing is recorded in {name}, or all is damaged")

    @classmethod
    def open(cls, path: Path, *, own: bool = True) -> Self:
        """Opens a file; errors as above.

        Args:
            path: see `recording_file`.
            own: whether it is refused if others than this user can write it.
        """
        try:
            file = _open(path, own=own)
        except FileNotFoundError as error:
            raise DataError(
                f"there is no recording {path}: no master has run on that port here"
            ) from error
        except OSError as error:
            raise DataError(
                f"the recording {path} cannot be read: {explain_os_error(error)}"
            ) from error
        try:
            return cls(file, f"the recording {path}")
        except BaseException:
            file.close()
            raise

    @property
    def span(self) -> tuple[float, float]:
        """The times of the first and the last snapshot, Unix time in seconds."""
        return self._starts[0], max(block.end for block in self._blocks)

    @property
    def count(self) -> int:
        """How many snapshots there are, those in damaged blocks included."""
        return sum(block.snapshots for block in self._blocks)

    def at(self, time: float) -> ClusterSnapshot | None:
        """The last snapshot of that time or before it; None if there is none.

        Raises:
            DataError: the file cannot be read any more; so below.
        """
        return next(self._backwards(time), None)

    def between(self, first: float, last: float) -> Iterator[ClusterSnapshot]:
        """The snapshots from one time to another, both included, oldest first."""
        for block in self._blocks[: bisect_right(self._starts, last)]:
            if block.end >= first:
                for snapshot in self._read(block):
                    if first <= snapshot.taken_at <= last:
                        yield snapshot

    def next_bad(self, time: float, is_bad: IsBad) -> ClusterSnapshot | None:
        """The first snapshot after that time with which something begins to be wrong.

        Args:
            time: Unix time in seconds.
            is_bad: whether something is wrong in a snapshot.
        """
        before = self.at(time)
        was_bad = before is not None and is_bad(before)
        for snapshot in self.between(math.nextafter(time, math.inf), math.inf):
            if not is_bad(snapshot):
                was_bad = False
            elif not was_bad:
                return snapshot
        return None

    def previous_bad(self, time: float, is_bad: IsBad) -> ClusterSnapshot | None:
        """The last snapshot before that time with which something began to be wrong; arguments as
        `next_bad`.
        """
        earliest: ClusterSnapshot | None = None
        for snapshot in self._backwards(math.nextafter(time, -math.inf)):
            if is_bad(snapshot):
                earliest = snapshot
            elif earliest is not None:
                break
        return earliest

    def _backwards(self, time: float) -> Iterator[ClusterSnapshot]:
        """The snapshots from that time on, newest first."""
        for index in reversed(range(bisect_right(self._starts, time))):
            for snapshot in reversed(self._read(self._blocks[index])):
                if snapshot.taken_at <= time:
                    yield snapshot

    def _read(self, block: Block) -> tuple[ClusterSnapshot, ...]:
        """A block's snapshots; none if it is damaged."""
        if self._held is None or self._held[0] != block:
            try:
                snapshots = read_block(self._file, block)
            except DataError as error:
                self.trouble = str(error)
                snapshots = ()
            except (OSError, ValueError) as error:
                raise DataError(
                    f"{self._name} cannot be read: {explain_os_error(error)}"
                ) from error
            self._held = block, snapshots
        return self._held[1]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _open(path: Path, *, own: bool) -> BinaryIO:
    """Opens a file for reading, and does not wait if it is something else. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no file")
        if own:
            check_unaltered(path, status)
    except ExposedFileError as error:
        os.close(descriptor)
        raise OSError(f"it {error.why}") from None
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_part(path: Path | None, after: float, max_bytes: int = MAX_PART_BYTES) -> RecordingPart:
    """The blocks of a recording that end after a time, the first of them.

    Args:
        path: see `recording_file`; where there is no file, there are no blocks.
        after: Unix time in seconds.
        max_bytes: how much, `MAX_PART_BYTES` at most; a single block may have more.

    Raises:
        DataError: the file cannot be read.
    """
    most = min(max_bytes, MAX_PART_BYTES)
    parts: list[bytes] = []
    # An integer may be larger than any float, and would not fit an answer.
    until, size, more = float(min(after, sys.float_info.max)), 0, False
    if path is None or not os.path.lexists(path):
        return RecordingPart(blocks=b"", until=until, more=False)
    try:
        with _open(path, own=True) as file:
            blocks = [block for block in find_blocks(file) if block.end > after]
            for block in sorted(blocks, key=lambda block: block.end):
                if parts and size + block.size > most:
                    more = True
                    break
                file.seek(block.offset)
                parts.append(file.read(block.size))
                size += block.size
                until = block.end
    except OSError as error:
        raise DataError(
            f"the recording {path} cannot be read: {explain_os_error(error)}"
        ) from error
    return RecordingPart(blocks=b"".join(parts), until=until, more=more)
