"""Back in time: what the application does to show another time than now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from console.messages import Replayed
from console.replay import Frame, Move, Way
from console.replayer import Wish
from console.seen import Overview, Seen, alone
from console.text import clock
from nodes.errors import BadRequest
from nodes.support.moments import parse_moment

if TYPE_CHECKING:
    from console.app import RollcallApp
    from console.recorded_file import RecordedFile


class Replaying:
    """See the module.

    Args:
        app: whose it is.
        recorded: what is shown in the place of a cluster; None where there is one.

    Attributes:
        frame: the moment that is shown; None for now.
        recorded: see above.
    """

    def __init__(self, app: RollcallApp, recorded: RecordedFile | None) -> None:
        self.frame: Frame | None = None
        self.recorded = recorded
        self._app = app
        self._searching = False
        self._cluster = next(iter(app.clusters))
        """The one whose past is shown."""

    @property
    def refusal(self) -> str:
        """Why nothing can be asked or changed while another time is shown; "" for now."""
        if self.recorded is not None:
            return "this is a recording: nothing in it can be asked or changed"
        if self.frame is None:
            return ""
        return f"this is {clock(self.frame.snapshot.taken_at)}, not now; ESC returns to now"

    def overview(self, now: Overview | None) -> Overview | None:
        """What there is to be seen of another time, of one cluster alone; None if now is shown.

        Args:
            now: what there is to be seen of all clusters now; None for nothing.
        """
        if self.frame is None:
            return None
        snapshot, history, events = self.frame
        there = now.of(self._cluster.name) if now is not None else None
        return alone(
            Seen(
                snapshot,
                history,
                events,
                read_only=True,
                attached=self._app.attached,
                replay_at=snapshot.taken_at,
                now=there.verdict if there is not None else None,
                name=self._cluster.name,
            )
        )

    def open(self) -> None:
        """Shows the end of what is shown in the place of a cluster."""
        if self.recorded is not None:
            self._go(Move(Way.TO, self.recorded.end()))

    # -- moves --------------------------------------------------------------------

    def move(self, way: Way, to: str = "") -> None:
        """Goes to another time.

        Args:
            way: whereto.
            to: for `Way.TO`, the time as it was typed; "" for the end.
        """
        app = self._app
        if self.recorded is None and app.snapshot is None:
            app.say("the cluster is not there yet", bad=True)
            return
        if self.frame is None and self.recorded is None and way.ahead:
            back, bad = app.config.keys.typed("earlier"), app.config.keys.typed("previous")
            app.say(f"this is now: {back} goes back in time, {bad} to when something was wrong")
            return
        try:
            move = Move(way, self._moment(to)) if to else Move(way)
        except BadRequest as error:
            app.say(str(error), bad=True)
            return
        if way.searches:
            self._searching = True
            app.say("looking for a time at which something was wrong ...")
        self._go(move)

    def _go(self, move: Move) -> None:
        if self.frame is None and self._app.front is not self._cluster:
            self._cluster.replayer.journey += 1
            self._cluster = self._app.front
        recorded, cluster = self.recorded, self._cluster
        cluster.replayer.go(
            Wish(
                move,
                cluster.replayer.journey,
                tuple(cluster.events) if recorded is None else recorded.events,
                tuple(cluster.seen),
            )
        )

    def _moment(self, text: str) -> float:
        """A time that was typed: the last of that clock before the end of what there is."""
        if self.recorded is not None:
            end = self.recorded.end()
        else:
            end = self._app.snapshot.taken_at if self._app.snapshot is not None else 0.0
        try:
            return parse_moment(text, datetime.fromtimestamp(end))
        except ValueError:
            raise BadRequest(
                f"{text[:40]!r} is no time: as in :at 12:31:00, or :at 2026-01-31T12:31:00"
            ) from None

    def leave(self) -> None:
        """Shows now again."""
        if self.recorded is not None:
            self._app.say("this is a recording: it has no now", bad=True)
        else:
            self._cluster.replayer.journey += 1
            self._searching = False
            self._show(None)
            self._app.say("this is now")

    def replayed(self, message: Replayed) -> None:
        """A move was carried out, or was not."""
        cluster = self._cluster
        if (message.cluster, message.journey) != (cluster.name, cluster.replayer.journey):
            return  # it was left meanwhile
        searched, self._searching = self._searching, False
        if message.frame is not None:
            self._show(message.frame)
        if message.past_end and self.recorded is not None:
            self._app.say(f"the recording ends at {clock(self.recorded.end())}")
        elif message.past_end:
            self.leave()
        elif message.note or searched:
            self._app.say(message.note, bad=message.failed)

    def _show(self, frame: Frame | None) -> None:
        app = self._app
        if (frame is None) != (self.frame is None):
            for screen in app.screen_stack:
                screen.refresh_bindings()  # other keys act
        self.frame = frame
        app.show_seen()

    def stop(self) -> None:
        """Whatever is under way is given up."""
        for cluster in self._app.clusters:
            cluster.replayer.stop()
