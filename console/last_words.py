"""How a worker ended, in words, and what it said last: from the lines of its log; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from console.lines import Line, Run, Tone
from console.text import clean
from nodes.fleet.logs import MARK, STARTED
from nodes.wire import WorkerView

MAX_SAID = 3
"""Lines that are shown of what it said last."""

MEANINGS = {
    "killed by SIGKILL": "ended at once from outside: by an operator, or by the system when memory "
    "was short",
    "killed by SIGTERM": "told to end, before it could do so in order",
    "killed by SIGINT": "interrupted from a keyboard",
    "killed by SIGHUP": "its terminal was closed",
    "killed by SIGSEGV": "crashed: it touched memory that is not its own",
    "killed by SIGBUS": "crashed: a file that it had mapped was cut short, or memory failed",
    "killed by SIGABRT": "gave up by itself on an error that it could not go on with",
    "killed by SIGILL": "crashed: its code is not for this processor",
    "killed by SIGFPE": "crashed: a calculation that cannot be done",
    "exited with status 0": "left in order",
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
        return "ended by itself on an error: what it said last tells which"
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


def last_words_lines(worker: WorkerView, lines: Sequence[str]) -> list[Line]:
    """What the screen of a worker that is down says of its end; none for one that is not."""
    if worker.state != "down":
        return []
    end = last_words(lines, worker.why)
    words = meaning(end.ended)
    drawn: list[Line] = [
        (
            Run(f" {clean(end.ended, 300) or 'nobody knows how it ended'}", Tone.STRONG),
            Run(f"  {end.at}" if end.at else "", Tone.MUTED),
            Run(f"  {words}" if words else ""),
        )
    ]
    if not end.said:
        drawn.append((Run("   it said nothing", Tone.MUTED),))
    drawn += [(Run(f"   {clean(line, 300)}", Tone.MUTED),) for line in end.said]
    return drawn
