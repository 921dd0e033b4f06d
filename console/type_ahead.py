"""Type-ahead: what is typed in one burst goes, key by key, to whoever has the focus by then.

Textual hands each key to what has the focus at that moment, and finds out only later, when the key
has come back to the application, what it is bound to. Of keys that arrive at once, those after the
one that opens a line would be commands still. Here a key waits until the one before it is done.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.message import Message

Typed = events.Key | events.Paste


class Passed(Message):
    """Follows a key on its way from what had the focus up to the application: when it arrives, the
    key has arrived before it, or was stopped.
    """

    def __init__(self, typed: Typed) -> None:
        super().__init__()
        self.typed = typed


class TypeAheadApp(App[int]):
    """An application that takes one key after the other; see the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: deque[Typed | events.MouseEvent] = deque()
        self._under_way: Typed | None = None
        self._goes_to: DOMNode = self

    async def on_event(self, event: events.Event) -> None:
        """Sends what comes from the terminal on its way, or has it wait. A click waits for the
        keys before it, as it may move the focus.
        """
        if not isinstance(event, Typed | events.MouseEvent):
            await super().on_event(event)
        elif event.is_forwarded:
            await super().on_event(event)
            self.call_later(self._done, event)
        elif self._under_way is not None and self._goes_to.is_running:
            self._waiting.append(event)
        else:
            # What went away with a key in its hands says no more that it is done.
            self._waiting.clear()
            await self._send(event)

    async def _send(self, event: Typed | events.MouseEvent) -> None:
        self._under_way = None
        if isinstance(event, Typed):
            self._under_way, self._goes_to = event, self.focused or self.screen
        await super().on_event(event)
        if isinstance(event, Typed) and event.is_forwarded:
            self._goes_to.post_message(Passed(event))
        elif isinstance(event, Typed):
            self.call_later(self._done, event)

    def on_passed(self, message: Passed) -> None:
        """A key is done, whoever took it."""
        # Whoever shall have the focus then has it once the application has handled what the key
        # sent it.
        self.call_later(self._done, message.typed)

    async def _done(self, event: events.Event) -> None:
        if event is not self._under_way:
            return
        self._under_way = None
        while self._waiting and self._under_way is None:
            await self._send(self._waiting.popleft())
