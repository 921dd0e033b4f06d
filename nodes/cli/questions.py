"""Questions from standard input: one in each line, as a shell or as JSON would have it."""

from __future__ import annotations

import contextlib
import queue
import re
import shlex
import threading
from collections.abc import Iterable, Iterator

import msgspec

_WORDS = re.compile(r"""(?:[^\s"'\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""")
_decode_array = msgspec.json.Decoder(list[str | int | float]).decode


class Question(msgspec.Struct, frozen=True):
    """A lookup to ask.

    Attributes:
        words: Its name and its arguments; none if the line cannot be read.
        line: The number of its line; 0 if it did not come from one.
    """

    words: list[str | int | float]
    line: int = 0


def parse_line(line: str) -> list[str | int | float]:
    """The words of a line, which is a JSON array, or written as a shell would: # starts a comment
    at the start of a word.

    Raises:
        ValueError: It is neither, or no UTF-8.
    """
    line.encode()  # bytes that are no UTF-8 came as lone surrogates
    if line.lstrip().startswith("["):
        words = _decode_array(line)
        if not words or not isinstance(words[0], str):
            raise ValueError(line)
        return words
    comment = next((found for found in _WORDS.finditer(line) if found.group()[0] == "#"), None)
    return [*shlex.split(line if comment is None else line[: comment.start()])]


def question_batches(lines: Iterable[str], most: int) -> Iterator[list[Question]]:
    """The questions of lines, as many at a time as have come, and `most`: nobody waits for a line
    that is yet to be written. Empty lines and comments are left out.
    """
    waiting: queue.Queue[Question | None] = queue.Queue(most)

    def read() -> None:
        try:
            for number, line in enumerate(lines, 1):
                try:
                    words = parse_line(line)
                except ValueError:
                    waiting.put(Question([], number))
                else:
                    if words:
                        waiting.put(Question(words, number))
        finally:
            waiting.put(None)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (question := waiting.get()) is not None:
        batch = [question]
        with contextlib.suppress(queue.Empty):
            while len(batch) < most and (question := waiting.get_nowait()) is not None:
                batch.append(question)
        yield batch
        if question is None:
            return
