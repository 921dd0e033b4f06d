"""The lookups that `[lookups]` and `[fold]` of a `dataset.toml` declare."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from nodes.catalog.arguments import quoted
from nodes.catalog.model import ANY, EXACT, LOOKUP_KINDS, WORDS, Lookup
from nodes.errors import DataError
from nodes.support.verbs import RESERVED

MAX_LOOKUPS = 64
MAX_LOOKUP_FIELDS = 8

_LOOKUP_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FORMS = (
    f"must be a list of 1 to {MAX_LOOKUP_FIELDS} field names, each once, or such a list with its"
    f' kind, as {{ prefix = ["name"] }} or {{ any = ["name", "location"] }}'
)


class DeclaredLookups(dict[str, tuple[str, ...]]):
    """The fields of each lookup, by its name.

    Attributes:
        kinds: The kind of each that is not exact; see `nodes.catalog.model`.
        folded: The fields that are compared as `text_forms.fold` makes them.
    """

    def __init__(
        self,
        fields: Mapping[str, tuple[str, ...]],
        *,
        kinds: Mapping[str, str] | None = None,
        folded: Iterable[str] = (),
    ) -> None:
        super().__init__(fields)
        self.kinds = dict(kinds or {})
        self.folded = tuple(folded)

    def shapes(self) -> tuple[Lookup, ...]:
        """The lookups, as long as nothing is known of the records."""
        return tuple(self._shape(name) for name in self)

    def _shape(self, name: str) -> Lookup:
        fields, kind = self[name], self.kinds.get(name, EXACT)
        if kind == ANY:
            return Lookup(name, (WORDS,), ("text",), kind, searched=fields)
        folded = tuple(field for field in fields if field in self.folded)
        return Lookup(name, fields, (), kind, folded=folded)


def read_lookups(path: Path, table: object) -> DeclaredLookups:
    """Reads `[lookups]` of the definition at `path`.

    Raises:
        DataError: It is wrong; the message says what to write.
    """
    if not isinstance(table, Mapping) or not 1 <= len(table) <= MAX_LOOKUPS:
        raise DataError(f"{path}: [lookups] must be a table of 1 to {MAX_LOOKUPS} lookups")
    lookups: dict[str, tuple[str, ...]] = {}
    kinds: dict[str, str] = {}
    for name, value in table.items():
        _check_name(path, name)
        kind, fields = _kind_and_fields(path, name, value)
        lookups[name] = fields
        if kind != EXACT:
            kinds[name] = kind
    return DeclaredLookups(lookups, kinds=kinds)


def folding(path: Path, lookups: DeclaredLookups, fold: object) -> DeclaredLookups:
    """These lookups, with what `[fold]` of the definition at `path` says.

    Raises:
        DataError: It is wrong; the message says what to write.
    """
    fields = distinct_strings(fold.get("fields")) if isinstance(fold, Mapping) else ()
    if not fields or not isinstance(fold, Mapping) or len(fold) > 1:
        raise DataError(
            f"{path}: [fold] must be a table with the fields whose lookups ignore case, surrounding"
            ' blanks and Unicode form, as fields = ["name"]'
        )
    compared = {
        field
        for name, of_lookup in lookups.items()
        if lookups.kinds.get(name) != ANY
        for field in of_lookup
    }
    if stray := [field for field in fields if field not in compared]:
        raise DataError(
            f"{path}: [fold]: no lookup is on {quoted(stray[0])}; there are lookups on"
            f" {', '.join(map(quoted, sorted(compared)))[:500] or 'no field at all'}"
            " (one of the kind any ignores case as it is)"
        )
    return DeclaredLookups(lookups, kinds=lookups.kinds, folded=fields)


def _check_name(path: Path, name: str) -> None:
    if not _LOOKUP_NAME.fullmatch(name):
        raise DataError(
            f"{path}: lookup {quoted(name)}: a name starts with a-z and has only"
            " a-z, 0-9 and _ after it, 64 in all"
        )
    if name in RESERVED:
        raise DataError(f"{path}: lookup {name}: the master has a verb of that name; rename it")


def _kind_and_fields(path: Path, name: str, value: object) -> tuple[str, tuple[str, ...]]:
    kind: object = EXACT
    if isinstance(value, Mapping) and len(value) == 1:
        [(kind, value)] = value.items()
        if kind not in LOOKUP_KINDS:
            raise DataError(
                f"{path}: lookup {name}: there is no kind {quoted(str(kind))}; there are"
                f" {', '.join(LOOKUP_KINDS)}"
            )
    fields = distinct_strings(value)
    if not 1 <= len(fields) <= MAX_LOOKUP_FIELDS:
        raise DataError(f"{path}: lookup {name}: {_FORMS}")
    return str(kind), fields


def distinct_strings(value: object) -> tuple[str, ...]:
    """The elements of a list of distinct texts; empty for any other value."""
    if not isinstance(value, list):
        return ()
    texts = tuple(text for text in value if isinstance(text, str))
    return texts if len(set(texts)) == len(value) else ()
