"""How a worker ended, in words, and what it said last: from the lines of its log; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from console.lines import Field, Line, Run, Tone, fit
from console.text import clean
from nodes.fleet.logs import MARK, STARTED
from nodes.wire import WorkerView

MAX_SAID = 3
"""Lines that are shown of what it said last."""

MEANINGS = {
    "killed by an operator": "at once, with SIGKILL",
    "killed by SIGKILL": "by an operator, or for want of memory",
    "killed by SIGTERM": "told to end, before it could in order",
    "killed by SIGINT": "interrupted from a keyboard",
    "killed by SIGHUP": "its terminal was closed",
    "killed by SIGSEGV": "it crashed, in memory not its own",
    "killed by SIGBUS": "it crashed: a file was cut short, or memory failed",
    "killed by SIGABRT": "it gave up on an error by itself",
    "killed by SIGILL": "it crashed: not built for this processor",
    "killed by SIGFPE": "it crashed in a calculation",
    "exited with status 0": "it left in order",
}
"""What an ending means."""


class LastWords(NamedTuple):
    """The end of a run.

    Attributes:
        at: when, as its log has it; "" if it does not say.
        ended: how, as its supervisor saw it.
        said: the last lines of that run.
    """

    at: str
    ended: str
    said: Sequence[str]


def last_words(lines: Sequence[str], why: str = "") -> LastWords:
    """The end of the last run.

    Args:
        lines: of the log.
        why: why the worker is down, where its log does not say how it ended.
    """
    said: list[str] = []
    at, ended = "", why
    for line in lines:
        mark = MARK.fullmatch(line)
        if mark is None:
            said.append(line)
        elif mark[2] == STARTED:
            said, at, ended = [], "", why
        else:
            at, ended = mark[1], mark[2]
    return LastWords(at, ended, [line for line in said if line.strip()][-MAX_SAID:])


def meaning(ended: str) -> str:
    """What an ending means, "" if nobody can tell."""
    for what, words in MEANINGS.items():
        if what in ended:
            return words
    if re.search(r"exited with status \d", ended):
        return "by itself, on an error"
    return ""


def run_before(lines: Sequence[str], index: int) -> int | None:
    """The line at which the run before the one of that line starts; None if there is none."""
    starts = [
        number
        for number, line in enumerate(lines)
        if (mark := MARK.fullmatch(line)) and mark[2] == STARTED
    ]
    earlier = [number for number in starts if number <= index]
    return earlier[-2] if len(earlier) > 1 else None


def last_words_lines(
    worker: WorkerView, lines: Sequence[str], width: int, *, most: int = MAX_SAID
) -> list[Line]:
    """What the screen of a worker that is down says of its end.

    Args:
        worker: whose screen it is.
        lines: of its log.
        width: cells of a line.
        most: lines of what it said last.
    """
    end = last_words(lines, worker.why)
    if worker.why.startswith("killed by an operator"):
        end = end._replace(ended=worker.why)  # whose signal it was, its log cannot tell
    head = [
        Field(clean(end.ended, 300) or "nobody knows how", 10, Tone.STRONG, shrinks=True),
        Field(meaning(end.ended), 5),
        Field(f"at {end.at.partition(' ')[2]}" if end.at else "", 7, Tone.MUTED),
    ]
    said = end.said[-most:] or ["(it said nothing)"]
    return [fit(head, width), *((Run(f"   {clean(one, 300)}", Tone.MUTED),) for one in said)]
