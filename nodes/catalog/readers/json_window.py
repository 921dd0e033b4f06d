"""A window on a JSON file: a stretch of its text that moves on, so that no file is in memory."""

from __future__ import annotations

import json
import re
from itertools import accumulate

from nodes.catalog.readers.json_values import DECODER, skip_blanks, syntax_reason
from nodes.catalog.readers.records import MAX_RECORD_BYTES, READ_BLOCK_BYTES
from nodes.catalog.readers.source import ByteStream, Source
from nodes.errors import DataError

_BLANKS = re.compile(rb"[ \t\r\n]*")
_OUTSIDE_TEXT = re.compile(rb'["\[\]{},]')
_REST_OF_TEXT = re.compile(rb'(?:\\.|[^"\\])*+"', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: 1 and -1
_NO_BRACKETS = bytes(set(range(256)).difference(b"[{]}"))
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))
LOOK_AHEAD_BYTES = 1024
"""What is looked at to see what comes next: a few characters, with blanks between them."""
CUT_CHARS = 12
"""A fault so near to what is read so far may be none: an escape or a name may be cut there."""


class TooLargeError(Exception):
    """The value at the cursor is over the limit of a record; it is not read."""


class JsonWindow:
    """The part of a JSON file from a cursor on, as far as it is read."""

    def __init__(
        self, source: Source, stream: ByteStream, *, block_bytes: int = READ_BLOCK_BYTES
    ) -> None:
        self._source = source
        self._block_bytes = block_bytes
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._passed = 0  # bytes of the file before the buffer
        self._ended = False
        self._text = ""  # the buffer from the cursor on, decoded, and the cursor in it
        self._text_at = -1

    # -- what comes next -------------------------------------------------------------------------

    def fill(self, size: int = 0) -> bool:
        """Read on until so many bytes are there (a block, if not said); False if the file ends
        before that.
        """
        size = size or self._block_bytes
        while not self._ended and len(self._buffer) - self._at < size:
            missing = size - (len(self._buffer) - self._at)
            block = self._stream.read(max(missing, self._block_bytes))
            self._ended = not block
            self._passed += self._at
            self._buffer = self._buffer[self._at :] + block
            self._at, self._text_at = 0, -1
        return len(self._buffer) - self._at >= size

    def peek(self) -> bytes:
        """The next byte that is no blank; none at the end of the file."""
        while True:
            found = _BLANKS.match(self._buffer, self._at)
            assert found is not None  # noqa: S101 - it matches nothing as well
            self._move(found.end())
            if self._at < len(self._buffer) or not self.fill(1):
                return self._buffer[self._at : self._at + 1]

    def first_line(self) -> bytes:
        """What is left of the line at the cursor, if it ends within the limit of a record and
        something follows it; else nothing.
        """
        size = self._block_bytes
        while True:
            whole = not self.fill(size)
            end = self._buffer.find(b"\n", self._at)
            if end >= 0:
                return self._buffer[self._at : end] if self._buffer[end:].strip() else b""
            if whole or size >= MAX_RECORD_BYTES:
                return b""
            size *= 2

    def starts_with(self, pattern: re.Pattern[bytes]) -> bytes:
        """What matches the pattern at the cursor; it stays there."""
        self.fill(max(self._block_bytes, LOOK_AHEAD_BYTES))
        found = pattern.match(self._buffer, self._at)
        return b"" if found is None else found.group()

    def before_last(self, separator: bytes) -> bytes:
        """What is read so far, up to the first byte of the last such separator."""
        self.fill()
        end = self._buffer.rfind(separator, self._at)
        return self._buffer[self._at : end + 1] if end >= 0 else b""

    # -- moving on -------------------------------------------------------------------------------

    def take(self, size: int) -> None:
        """Move on by so many bytes, which are there."""
        self._at += size
        self._text_at = -1

    def expect(self, characters: bytes, wanted: str) -> bytes:
        """The next byte that is no blank, if it is one of these; it is taken.

        Raises:
            DataError: it is another.
        """
        found = self.peek()
        if not found or found not in characters:
            raise self._broken(0, wanted if found else "it ends too early")
        self._move(self._at + 1)
        return found

    def value(self) -> tuple[object, str]:
        """The value at the cursor, and its text; both are taken.

        Raises:
            DataError: It is no JSON.
            TooLargeError, RecursionError: It is too large or nested too deeply; it is still there.
        """
        while True:
            if self._text_at < 0:
                # A character that the end of the buffer cuts is decoded again when more is there.
                self._text = self._buffer[self._at :].decode("utf-8", "surrogateescape")
                self._text_at = 0
            try:
                value, end = DECODER.raw_decode(self._text, self._text_at)
            except json.JSONDecodeError as error:
                cut = skip_blanks(self._text, error.pos) >= len(self._text) - CUT_CHARS
                if self._ended or not (cut or error.msg.startswith("Unterminated")):
                    before = self._text[self._text_at : error.pos]
                    raise self._broken(_size(before), syntax_reason(error)) from None
            else:
                text = self._text[self._text_at : end]
                if len(text) > MAX_RECORD_BYTES:
                    raise TooLargeError
                # A number may be cut after its point or its e, and looks whole before that.
                if end + CUT_CHARS <= len(self._text) or self._ended:
                    self._at += _size(text)
                    self._text_at = end
                    return value, text
            if len(self._buffer) - self._at > MAX_RECORD_BYTES:
                raise TooLargeError
            self.fill(max(self._block_bytes, 2 * (len(self._buffer) - self._at)))

    def skip_value(self) -> None:
        """Take the value at the cursor, whatever its size, unread.

        Raises:
            DataError: the file ends before it does.
        """
        depth, inside = 0, False
        while stretch := self._stretch():
            after, quotes = _depth_after(stretch, depth, inside=inside)
            if after:  # it does not end in this stretch
                depth = after
                inside ^= quotes % 2 == 1
                self.take(len(stretch))
                continue
            end = self._at + len(stretch)
            looked_at = depth
            while self._at < end and depth <= looked_at:
                look = _REST_OF_TEXT.match if inside else _OUTSIDE_TEXT.search
                found = look(self._buffer, self._at, end)
                if found is None:
                    self.take(end - self._at)
                    break
                mark = found.group()[-1:]
                if depth == 0 and mark in b",]}":
                    self.take(found.start() - self._at)
                    return
                self.take(found.end() - self._at)
                inside ^= mark == b'"'
                depth += (mark in b"[{") - (mark in b"]}")
                if depth == 0 and not inside:
                    return
        if depth or inside:
            raise self._broken(0, "it ends too early")

    def _stretch(self) -> bytes:
        """Some of what is left, which does not end within an escape."""
        self.fill()
        size = self._block_bytes
        while self._buffer[self._at : self._at + size].endswith(b"\\") and self.fill(size + 1):
            size += 1
        return self._buffer[self._at : self._at + size]

    def _move(self, at: int) -> None:
        """Move the cursor over characters of one byte each."""
        if self._text_at >= 0:
            self._text_at += at - self._at
        self._at = at

    # -- where a fault is ------------------------------------------------------------------------

    def broken(self, why: str) -> DataError:
        """The error that the file is no JSON at the cursor."""
        return self._broken(0, why)

    def _broken(self, beyond: int, why: str) -> DataError:
        """The file is read anew up to there: lines are counted only for this."""
        left = self._passed + self._at + beyond
        line, column = 1, 1
        with self._source.open() as stream:
            while left > 0 and (block := stream.read(min(left, READ_BLOCK_BYTES))):
                left -= len(block)
                if ends := block.count(b"\n"):
                    line, column = line + ends, 1
                    block = block[block.rfind(b"\n") + 1 :]
                column += len(block.translate(None, _CONTINUATION_BYTES))
        return DataError(f"{self._source.name}, line {line}, column {column}: not JSON: {why}")


def _depth_after(text: bytes, depth: int, *, inside: bool) -> tuple[int, int]:
    """How many brackets are open after some JSON, 0 if all were closed in it; and its quotes.

    Args:
        text: The JSON, which does not end within an escape.
        depth: How many are open before it.
        inside: Whether it begins within a string.
    """
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    parts = text.split(b'"')
    outside = b"".join(parts[1 if inside else 0 :: 2])
    steps = memoryview(outside.translate(_STEPS, _NO_BRACKETS)).cast("b")
    ended = depth == 0 or min(accumulate(steps, initial=depth)) <= 0
    return 0 if ended else depth + sum(steps), len(parts) - 1


def _size(text: str) -> int:
    """The bytes that the text has in the file."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
