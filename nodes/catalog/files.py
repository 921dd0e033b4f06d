"""The files of a dataset: those of a folder that are read, and why the others are not."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from nodes.catalog.arguments import quoted
from nodes.catalog.readers.formats import (
    GZIP,
    SUFFIXES_TEXT,
    TEXT_FORMATS,
    format_of,
)
from nodes.catalog.reports import LeftOut
from nodes.errors import DataError

DEFINITION_FILE = "dataset.toml"
MAX_FILES = 10_000
MAX_NAMES_CHARS = 1_000_000
"""Of the names of all files together: a worker tells them to its master."""
MAX_COUNTED_FILES = 1000
"""Files of a folder that is not read, as far as they are counted."""
MAX_LEFT_OUT = 1000

_GLOB_CHARACTERS = frozenset("*?[")


def discovered_files(folder: Path, *, needed: bool) -> tuple[str, ...]:
    """The files of a folder for which no definition names any, sorted: those of text, or if there
    are none, the tables of other programs.

    Args:
        folder: The folder.
        needed: Whether there must be one.

    Raises:
        DataError: There is none, or one has a name that cannot be used.
    """
    known = {
        path.name: found
        for path in folder.iterdir()
        if path.name[0] != "." and (found := format_of(path.name)) and path.is_file()
    }
    text = [name for name, found in known.items() if found in TEXT_FORMATS]
    # Packed beside unpacked, the records would be there twice.
    names = [name for name in text or known if name[: -len(GZIP)] not in known]
    if not names and needed:
        raise DataError(f"{folder}: there are no records here; add a file: {SUFFIXES_TEXT}")
    return checked_names(folder, sorted(names))


def declared_files(folder: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """The files that a definition names, in that order; those of a pattern are sorted.

    Raises:
        DataError: There is none of that name, or it cannot be read here.
    """
    where = f"{folder / DEFINITION_FILE}: files:"
    if not patterns:
        raise DataError(f"{where[:-1]} must be a list of file names, each once")
    files: dict[str, None] = {}
    for pattern in patterns:
        pure = PurePosixPath(pattern)
        if pure.is_absolute() or ".." in pure.parts or "\\" in pattern or "\0" in pattern:
            raise DataError(f"{where} {quoted(pattern)} is not inside the folder")
        is_glob = not _GLOB_CHARACTERS.isdisjoint(pattern)
        if is_glob and not (folder / pattern).is_file():
            found = sorted(_matching(folder, pattern))
            if not found:
                raise DataError(f"{where} no file of records matches {quoted(pattern)} in {folder}")
            files |= dict.fromkeys(found)
            continue
        if format_of(pattern) is None:
            raise DataError(f"{where} {quoted(pattern)} is no file that is read: {SUFFIXES_TEXT}")
        if not (folder / pattern).is_file():
            raise DataError(f"{where} there is no file {quoted(pattern)} in {folder}")
        files[pattern] = None
    return checked_names(folder, list(files))


def _matching(folder: Path, pattern: str) -> Iterator[str]:
    try:
        for path in folder.glob(pattern):
            name = path.relative_to(folder)
            hidden = any(part[0] == "." for part in name.parts)
            if not hidden and format_of(name.name) and path.is_file():
                yield name.as_posix()
    except (ValueError, NotImplementedError):
        raise DataError(
            f"{folder / DEFINITION_FILE}: files: {quoted(pattern)} is no pattern: ** stands for any"
            " folders, alone between two /"
        ) from None


def checked_names(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The names, if they can be used."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(f"{folder}: rename {quoted(name)}, its name is not UTF-8") from None
    if len(names) > MAX_FILES or sum(map(len, names)) > MAX_NAMES_CHARS:
        raise DataError(
            f"{folder}: there are {len(names):,} files of records, at most {MAX_FILES:,} are read;"
            " join some of them (JSON Lines files can be put one after another)"
        )
    return tuple(names)


def left_out(folder: Path, files: Iterable[str], *, declared: bool) -> tuple[LeftOut, ...]:
    """What is in a folder and is not read, and why.

    Args:
        folder: The folder.
        files: The files that are read.
        declared: Whether a definition names them.
    """
    read = set(files)
    entries = sorted(folder.iterdir(), key=lambda path: path.name)
    found = (_left_out(path, read, declared=declared) for path in entries)
    return tuple([one for one in found if one is not None][:MAX_LEFT_OUT])


def _left_out(path: Path, read: set[str], *, declared: bool) -> LeftOut | None:
    name = path.name
    if name in read or name == DEFINITION_FILE:
        return None
    if path.is_dir():
        return _folder_left_out(path, read)
    if format_of(name) is None:
        return LeftOut(name, "it is of no kind that is read")
    if name[0] == ".":
        return LeftOut(name, "it is hidden, as its name starts with a dot")
    if not path.is_file():
        return LeftOut(name, "it is no file, or a link that leads nowhere")
    if declared:
        return LeftOut(name, f"{DEFINITION_FILE} does not name it in files")
    if name[: -len(GZIP)] in read:
        return LeftOut(name, f"{name[: -len(GZIP)]} is read")
    return LeftOut(name, f"beside text it is read only if {DEFINITION_FILE} names it in files")


def _folder_left_out(path: Path, read: set[str]) -> LeftOut | None:
    count = 0
    example = ""
    for folder, folders, names in os.walk(path):
        folders.sort()
        inside = Path(folder).relative_to(path.parent).as_posix()
        for name in sorted(names):
            if name[0] != "." and format_of(name) and f"{inside}/{name}" not in read:
                count += 1
                example = example or f"{inside}/*{''.join(Path(name).suffixes[-2:])}"
        if count > MAX_COUNTED_FILES:
            break
    if path.name[0] == "." or not count:
        return None
    many = f"more than {MAX_COUNTED_FILES:,}" if count > MAX_COUNTED_FILES else f"{count:,}"
    return LeftOut(
        f"{path.name}/ ({many} file{'s' * (count != 1)})",
        f'folders are read only if {DEFINITION_FILE} names their files, as files = ["{example}"]',
    )
