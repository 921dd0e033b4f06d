"""A source: one file's bytes as UTF-8, up to the size that it had when it was first opened."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from nodes.catalog.readers.options import ReadingOptions
from nodes.catalog.readers.records import READ_BLOCK_BYTES, ReportBadRecord
from nodes.errors import DataError
from nodes.support.os_errors import explain_os_error

BUFFER_BYTES = 1 << 18
"""What is asked of the system at once."""
GUESSED_BYTES = 1 << 16
"""What of a file is looked at to guess its encoding."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_USUAL_ENCODINGS = [
    *("cp1252", "cp1250", "cp1251", "cp932", "gb18030", "big5", "euc_kr", "mac_roman"),
    *("cp1253", "cp1254", "cp1255", "cp1256"),
]
"""Those to name first of several that fit alike."""
_UNDECODABLE = "\udcff"
codecs.register_error("rollcall.undecodable", lambda error: (_UNDECODABLE, _end_of(error)))


def _end_of(error: UnicodeError) -> int:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - sources only decode
    return error.end


class ByteStream(Protocol):
    """What lines and blocks are read from."""

    def read(self, size: int = ..., /) -> bytes: ...

    def readline(self, size: int = ..., /) -> bytes: ...


class Source:
    """One file that is read, as often as its reader needs: each time the same bytes, as far as it
    depends on us.

    Attributes:
        path: The file.
        name: Its name in messages.
        options: How it is to be read.
        report_bad: Called for each record that cannot be used.
        note: Called with whatever a person may want to know of how it was read.
        size: Its size in bytes when the source was made; what is appended later is not read.
        position: How many of these are read.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        options: ReadingOptions,
        report_bad: ReportBadRecord,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.path = path
        self.name = name
        self.options = options
        self.report_bad = report_bad
        self.note = note
        with self.explained():
            self.size = path.stat().st_size
        self.position = 0
        self._guess: str | None = None
        self._encoding: str | None = None

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Has whatever fails in the file, and not in what is written meanwhile, said in words.

        Raises:
            DataError: instead of the system's and the decompressor's errors.
        """
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise DataError(
                f"{self.name}: it is cut short or damaged, and cannot be decompressed; get it anew"
            ) from None
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {explain_os_error(error)}") from error

    @contextmanager
    def open(self) -> Iterator[ByteStream]:
        """The file's text as UTF-8, without a mark, each line with LF at its end. What cannot be
        decoded is no UTF-8 either, so that whoever reads the text finds it.
        """
        if self._encoding is None:
            self._encoding = self._find_encoding()
        with self._open_unpacked() as stream:
            yield _as_utf8(stream, self._encoding, self.note)

    @contextmanager
    def _open_unpacked(self) -> Iterator[io.BufferedReader[Any]]:
        with self.explained(), self.path.open("rb", buffering=0) as raw:
            limited = _Limited(raw, self)
            stream: io.BufferedReader[Any] = io.BufferedReader(limited, BUFFER_BYTES)
            if self.path.suffix.lower() == ".gz":
                stream = io.BufferedReader(gzip.GzipFile(fileobj=stream), BUFFER_BYTES)
            yield stream

    def _find_encoding(self) -> str:
        """The encoding that the dataset says, or none for a file that plainly is UTF-8: of a folder
        in which some files are and some are not, only the others are meant.
        """
        if self.options.encoding in ("", "utf-8"):
            return ""
        decoder = codecs.getincrementaldecoder("utf-8")()
        plain = True
        with self._open_unpacked() as stream:
            while block := stream.read(READ_BLOCK_BYTES):
                plain = plain and block.isascii()
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    return self.options.encoding
                if b"\0" in block:  # it is UTF-16 or the like, of letters that are ASCII
                    return self.options.encoding
        return self.options.encoding if plain else ""

    def likely_encoding(self) -> str:
        """The encoding that a file that is no UTF-8 probably has; "" if it cannot be guessed."""
        if self._guess is None:
            self._guess = self._guess_encoding()
        return self._guess

    def _guess_encoding(self) -> str:
        from charset_normalizer import from_bytes  # noqa: PLC0415 - only a message needs it

        with self.open() as stream:
            while block := stream.read(GUESSED_BYTES):
                try:
                    block.decode()
                except UnicodeDecodeError as error:
                    if len(block) - error.start < 4:  # a character that the block's end cuts
                        continue
                    # Of a part, as a whole block is taken for one of several that fit less.
                    near = block[max(0, error.start - GUESSED_BYTES // 8) :][: GUESSED_BYTES // 4]
                    matches = from_bytes(near, cp_isolation=_USUAL_ENCODINGS) or from_bytes(near)
                    best = matches.best()
                    if best is None or best.encoding == "utf_8":
                        return ""
                    fit = [one for one in matches if one.chaos <= best.chaos]
                    fitting = {name for one in fit for name in one.could_be_from_charset}
                    usual = (one for one in _USUAL_ENCODINGS if one in fitting)
                    return next(usual, best.encoding)
        return ""

    def not_utf8(self, at: int) -> str:
        """Why a record with bytes that are no UTF-8 cannot be used, and what to do.

        Args:
            at: The first of these bytes, counted from 1.
        """
        if self._encoding:
            return f"byte {at} cannot be read as {self._encoding}; correct the encoding"
        if guess := self.likely_encoding():
            return (
                f"byte {at} is not UTF-8, it looks like {guess}: save the file as UTF-8, or write"
                f' encoding = "{guess}" in dataset.toml'
            )
        return (
            f"byte {at} is not UTF-8: save the file as UTF-8, or say its encoding in dataset.toml"
        )


class _Limited(io.RawIOBase):
    """A file up to the size that it had; notes how much of it is read."""

    def __init__(self, raw: io.FileIO, source: Source) -> None:
        self._raw = raw
        self._source = source
        self._left = source.size
        source.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        read = self._raw.readinto(buffer[: self._left]) or 0
        self._left -= read
        self._source.position += read
        return read


def _as_utf8(
    stream: io.BufferedReader[Any], encoding: str, note: Callable[[str], None]
) -> ByteStream:
    start = stream.peek(READ_BLOCK_BYTES)[:READ_BLOCK_BYTES]
    for mark, marked in _MARKS:
        if start.startswith(mark):
            stream.read(len(mark))
            encoding = marked
            break
    if encoding not in ("", "utf-8"):
        stream = io.BufferedReader(_Transcoded(stream, encoding), BUFFER_BYTES)
        start = stream.peek(READ_BLOCK_BYTES)
        note(f"its encoding is {encoding}")
    if b"\r" in start and b"\n" not in start:
        note("its lines end in CR")
        return io.BufferedReader(_LineFeeds(stream), BUFFER_BYTES)
    return stream


class _Converted(io.RawIOBase):
    """A stream whose blocks are converted on their way."""

    def __init__(self, stream: io.BufferedReader[Any]) -> None:
        self._stream = stream
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._pending:
            block = self._stream.read(READ_BLOCK_BYTES)
            self._pending = self._convert(block)
            if not block:
                break
        size = min(len(buffer), len(self._pending))
        buffer[:size], self._pending = self._pending[:size], self._pending[size:]
        return size

    def _convert(self, block: bytes) -> bytes:
        raise NotImplementedError


class _Transcoded(_Converted):
    """Text of another encoding as UTF-8."""

    def __init__(self, stream: io.BufferedReader[Any], encoding: str) -> None:
        super().__init__(stream)
        self._decoder = codecs.getincrementaldecoder(encoding)("rollcall.undecodable")

    def _convert(self, block: bytes) -> bytes:
        return self._decoder.decode(block, not block).encode("utf-8", "surrogatepass")


class _LineFeeds(_Converted):
    """Text with CR at the end of its lines, with LF instead."""

    def _convert(self, block: bytes) -> bytes:
        return block.replace(b"\r", b"\n")
