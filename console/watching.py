"""What the drivers learn of the clusters, and where it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.screen import Screen

from console import messages
from console.cluster_names import said_of
from console.clusters import Clusters
from console.config import Config
from console.refusals import ONLY_SHOWN
from console.screens.confirm import ConfirmScreen, MessageScreen
from console.screens.main import MainScreen
from console.screens.worker import WorkerScreen
from console.seen import Overview
from console.text import Glyphs, clean, middle_cut
from console.type_ahead import TypeAheadApp
from console.watched import WatchedCluster
from nodes.wire import ClusterSnapshot

if TYPE_CHECKING:
    from console.actions import Actions
    from console.replaying import Replaying
    from console.steering import Steering


MAX_PATH_CELLS = 48
"""Cells of a path in a question."""

MAX_PROPOSED_SHOWN = 12
"""Lookups that are named when they are proposed."""


class WatchingApp(TypeAheadApp):
    """The part of the application that watches; see `console.app.RollcallApp`."""

    clusters: Clusters
    main: MainScreen
    config: Config
    attached: bool
    glyphs: Glyphs
    told_read_only: bool
    actions: Actions
    steering: Steering
    replaying: Replaying

    @property
    def read_only(self) -> bool:
        """Whether this console may change nothing: it was told so, or no token lets it."""
        return self.told_read_only or self.clusters.read_only

    # -- what is seen -------------------------------------------------------------

    @property
    def front(self) -> WatchedCluster:
        """The cluster in front: that of the worker's screen, or of the row under the cursor."""
        top = self._top()
        return self.clusters.follow(
            top.key if isinstance(top, WorkerScreen) else self.main.table.cursor
        )

    @property
    def snapshot(self) -> ClusterSnapshot | None:
        """The newest of the cluster in front; None before the first."""
        return self.front.snapshot

    def on_snapshot_taken(self, message: messages.SnapshotTaken) -> None:
        """A snapshot of a cluster came."""
        cluster = self.clusters[message.cluster]
        if message.read_only and not (cluster.read_only or self.read_only):
            self.say(f"read-only: {said_of(cluster.name, ONLY_SHOWN)}")
        cluster.read_only = message.read_only
        bad_news = cluster.take(message.snapshot, message.events)
        if bad_news:
            now = "now: " if self.replaying.frame is not None else ""
            self.say(f"{now}{bad_news}", bad=True)
        self.show_seen()

    def on_history_read(self, message: messages.HistoryRead) -> None:
        """What the journal has of the time before."""
        self.clusters[message.cluster].seed(message.seconds)
        self.show_seen()

    def on_replayed(self, message: messages.Replayed) -> None:
        """Another time was read, or was not."""
        self.replaying.replayed(message)

    def on_cluster_lost(self, message: messages.ClusterLost) -> None:
        """A cluster cannot be seen."""
        self.clusters[message.cluster].lose(message.why)
        self._show_start()
        self.show_seen()

    def _show_start(self) -> None:
        """Says what is awaited, as long as nothing is seen."""
        if self.main.is_mounted:
            start = "connecting to the cluster" if self.attached else "starting the cluster"
            self.main.head.show_start(self.clusters.not_reached or start)

    def _look_at_age(self) -> None:
        seen = self.seen
        if seen is not None and (seen.old or seen.replay_at is not None):
            self.show_seen()

    @property
    def seen(self) -> Overview | None:
        """What there is to be seen: of now, or of another time."""
        now = self.clusters.overview(
            self.front,
            read_only=self.read_only,
            attached=self.attached,
            keys=self.config.keys,
        )
        return self.replaying.overview(now) or now

    def show_seen(self) -> None:
        """Draws what is seen, on every screen that shows some of it."""
        seen = self.seen
        if seen is None or not self.main.is_mounted:
            return
        self.main.seen = seen
        self.main.workers_head.refuse(self.steering.refusal, read_only=self.read_only)
        top = self._top()
        if isinstance(top, WorkerScreen):
            top.seen = seen

    def on_build_progressed(self, message: messages.BuildProgressed) -> None:
        """The catalog is being built."""
        share = message.done / message.total if message.total else 0.0
        if self.main.is_mounted:
            self.main.head.show_start(f"building the catalog: {message.stage} {share:.0%}")

    def on_start_failed(self, message: messages.StartFailed) -> None:
        """There is no such cluster, and there will be none: without any, the console ends."""
        cluster = self.clusters[message.cluster]
        cluster.failed = True
        cluster.lose(message.why)
        if not all(one.failed for one in self.clusters):
            self.show_seen()
            return
        done = "reached" if self.attached else "started"
        self.main.head.show_start(f"the cluster could not be {done}", failed=True)
        self.push_screen(
            MessageScreen(f"The cluster could not be {done}", message.why),
            lambda _none: self.exit(2, return_code=2, message=clean(message.why)),
        )

    def on_lookups_proposed(self, message: messages.LookupsProposed) -> None:
        """The records have no definition: the operator may have one written."""
        lookups = message.definition.partition("[lookups]\n")[2].strip().split("\n")
        driver = self.clusters[message.cluster].driver
        self.push_screen(
            ConfirmScreen(
                f"Write {middle_cut(message.path, MAX_PATH_CELLS, self.glyphs)}?",
                f"There is none, and the usual lookups do not fit. It would have {len(lookups)}: "
                + ", ".join(lookups[:MAX_PROPOSED_SHOWN])
                + (", and more" if len(lookups) > MAX_PROPOSED_SHOWN else "")
                + ". Change it as you like.",
            ),
            lambda write: driver.answer(write=bool(write)),
        )

    def on_traffic_reported(self, message: messages.TrafficReported) -> None:
        """The built-in load said how it goes."""
        report = f"traffic {message.report}" if message.running else ""
        self.clusters[message.cluster].traffic_report = report
        self.show_seen()

    def on_log_read(self, message: messages.LogRead) -> None:
        """A part of a log came."""
        top = self._top()
        if isinstance(top, WorkerScreen):
            top.show_log(message)

    def on_stopped(self, message: messages.Stopped) -> None:
        """A cluster is closed."""
        self.clusters[message.cluster].stopped = True
        if self.actions.quitting and all(one.stopped for one in self.clusters):
            self.exit(0)

    def _top(self) -> Screen[object] | None:
        """The screen in front; None while the application goes down, and still hears things."""
        return self.screen_stack[-1] if self.screen_stack else None

    # -- what is said -------------------------------------------------------------

    def say(self, text: str, *, bad: bool = False) -> None:
        """Says what became of something, on the line at the bottom."""
        self.main.message.say(text, bad=bad)
        top = self._top()
        if isinstance(top, WorkerScreen):
            top.message.say(text, bad=bad)

    def notify(self, message: str, *_args: object, severity: str = "", **_kw: object) -> None:
        """What Textual itself has to say is said there as well: nothing floats."""
        self.say(message, bad=severity in ("warning", "error"))

    def action_message(self) -> None:
        """Shows all of the newest message, or why there is nothing to be seen."""
        text = self.main.message.text or ("" if self.seen else self.clusters.not_reached)
        if text:
            self.push_screen(MessageScreen("Message", text))

    def on_command_done(self, message: messages.CommandDone) -> None:
        """A command was carried out, or was not."""
        text, failed = self.steering.outcome(message)
        self.say(text, bad=failed)
