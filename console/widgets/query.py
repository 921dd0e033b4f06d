"""The query box: a line to ask with, what came of it, and the records."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from console.messages import LookupAnswered, LookupRefused
from console.query import quoted, split_words
from console.text import clean
from console.widgets.prompt import Complete, Prompt
from console.widgets.table import Column, LiveTable, Row
from nodes.support.units import counted, latency

MAX_COLUMN_CELLS = 40
"""Cells that a column of the results may take."""


class QueryPanel(Vertical):
    """Posts `Asked`; is shown what came of it by `show_answer` and `show_refusal`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "more", "Next page", show=False),
        Binding("y", "copy(False)", "Copy the record", show=False),
        Binding("Y", "copy(True)", "Copy all records", show=False),
        Binding("e", "export", "Export", show=False),
    ]

    class Asked(Message):
        """A lookup was typed; `after` asks for the page that follows."""

        def __init__(self, words: list[str], after: str | None = None) -> None:
            super().__init__()
            self.words = words
            self.after = after

    class ExportWanted(Message):
        """The records are to be written to a file that is still to be named."""

    def __init__(self, *, history: list[str], complete: Complete) -> None:
        super().__init__(id="query")
        self._history = history
        self._complete = complete
        self._words: list[str] = []
        self._after: str | None = None
        self.records: list[dict[str, Any]] = []

    def compose(self) -> ComposeResult:
        """The line, what is said of the answer, the records."""
        yield Prompt(
            history=self._history,
            complete=self._complete,
            name="ask",
            placeholder='getbyname xander   getbyyear "New York City" 2002',
        )
        yield Static("", id="answer", markup=False)
        yield LiveTable((), name="results")

    def on_mount(self) -> None:
        """Its name, on its border."""
        self.border_title = "Ask"

    @property
    def prompt(self) -> Prompt:
        """The line."""
        return self.query_one("#ask", Prompt)

    @property
    def results(self) -> LiveTable:
        """The records."""
        return self.query_one("#results", LiveTable)

    def on_input_submitted(self, event: Prompt.Submitted) -> None:
        """Asks what is typed."""
        event.stop()
        line = event.value.strip()
        if not line:
            return
        self.prompt.remember(line)
        try:
            words = split_words(line)
        except ValueError:
            self._say("a quote is not closed", bad=True)
            return
        if words:
            self._say("asking ...")
            self.post_message(self.Asked(words))

    def action_more(self) -> None:
        """Asks for the next page."""
        if self._after is None:
            self._say("there is no more")
        else:
            self.post_message(self.Asked(self._words, self._after))

    def action_copy(self, everything: bool) -> None:
        """Copies records to the terminal's clipboard, as JSON."""
        key = self.results.cursor
        chosen: object = self.records
        if not everything:
            if not key:
                self._say("select a record first")
                return
            chosen = self.records[int(key)]
        if self.records:
            self.app.copy_to_clipboard(msgspec.json.encode(chosen).decode())
            count = len(self.records) if everything else 1
            self._say(f"copied {counted(count, 'record')}")

    def action_export(self) -> None:
        """Asks for the name of a file."""
        if self.records:
            self.post_message(self.ExportWanted())

    def show_answer(self, answer: LookupAnswered) -> None:
        """Shows records, who answered, in how long, after how many attempts, from where."""
        page = answer.page
        self._words, self._after = answer.words, page.after
        fresh = [record for record in page.result if isinstance(record, dict)]
        self.records = [*self.records, *fresh] if answer.more else fresh
        self._show_records()
        if not self.records:
            near = ", ".join(quoted(clean(name, 60)) for name in answer.near)
            self._say(f"not found{f'; did you mean {near}?' if near else ''} ({_source(answer)})")
            return
        count = counted(len(self.records), "record")
        more = "; n: next page" if page.after is not None else ""
        self._say(f"{count}{more}  {_source(answer)}")

    def show_refusal(self, refusal: LookupRefused) -> None:
        """Shows why there is no answer."""
        self._say(refusal.why, bad=True)

    def _say(self, text: str, *, bad: bool = False) -> None:
        line = self.query_one("#answer", Static)
        line.update(clean(text))
        line.set_class(bad, "-bad")

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


def _source(answer: LookupAnswered) -> str:
    page = answer.page
    attempts = counted(page.attempts, "attempt")
    files = f" from {clean(', '.join(page.files), 80)}" if page.files else ""
    took = f"{latency(page.elapsed_ms)} ({latency(answer.round_trip_ms)} here)"
    return f"{page.worker}, {took}, {attempts}, catalog {page.catalog}{files}"
