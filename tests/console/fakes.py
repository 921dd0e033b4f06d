"""A cluster that is none: every answer prepared, every request written down.

It stands where a real `nodes.cluster.Cluster` would, so that all of the console from the driver
upward is under test, with times and figures that are the same in every run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from textual.pilot import Pilot
from textual.widgets import Static

from console.app import RollcallApp
from console.config import Config
from console.messages import SnapshotTaken
from console.opening import OpenCluster
from console.recorded_file import RecordedFile
from console.screens.confirm import ConfirmScreen
from console.settings import Settings
from console.text import UNICODE, Glyphs
from console.widgets.worker_table import WorkerTable
from nodes.errors import RollcallError, UnknownWorker
from nodes.master.recording import MAX_PART_BYTES, read_part
from nodes.support.actor import by_actor
from nodes.wire import (
    PAGE_RECORDS,
    ClusterSnapshot,
    Description,
    Envelope,
    Event,
    LogPart,
    LookupShape,
    MachineView,
    RecordingPart,
    Reloaded,
    Second,
    WorkerView,
)
from tests.kit import PATIENCE

NOON = 1_767_182_400.0
"""The moment of every prepared snapshot: 31 December 2025, 12:00:00 UTC."""

SHAPES = (
    LookupShape("getbyname", ("name",), ("text",)),
    LookupShape("getbylocation", ("location",), ("text",)),
    LookupShape("getbyyear", ("location", "year"), ("text", "integer")),
)


def worker_view(number: int = 1, **changes: Any) -> WorkerView:
    """A worker that is up; `changes` are fields of its view. Its rate is its mean, unless told."""
    changes.setdefault("mean_lookups_per_s", changes.get("lookups_per_s", 0.0))
    view = WorkerView(
        id=f"w{number}",
        generation=number,
        address=f"127.0.0.1:{23100 + number}",
        pid=4000 + number,
        state="up",
        why="",
        state_since=NOON - 60,
        served=100 * number,
        in_flight=0,
        attempts=100 * number,
        hedged_away=0,
        rerouted_away=0,
        errors=0,
        slow=False,
        lookups_per_s=0.0,
        mean_lookups_per_s=0.0,
        errors_per_s=0.0,
        p50_ms=None,
        p99_ms=None,
        cpu_percent=1.0,
        memory_bytes=30 * 2**20,
        catalog="5f2c91d0a3b4",
        uptime_s=60.0,
        restarts=0,
        local=True,
        frozen=False,
        breaker_open=False,
    )
    return msgspec.structs.replace(view, **changes)


def cluster_snapshot(workers: Sequence[WorkerView] = (), **changes: Any) -> ClusterSnapshot:
    """A snapshot of these workers; `changes` are fields of it."""
    snapshot = ClusterSnapshot(
        taken_at=NOON,
        address="127.0.0.1:23000",
        balance="load",
        uptime_s=75.0,
        dataset="people",
        catalogs=("5f2c91d0a3b4",),
        records=300,
        wanted_workers=len(workers),
        lookups_per_s=sum(worker.lookups_per_s for worker in workers),
        mean_lookups_per_s=sum(worker.mean_lookups_per_s for worker in workers),
        errors_per_s=0.0,
        p50_ms=None,
        p99_ms=None,
        latencies=(),
        answered=sum(worker.served for worker in workers),
        errors=0,
        errors_by_code={},
        reroutes=0,
        hedges=0,
        refused_logins=0,
        hedges_left=10.0,
        retries_left=256.0,
        hedge_after_ms=50.0,
        panic=False,
        activity="",
        lag_ms=0.0,
        patience=1.0,
        in_flight=sum(worker.in_flight for worker in workers),
        waiting=0,
        last_event=0,
        workers=tuple(workers),
        lookups=(),
        slow=(),
        tls_expires_at=None,
    )
    changes.setdefault("uptime_s", 75.0 + changes.get("taken_at", NOON) - NOON)
    return msgspec.structs.replace(snapshot, **changes)


def machine_view(name: str = "m1", **changes: Any) -> MachineView:
    """A machine that can be reached; `changes` are fields of its view."""
    view = MachineView(name=name, lost="", since=NOON - 60, room=4, workers=2)
    return msgspec.structs.replace(view, **changes)


def event(number: int, kind: str = "registered", worker: str = "w1", text: str = "") -> Event:
    """An event, a second after the one before it."""
    return Event(number=number, at=NOON - 60 + number, kind=kind, worker=worker, text=text)


def envelope(*records: dict[str, Any], **changes: Any) -> Envelope:
    """An answered lookup; `changes` are fields of its envelope."""
    page = Envelope(
        error=False,
        result=list(records),
        count=len(records),
        worker="w1",
        attempts=1,
        catalog="5f2c91d0a3b4",
        files=("data-am.json",),
        elapsed_ms=0.41,
    )
    return msgspec.structs.replace(page, **changes)


class FakeCluster:
    """A `nodes.cluster.Cluster` of prepared answers.

    Attributes:
        now: what `snapshot` gives; a test puts another there when it wants.
        then: makes the next `now` of it after each look, if it is not None.
        happened: all events.
        answer: what every lookup gets.
        values: what `suggest` gives those of that start with the prefix.
        text: every worker's log.
        refusal: raised by everything that is asked of it, except a look.
        poll_error: raised by a look, and when its recording is asked for.
        seconds: what the journal wrote down.
        requests: what was asked to be changed: ("kill", "w2").
        acts: the same, each with who had it done.
        killed: the ids that were to be killed, in order.
        recorded: the file of its recording; None for nothing recorded.
        read_from: the times after which parts of it were asked for.
        only_shown: whether nothing of it may be changed.
        polls: how often it was looked at.
        closed: how often it was closed.
    """

    def __init__(self, now: ClusterSnapshot, events: Sequence[Event] = ()) -> None:
        self.now = now
        self.then: Callable[[ClusterSnapshot], ClusterSnapshot] | None = None
        self.happened = list(events)
        self.answer = envelope()
        self.values: list[str] = []
        self.text = ""
        self.refusal: RollcallError | None = None
        self.poll_error: RollcallError | None = None
        self.requests: list[tuple[str, ...]] = []
        self.acts: list[str] = []
        self.killed: list[str] = []
        self.recorded: Path | None = None
        self.read_from: list[float] = []
        self.seconds: list[Second] = []
        self.only_shown = False
        self.polls = 0
        self.closed = 0

    @property
    def address(self) -> str:
        """The address of no master."""
        return self.now.address

    @property
    def read_only(self) -> bool:
        """Whether it is for a viewer."""
        return self.only_shown

    def snapshot(self) -> ClusterSnapshot:
        """What is prepared, with the number of the last event."""
        self.polls += 1
        if self.poll_error is not None:
            raise self.poll_error
        now = self.now
        if self.then is not None:
            self.now = self.then(now)
        last = self.happened[-1].number if self.happened else 0
        return msgspec.structs.replace(now, last_event=last)

    def events(self, after: int = 0) -> list[Event]:
        """Those with a higher number."""
        return [one for one in self.happened if one.number > after]

    def history(self, last_s: int = 300) -> list[Second]:
        """The prepared seconds."""
        return [one for one in self.seconds if one.at >= self.now.taken_at - last_s]

    def recording(self, from_time: float = 0.0, max_bytes: int = 0) -> RecordingPart:
        """The parts of the prepared file."""
        if self.poll_error is not None:
            raise self.poll_error
        self.read_from.append(from_time)
        return read_part(self.recorded, from_time, max_bytes or MAX_PART_BYTES)

    def _asked(self, verb: str, *args: object) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.requests.append((verb, *map(str, args)))
        self.acts.append(f"{verb} {by_actor()}")
        return " ".join((verb, *map(str, args)))

    def _steered(self, verb: str, worker_id: str) -> str:
        if worker_id not in {worker.id for worker in self.now.workers}:
            raise UnknownWorker(f"no live worker is {worker_id[:80]}")
        return self._asked(verb, worker_id)

    def spawn(self, count: int = 1, where: str = "") -> list[str]:
        """Writes it down."""
        self._asked("spawn", count, *([where] if where else []))
        return [f"new{number}" for number in range(count)]

    def kill(self, worker_id: str) -> str:
        """Writes it down, twice."""
        done = self._steered("kill", worker_id)
        self.killed.append(worker_id)
        return done

    def drain(self, worker_id: str) -> str:
        """Writes it down."""
        return self._steered("drain", worker_id)

    def restart(self, worker_id: str) -> str:
        """Writes it down."""
        return self._steered("restart", worker_id)

    def again(self, worker_id: str) -> str:
        """Writes it down."""
        return self._steered("again", worker_id)

    def clear(self) -> str:
        """Writes it down, and forgets those that are down."""
        left = tuple(worker for worker in self.now.workers if worker.state != "down")
        self.now = msgspec.structs.replace(self.now, workers=left)
        return self._asked("clear")

    def freeze(self, worker_id: str) -> str:
        """Writes it down."""
        return self._steered("freeze", worker_id)

    def thaw(self, worker_id: str) -> str:
        """Writes it down."""
        return self._steered("thaw", worker_id)

    def log(self, worker_id: str, after: int = -1) -> LogPart:
        """All of the text at first, then nothing more."""
        if self.refusal is not None:
            raise self.refusal
        return LogPart(len(self.text), self.text if after < 0 else "")

    def scale(self, count: int) -> str:
        """Writes it down."""
        return self._asked("scale", count)

    def reload(self) -> Reloaded:
        """Writes it down."""
        return Reloaded(self._asked("reload"), {})

    def page(
        self, name: str, *args: str | float, limit: int = PAGE_RECORDS, after: str | None = None
    ) -> Envelope:
        """The prepared answer."""
        self._asked("page", name, *args)
        return self.answer

    def describe(self) -> Description:
        """The lookups of the sample that ships."""
        if self.refusal is not None:
            raise self.refusal
        return Description(
            dataset=self.now.dataset,
            version="5f2c91d0a3b4",
            records=300,
            fields=("record_id", "name", "location", "year"),
            files=("data-am.json",),
            lookups=SHAPES,
        )

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """The prepared values that start so."""
        return [value for value in self.values if value.startswith(prefix)][:limit]

    def close(self) -> None:
        """Counts it."""
        self.closed += 1


class Shown:
    """A console over a fake cluster, and what a person would look for on it."""

    def __init__(self, app: RollcallApp, cluster: FakeCluster, pilot: Pilot[int]) -> None:
        self.app = app
        self.cluster = cluster
        self.pilot = pilot

    async def until(self, condition: Callable[[], Any], timeout: float = PATIENCE) -> None:
        """Waits until `condition()` is true, letting the screen go on."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s; on the screen:\n{self.text()}")
            await self.pilot.pause(0.01)

    async def press(self, *keys: str) -> None:
        """Presses keys."""
        await self.pilot.press(*keys)

    def post_snapshot(
        self, snapshot: ClusterSnapshot, events: Sequence[Event] = (), cluster: str = ""
    ) -> None:
        """Shows a snapshot at the next turn, as if the driver had just taken it."""
        read_only = self.cluster.only_shown
        message = SnapshotTaken(snapshot, list(events), read_only=read_only)
        message.cluster = cluster
        self.app.post_message(message)

    async def show_snapshot(self, snapshot: ClusterSnapshot, events: Sequence[Event] = ()) -> None:
        """Shows a snapshot, and waits until the screen has it."""
        self.post_snapshot(snapshot, events)
        await self.until(lambda: self.app.snapshot is snapshot)
        await self.pilot.pause()

    def text(self) -> str:
        """All that is on the screen, as text."""
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The lines of the screen, as they go to the terminal."""
        return [strip.text for strip in self.app.screen._compositor.render_strips()]

    def static_text(self, selector: str) -> str:
        """The content of a static part of the top screen."""
        return str(self.app.screen.query_one(selector, Static).content)

    @property
    def head(self) -> str:
        """The first line."""
        return self.lines()[0]

    @property
    def message(self) -> str:
        """What the line at the bottom says."""
        return self.app.main.message.text

    @property
    def table(self) -> WorkerTable:
        """The worker table."""
        return self.app.main.table

    @property
    def open_question(self) -> str:
        """The question of the confirmation that is open, "" for none."""
        screen = self.app.screen
        return screen.question if isinstance(screen, ConfirmScreen) else ""


def _opening(cluster: FakeCluster) -> OpenCluster:
    return lambda _progress: cluster


@asynccontextmanager
async def shown(
    cluster: FakeCluster,
    *,
    size: tuple[int, int] = (120, 36),
    poll_interval_s: float = 3600.0,
    glyphs: Glyphs = UNICODE,
    settings: Settings | None = None,
    config: Config | None = None,
    attached: bool = False,
    read_only: bool = False,
    recorded: RecordedFile | None = None,
    several: Mapping[str, FakeCluster] | None = None,
) -> AsyncIterator[Shown]:
    """A console over `cluster`, or over `several` by their names, that looks once, unless it is
    told to look more often.
    """
    clusters = several or {"": cluster}
    app = RollcallApp(
        clusters={name: _opening(one) for name, one in clusters.items()},
        settings=settings or Settings(),
        glyphs=glyphs,
        attached=attached,
        read_only=read_only,
        config=config,
        poll_interval_s=poll_interval_s,
        recorded=recorded,
    )
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            console = Shown(app, cluster, pilot)
            seen = [name for name, one in clusters.items() if one.poll_error is None]
            if seen and recorded is None:
                await console.until(lambda: all(app.clusters[one].snapshot for one in seen))
                await console.until(lambda: app.main.is_mounted)
                await pilot.pause()
            yield console
    finally:
        await asyncio.to_thread(app.clusters.stop)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a test that waits."""
    asyncio.run(test())
