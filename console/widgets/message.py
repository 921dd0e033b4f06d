"""The line at the bottom that says what became of what was done; and the line of keys."""

from __future__ import annotations

import time
from collections.abc import Iterable

from textual.binding import ActiveBinding, Binding
from textual.dom import NoScreen
from textual.widgets import Input

from console.commands import BY_NAME, TIME_COMMANDS
from console.keys import NO_KEY, key_sign
from console.lines import Field, Run, Tone, fit, line_width
from console.plan import Part
from console.text import Glyphs, clean
from console.widgets.drawn import Drawn

KEEP_S = 60.0
"""Seconds for which a message is shown."""


class MessageLine(Drawn):
    """Shows the newest message until it is old; a click, or `!`, shows all of a long one."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id=Part.MESSAGE)
        self._glyphs = glyphs
        self._text = ""
        self._bad = False
        self._at = ""
        self._until = 0.0

    @property
    def text(self) -> str:
        """The newest message, "" when there is none."""
        return self._text

    def say(self, text: str, *, bad: bool = False) -> None:
        """Shows a message."""
        self._text, self._bad = text, bad
        self._at = time.strftime("%H:%M:%S")
        self._until = time.monotonic() + KEEP_S
        self.arrange_lines()

    def expire(self) -> None:
        """Takes a message away that is old."""
        if self._text and time.monotonic() > self._until:
            self._text = ""
            self.arrange_lines()

    def arrange_lines(self) -> None:
        """Draws it in the room that there is."""
        if not self._text:
            self.draw([])
            return
        sign = self._glyphs.failed if self._bad else self._glyphs.done
        tone = Tone.BAD if self._bad else Tone.GOOD
        said = clean(self._text.replace("\n", " "), 1000)
        whole = len(said) + 14 <= self.size.width
        fields = [
            Field(sign, 10, tone),
            Field(said, 1, Tone.PLAIN, "app.message", shrinks=True),
            Field(self._at, 2, Tone.MUTED),
            Field("" if whole else "! shows all", 8, Tone.MUTED, "app.message", right=True),
        ]
        self.draw([fit(fields, self.size.width, gap=1)])


REPLAY_PRIORITY = 100
"""What the keys that move in time have before all others, while another time is shown."""


class KeyLine(Drawn):
    """The keys that do something where the focus is, and no others: from the bindings that are
    active. What does not fit is left out from the least important on.
    """

    def __init__(self) -> None:
        super().__init__(id=Part.KEYS)

    def on_mount(self) -> None:
        """Follows the focus."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.arrange_lines())

    def arrange_lines(self) -> None:
        """Draws it anew."""
        try:
            active = in_declared_order(self.screen.active_bindings.values())
        except NoScreen:
            return
        fields = []
        told: set[tuple[str, str]] = set()
        seen = getattr(self.screen, "seen", None)
        replaying = seen is not None and seen.replay_at is not None
        typing = isinstance(self.screen.focused, Input)
        for node, binding, enabled, _tooltip in active:
            typed = typing and len(key_sign(binding.key)) == 1
            same = (binding.action, binding.description)
            named = binding.show and binding.description and not binding.key.startswith(NO_KEY)
            acts = _acts(binding, replaying=replaying)
            if named and acts and not typed and same not in told:
                told.add(same)
                key = binding.key_display or key_sign(binding.key)
                tone = Tone.PLAIN if enabled else Tone.FAINT
                action = f"app.simulate_key('{binding.key}')"
                own = 100 if node is self.screen.focused and not binding.id else 0
                priority = _priority(binding, replaying=replaying) or own or 60
                fields.append((priority, key, binding.description, tone, action))
        self.draw([_key_line(fields, self.size.width)])


def in_declared_order(active: Iterable[ActiveBinding]) -> list[ActiveBinding]:
    """The bindings of commands in the order of the commands, wherever their keys were moved; all
    others where they are.
    """
    found = list(active)
    places = [index for index, one in enumerate(found) if one.binding.id in BY_NAME]
    names = list(BY_NAME)
    ordered = sorted(
        (found[place] for place in places), key=lambda o: names.index(str(o.binding.id))
    )
    for place, one in zip(places, ordered, strict=True):
        found[place] = one
    return found


def _priority(binding: Binding, *, replaying: bool) -> int:
    command = BY_NAME.get(binding.id or "")
    if command is None:
        return 0
    return command.footer + (REPLAY_PRIORITY if replaying and command in TIME_COMMANDS else 0)


def _acts(binding: Binding, *, replaying: bool) -> bool:
    command = BY_NAME.get(binding.id or "")
    return command is None or command.acts(replaying=replaying)


def _key_line(fields: list[tuple[int, str, str, Tone, str]], width: int) -> tuple[Run, ...]:
    """The line: keys strong, what they do beside them."""
    whole = [Field(f"{key} {what}", priority) for priority, key, what, _, _ in fields]
    fitted = {run.text for run in fit(whole, width)}
    runs: list[Run] = [Run(" ")]
    for (_, key, what, tone, action), field in zip(fields, whole, strict=True):
        if field.text in fitted:
            strong = Tone.STRONG if tone is Tone.PLAIN else tone
            shade = Tone.MUTED if tone is Tone.PLAIN else tone
            runs += (Run(key, strong, action), Run(f" {what}", shade, action), Run("  "))
    return (*runs, Run(" " * max(0, width - line_width(runs))))
