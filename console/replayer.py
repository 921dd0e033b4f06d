"""The thread that reads what was recorded: it carries out moves, in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from console.messages import OfCluster, Replayed
from console.recording_copy import RecordingCopy
from console.replay import Interrupted, Move, Replay
from nodes.errors import RollcallError
from nodes.master.recording_blocks import EncodedSnapshot
from nodes.support.supervision import Supervision, supervise
from nodes.wire import ClusterSnapshot, Event

if TYPE_CHECKING:
    from console.recorded_file import RecordedFile


class Wish(NamedTuple):
    """A move that is wanted, and what is known on the screen's side.

    Attributes:
        move: the move.
        journey: see `Replayer`.
        events: all that are known, oldest first.
        seen: the snapshots of late, oldest first.
    """

    move: Move
    journey: int
    events: Sequence[Event]
    seen: Sequence[EncodedSnapshot]


class Replayer:
    """Carries out moves on a thread of its own, in order; `Replayed` follows. Of several that
    wait, only the last is drawn.

    Args:
        source: of the snapshots; closed at the end.
        post: takes a message to the screen, from any thread, without waiting.

    Attributes:
        journey: the number of the one that is under way: each begins now. Another number ends it.
    """

    def __init__(
        self, source: RecordedFile | RecordingCopy, post: Callable[[OfCluster], bool]
    ) -> None:
        self._source = source
        self._post = post
        self._wishes: queue.SimpleQueue[Wish | None] = queue.SimpleQueue()
        self._replay = Replay(source, self._is_interrupted)
        self._of = 0
        self._trouble = ""
        self._undrawn: ClusterSnapshot | None = None
        self.journey = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def go(self, wish: Wish) -> None:
        """Has a move carried out, of the journey that is under way; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
            self._thread.start()
        self._wishes.put(wish)

    def stop(self) -> None:
        """Whatever is under way is given up."""
        self._stopping.set()
        self._wishes.put(None)

    def _run(self) -> None:
        try:
            supervise(self._carry_out_all, Supervision("the move", self._refuse), self._stopping)
        finally:
            self._source.close()

    def _carry_out_all(self) -> None:
        while (wish := self._wishes.get()) is not None:
            with suppress(Interrupted):
                self._post(self._carry_out(wish))

    def _refuse(self, why: str) -> None:
        self._post(Replayed(self._of, None, why, failed=True))

    def _is_interrupted(self) -> bool:
        return self.journey != self._of or not self._wishes.empty()

    def _carry_out(self, wish: Wish) -> OfCluster:
        replay = self._replay
        if wish.journey != self._of:
            self._of, replay.at, self._undrawn = wish.journey, None, None
        if isinstance(self._source, RecordingCopy):
            self._source.remember(wish.seen)
        try:
            moved = replay.move(wish.move)
            self._undrawn = moved.snapshot or self._undrawn
            if not self._wishes.empty():
                raise Interrupted
            frame = None if self._undrawn is None else replay.frame(self._undrawn, wish.events)
        except RollcallError as error:
            return Replayed(wish.journey, None, str(error), failed=True)
        self._undrawn = None
        note = self._with_trouble(moved.note)
        return Replayed(wish.journey, frame, note, past_end=moved.past_end)

    def _with_trouble(self, note: str) -> str:
        """What is to be said, and why some of it is missing: once, and beside all else."""
        told, self._trouble = self._trouble, self._source.trouble
        trouble = self._trouble if note or self._trouble != told else ""
        return "; ".join(part for part in (note, trouble) if part)
