"""What happened, in the past tense: all that crosses from the driver's threads to the screen."""

from __future__ import annotations

from textual.message import Message

from console.command import ClusterCommand
from console.replay import Frame
from nodes.wire import ClusterSnapshot, Envelope, Event, Second


class OfCluster(Message):
    """Something happened to one of the clusters on the screen, or in it.

    Attributes:
        cluster: its name; "" where there is one cluster.
    """

    cluster = ""


class SnapshotTaken(OfCluster):
    """A snapshot of the cluster came; `read_only` tells whether it may only be seen."""

    def __init__(
        self, snapshot: ClusterSnapshot, events: list[Event], *, read_only: bool = False
    ) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.events = events
        self.read_only = read_only


class ClusterLost(OfCluster):
    """The cluster cannot be seen; `since` is Unix time."""

    def __init__(self, why: str, since: float) -> None:
        super().__init__()
        self.why = why
        self.since = since


class BuildProgressed(OfCluster):
    """The catalog is being built: `done` of `total` in this stage."""

    def __init__(self, stage: str, done: int, total: int) -> None:
        super().__init__()
        self.stage = stage
        self.done = done
        self.total = total

    def can_replace(self, message: Message) -> bool:
        """Only the newest matters."""
        return isinstance(message, BuildProgressed)


class StartFailed(OfCluster):
    """The cluster could not be started."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class LookupsProposed(OfCluster):
    """The records have no definition, and the usual lookups do not fit them: the cluster waits for
    whether that definition is to be written.

    Args:
        path: the file.
        definition: what would be in it.
    """

    def __init__(self, path: str, definition: str) -> None:
        super().__init__()
        self.path = path
        self.definition = definition


class CommandDone(OfCluster):
    """A command was carried out, on one worker or on several: what became of each, in words.

    `failed` tells whether something was refused, or nobody answered. Of an order that went to
    several clusters, each tells by itself: with the same number.
    """

    def __init__(
        self, command: ClusterCommand, text: str, *, failed: bool = False, order: int = 0
    ) -> None:
        super().__init__()
        self.command = command
        self.text = text
        self.failed = failed
        self.order = order


class HistoryRead(OfCluster):
    """What the journal has of the last minutes."""

    def __init__(self, seconds: list[Second]) -> None:
        super().__init__()
        self.seconds = seconds


class Replayed(OfCluster):
    """A move in recorded time came to a moment; `frame` is None if it came to none. `note` is what
    is to be said of it, and `journey` the number of the journey that it is of.
    """

    def __init__(
        self,
        journey: int,
        frame: Frame | None,
        note: str = "",
        *,
        failed: bool = False,
        past_end: bool = False,
    ) -> None:
        super().__init__()
        self.journey = journey
        self.frame = frame
        self.note = note
        self.failed = failed
        self.past_end = past_end
        """Whether it went to where nothing is recorded yet."""


class LookupAnswered(OfCluster):
    """A lookup came back: one page. `near` are names like the one that was not found."""

    def __init__(
        self, words: list[str], page: Envelope, round_trip_ms: float, near: list[str], *, more: bool
    ) -> None:
        super().__init__()
        self.words = words
        self.page = page
        self.round_trip_ms = round_trip_ms
        self.near = near
        self.more = more
        """Whether this continues the answer before it."""


class LookupRefused(OfCluster):
    """A lookup ended with an error. `meant` is the line that was meant, "" if nobody can tell."""

    def __init__(self, words: list[str], why: str, meant: str = "") -> None:
        super().__init__()
        self.words = words
        self.why = why
        self.meant = meant


class LogRead(OfCluster):
    """A part of a worker's log that ends at the place `end`, or why there is none."""

    def __init__(self, worker_id: str, end: int, text: str, why: str) -> None:
        super().__init__()
        self.worker_id = worker_id
        self.end = end
        self.text = text
        self.why = why


class TrafficReported(OfCluster):
    """The built-in load in its last second; `running` is False once it has ended."""

    def __init__(self, report: str, *, running: bool) -> None:
        super().__init__()
        self.report = report
        self.running = running


class Stopped(OfCluster):
    """The cluster is closed."""
