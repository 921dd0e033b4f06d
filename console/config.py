"""The settings file that an operator writes: keys, columns, panels, refresh, theme.

What the console remembers by itself is `console.settings`; what is written here comes before it.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from textual.theme import BUILTIN_THEMES

from console.columns import WORKER_COLUMNS, WorkerColumn
from console.commands import BY_NAME
from console.keys import DECLARED_KEYS, KeyRefused, Keys, move_keys
from console.plan import PLACES, Part
from nodes.errors import StartError
from nodes.support.paths import NoHomeError, config_dir
from nodes.support.text import excerpt

REFRESH_S, MIN_REFRESH_S, MAX_REFRESH_S = 0.5, 0.1, 1.0
"""Seconds between two looks at the cluster. With more, figures would be old before the next."""

NAMES = ("columns", "keys", "panels", "refresh", "theme")

PANEL_NAMES = {
    "ask": Part.ANSWER,
    "events": Part.EVENTS,
    "slow": Part.SLOW,
    "lookups": Part.LOOKUPS,
    "heat": Part.HEAT,
}

_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_NAME = re.compile(r"\s*([^=#]+?)\s*=")


class Config(NamedTuple):
    """What the file says; what it does not say is as it is without one.

    Attributes:
        keys: of the commands.
        columns: of the worker table, in their order; of those that do not fit, the last are left
            out first.
        panels: the panel that each place shows at start, where the file says so.
        refresh_s: seconds between two looks at the cluster.
        theme: by its name; "" for the one that was chosen last.
    """

    keys: Keys = DECLARED_KEYS
    columns: Sequence[WorkerColumn] = WORKER_COLUMNS
    panels: Mapping[str, Part] = {}
    refresh_s: float = REFRESH_S
    theme: str = ""


def config_file() -> Path:
    """Where it is looked for."""
    return config_dir() / "console.toml"


def load_config(path: Path | None, fixed_keys: Mapping[str, str]) -> Config:
    """What a settings file says.

    Args:
        path: None for the usual one, which need not be there.
        fixed_keys: see `console.keys.move_keys`.

    Raises:
        StartError: it cannot be used; the message says where, why and what is possible.
    """
    try:
        file = path or config_file()
    except NoHomeError:
        return Config()
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        if path is None:
            return Config()
        made = f"make one with 'rollcall --print-settings > {file}'"
        raise StartError(f"there is no settings file {file}: {made}") from None
    except UnicodeDecodeError:
        raise StartError(f"{file} is no text in UTF-8: save it as such") from None
    except OSError as error:
        raise StartError(f"{file} cannot be read: {error.strerror}") from error
    return parse_config(text, str(file), fixed_keys)


def parse_config(text: str, file: str, fixed_keys: Mapping[str, str]) -> Config:
    """The same of its text; `file` is what messages call it."""
    return _Reader(text, file).config(fixed_keys)


class _Reader:
    """Takes a settings file apart; whatever is wrong is refused with its line."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file

    def config(self, fixed_keys: Mapping[str, str]) -> Config:
        try:
            said = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"at line (\d+)", str(error))
            line = int(found[1]) if found else len(self._text.splitlines())
            self._refuse_line(
                line,
                "is no TOML: write NAME = VALUE, texts in quotes, lists in [ ], each name once",
            )
        self._check_names("", said, NAMES)
        return Config(
            keys=self._keys(self._table(said, "keys"), fixed_keys),
            columns=self._columns(said["columns"]) if "columns" in said else WORKER_COLUMNS,
            panels=self._panels(self._table(said, "panels")),
            refresh_s=self._refresh(said.get("refresh", REFRESH_S)),
            theme=self._theme(said["theme"]) if "theme" in said else "",
        )

    # -- what there is ------------------------------------------------------------

    def _keys(self, said: Mapping[str, Any], fixed_keys: Mapping[str, str]) -> Keys:
        self._check_names("keys", said, BY_NAME)
        wanted = {}
        for name, value in said.items():
            wanted[name] = [value] if isinstance(value, str) else value
            if not _is_texts(wanted[name]):
                self._refuse(f"keys.{name}", 'takes a key as "x", several as ["x", "y"], or []')
        try:
            return move_keys(wanted, fixed_keys)
        except KeyRefused as refused:
            self._refuse(f"keys.{refused.command}", str(refused))

    def _columns(self, said: object) -> Sequence[WorkerColumn]:
        by_name = {column.name: column for column in WORKER_COLUMNS}
        if not isinstance(said, list) or not _is_texts(said):
            self._refuse("columns", f'takes a list, as in ["id", "state"]; {_possible(by_name)}')
        names = [name.lower() for name in said]
        for name in names:
            if name not in by_name:
                self._refuse("columns", f"there is no column {_unknown(name, by_name)}")
        if len(set(names)) < len(names):
            self._refuse("columns", "names a column twice: leave one of them out")
        if "id" not in names:
            self._refuse("columns", 'needs "id": without it nobody knows who is meant')
        most = max(column.priority for column in WORKER_COLUMNS) + len(names)
        return [replace(by_name[name], priority=most - index) for index, name in enumerate(names)]

    def _panels(self, said: Mapping[str, Any]) -> Mapping[str, Part]:
        self._check_names("panels", said, PLACES)
        panels = {}
        for place, value in said.items():
            possible = [name for name, part in PANEL_NAMES.items() if part in PLACES[place]]
            if value not in possible:
                there = f"shows no {_unknown(str(value), possible)}"
                self._refuse(f"panels.{place}", there)
            panels[place] = PANEL_NAMES[value]
        return panels

    def _refresh(self, said: object) -> float:
        number = isinstance(said, int | float) and not isinstance(said, bool)
        if not number or not MIN_REFRESH_S <= float(str(said)) <= MAX_REFRESH_S:
            self._refuse("refresh", f"takes {MIN_REFRESH_S} to {MAX_REFRESH_S} seconds")
        return float(str(said))

    def _theme(self, said: object) -> str:
        if said not in BUILTIN_THEMES:
            self._refuse("theme", f"there is no theme {_unknown(str(said), BUILTIN_THEMES)}")
        return str(said)

    # -- where and why not --------------------------------------------------------

    def _table(self, said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        table = said.get(name, {})
        if not isinstance(table, dict):
            self._refuse(name, f"is a table: write [{name}] above what belongs to it")
        return table

    def _check_names(self, table: str, said: Iterable[str], possible: Iterable[str]) -> None:
        known = list(possible)
        for name in said:
            if name not in known:
                what = {"": "setting", "keys": "command", "panels": "place"}[table]
                path = f"{table}.{name}" if table else name
                self._refuse(path, f"there is no {what} {_unknown(name, known)}")

    def _refuse(self, path: str, why: str) -> NoReturn:
        table, _, name = path.rpartition(".")
        self._refuse_line(self._line_of(path), f"{f'[{table}] ' if table else ''}{name}: {why}")

    def _refuse_line(self, line: int, why: str) -> NoReturn:
        raise StartError(f"{self._file}, line {line}: {excerpt(why, 1000)}")

    def _line_of(self, path: str) -> int:
        """The line of a setting, that of its table if it is nowhere by itself."""
        table, first = "", 1
        for number, line in enumerate(self._text.splitlines(), 1):
            if found := _TABLE.match(line):
                table = found[1]
                first = number if table == path.partition(".")[0] else first
            elif found := _NAME.match(line):
                name = re.sub(r"[\"'\s]", "", found[1])
                if f"{table}.{name}".lstrip(".") == path:
                    return number
        return first


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _unknown(name: str, possible: Iterable[str]) -> str:
    known = list(possible)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"{name[:40]!r}; {f'did you mean {near[0]!r}?' if near else _possible(known)}"


def _possible(names: Iterable[str]) -> str:
    return f"possible: {', '.join(names)}"
