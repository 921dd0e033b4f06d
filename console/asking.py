"""Lookups by hand: what is typed is asked, completed, and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console import messages
from console.command_text import complete
from console.plan import Part
from console.query import completions, meaning, quoted, split_words
from nodes.errors import RollcallError

if TYPE_CHECKING:
    from console.app import RollcallApp


class Asking:
    """What the application does for its query line.

    Args:
        app: whose it is.
    """

    def __init__(self, app: RollcallApp) -> None:
        self._app = app

    def ask(self, line: str) -> None:
        """Asks a lookup."""
        main = self._app.main
        if not line:
            return
        if why := self._app.replaying.refusal:
            self._app.say(why, bad=True)
            return
        main.prompt.remember(line)
        main.show_panel(Part.ANSWER)
        try:
            words = split_words(line)
        except ValueError:
            main.answers.show_refusal(messages.LookupRefused([], "a quote is not closed"))
            return
        if words:
            self._app.front.driver.look_up(words)

    def answered(self, answer: messages.LookupAnswered) -> None:
        """Shows an answer; of values that are like one that was not found, Tab takes the first."""
        self._app.main.answers.show_answer(answer)
        if answer.near:
            words = (answer.words[0], answer.near[0], *answer.words[2:])
            self._app.main.prompt.offer(" ".join(map(quoted, words)))

    def refused(self, refusal: messages.LookupRefused) -> None:
        """Shows why there is no answer; what was meant, Tab takes."""
        self._app.main.answers.show_refusal(refusal)
        if refusal.meant:
            self._app.main.prompt.offer(refusal.meant)

    def complete_query(self, line: str) -> list[str]:
        """See `console.widgets.prompt.Complete`."""
        driver = self._app.clusters.front.driver
        try:
            shapes = driver.describe().lookups
        except RollcallError:
            return []  # nobody to ask yet
        return completions(line, shapes, driver.values)

    def explain_query(self, line: str) -> str:
        """See `console.widgets.prompt.Explain`."""
        try:
            return meaning(line, self._app.clusters.front.driver.describe().lookups)
        except RollcallError:
            return ""

    def complete_command(self, line: str) -> list[str]:
        """The same, for the command line."""
        snapshot = self._app.clusters.front.snapshot
        machines = [one.name for one in snapshot.machines] if snapshot is not None else []
        return complete(line, self._app.clusters.worker_keys, machines)
