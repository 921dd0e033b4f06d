"""The answer to a lookup: what is said of it, and its records."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from console.cluster_names import worker_key
from console.keys import Keys
from console.lines import Field, Tone, fit
from console.messages import LookupAnswered, LookupRefused
from console.plan import Part
from console.query import quoted
from console.text import Glyphs, clean
from console.widgets.drawn import Drawn
from console.widgets.rows import Column, Row
from console.widgets.table import LiveTable
from nodes.support.units import counted, latency

MAX_COLUMN_CELLS = 40
"""Cells that a column of the records may take."""


class AnswerLine(Drawn):
    """One line of fields."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(id="answer-line")
        self._fields = [Field(f"Nothing asked yet: {keys.lookups_come}", 1, Tone.MUTED)]

    def say(self, fields: list[Field]) -> None:
        """Says something else."""
        self._fields = fields
        self.arrange_lines()

    def arrange_lines(self) -> None:
        """Draws what fits."""
        self.draw([fit(self._fields, self.size.width)])

    @property
    def text(self) -> str:
        """All that it says, whether it fits or not."""
        return "  ".join(field.text for field in self._fields if field.text)


class AnswerPanel(Vertical):
    """Is shown what came of a lookup by `show_answer` and `show_refusal`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "more", "next page"),
        Binding("y", "copy(False)", "copy"),
        Binding("Y", "copy(True)", "copy all"),
        Binding("e", "export", "export"),
    ]

    class MoreWanted(Message):
        """The page after this one is wanted."""

        def __init__(self, cluster: str, words: list[str], after: str) -> None:
            super().__init__()
            self.cluster = cluster
            self.words = words
            self.after = after

    class ExportWanted(Message):
        """The records are to be written to a file that is still to be named."""

    class Clicked(Message):
        """It was clicked where there is no record."""

    def __init__(self, glyphs: Glyphs, keys: Keys) -> None:
        super().__init__(id=Part.ANSWER)
        self._line = AnswerLine(keys)
        self.results = LiveTable((), name="results", glyphs=glyphs)
        self._cluster = ""
        self._words: list[str] = []
        self._after: str | None = None
        self.records: list[dict[str, Any]] = []

    def compose(self) -> ComposeResult:
        """What is said of the answer, the records."""
        yield self._line
        yield self.results

    @property
    def text(self) -> str:
        """What is said of the answer."""
        return self._line.text

    @property
    def sorted_records(self) -> list[dict[str, Any]]:
        """The records in the order in which they are shown, without those filtered out."""
        return [self.records[int(row.key)] for row in self.results.rows]

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to do with no records, and no page after the last."""
        if action in ("copy", "export"):
            return bool(self.records)
        return self._after is not None if action == "more" else True

    def on_click(self, event: events.Click) -> None:
        """A click beside the records is a wish to ask."""
        if event.widget is not self.results or not self.records:
            self.post_message(self.Clicked())

    def action_more(self) -> None:
        """Asks for the next page."""
        if self._after is not None:
            self.post_message(self.MoreWanted(self._cluster, self._words, self._after))

    def action_copy(self, everything: bool) -> None:
        """Copies the record under the cursor, or all of them, as JSON."""
        if not self.records:
            return
        records = self.sorted_records
        chosen: object = records if everything else self.records[int(self.results.cursor or 0)]
        self.app.copy_to_clipboard(msgspec.json.encode(chosen).decode())
        self._say(Field(f"copied {counted(len(records) if everything else 1, 'record')}", 1))

    def action_export(self) -> None:
        """Asks for the name of a file."""
        if self.records:
            self.post_message(self.ExportWanted())

    def show_answer(self, answer: LookupAnswered) -> None:
        """Shows records, who answered, in how long, after how many attempts, from where."""
        page = answer.page
        self._cluster = answer.cluster
        self._words, self._after = answer.words, page.after
        fresh = [record for record in page.result if isinstance(record, dict)]
        self.records = [*self.records, *fresh] if answer.more else fresh
        self._show_records()
        if self.records:
            more = ", n: next page" if page.after is not None else ", all shown"
            said = f"{counted(len(self.records), 'record')}{more}"
            self._say(Field(said, 9, Tone.STRONG), *_source(answer))
        else:
            near = ", ".join(quoted(clean(name, 60)) for name in answer.near)
            meant = f"did you mean {near}? (TAB takes the first)" if near else ""
            self._say(Field("not found", 9, Tone.STRONG), Field(meant, 8), *_source(answer))
        self.refresh_bindings()

    def show_refusal(self, refusal: LookupRefused) -> None:
        """Shows why there is no answer, and what was meant; no older records stay below it."""
        self.records, self._after = [], None
        self._show_records()
        offered = f"did you mean {refusal.meant}? (TAB takes it)" if refusal.meant else ""
        why = Field(clean(refusal.why, 300), 9, Tone.BAD, shrinks=True)
        self._say(
            Field(refusal.cluster, 8, Tone.STRONG),
            why,
            Field(clean(offered, 200), 10 if offered else 0),
        )
        self.refresh_bindings()

    def _say(self, *fields: Field) -> None:
        self._line.say(list(fields))

    def _show_records(self) -> None:
        fields = list(dict.fromkeys(field for record in self.records for field in record))
        rows = [_row(index, record, fields) for index, record in enumerate(self.records)]
        columns = []
        for index, field in enumerate(fields):
            title = clean(field, 60)
            longest = max((cell_len(row.cells[index]) for row in rows), default=0)
            width = min(MAX_COLUMN_CELLS, max(longest, cell_len(title) + 1, 3))
            right = all(isinstance(r.get(field), int | float | None) for r in self.records)
            columns.append(Column(title, width, right=right))
        self.results.set_columns(columns)
        self.results.set_rows(rows)


def _row(index: int, record: dict[str, Any], fields: list[str]) -> Row:
    values = [record.get(field) for field in fields]
    return Row(
        key=str(index),
        cells=tuple(_cell(value) for value in values),
        order=tuple(v if isinstance(v, str | int | float) else None for v in values),
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    return clean(value if isinstance(value, str) else msgspec.json.encode(value).decode(), 400)


def _source(answer: LookupAnswered) -> list[Field]:
    page = answer.page
    return [
        Field(clean(worker_key(answer.cluster, page.worker), 60), 7),
        Field(latency(page.elapsed_ms), 6),
        Field(f"({latency(answer.round_trip_ms)} here)", 3, Tone.MUTED),
        Field(counted(page.attempts, "attempt"), 5 if page.attempts > 1 else 4),
        Field(f"catalog {clean(page.catalog, 40)}", 2, Tone.MUTED),
        Field(f"from {clean(', '.join(page.files), 80)}" if page.files else "", 1, Tone.MUTED),
    ]
