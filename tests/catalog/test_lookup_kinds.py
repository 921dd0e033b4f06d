"""Every kind of lookup equals a plain scan, over generated records: lists, nested fields, folded
ones, beginnings, and words.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodes.catalog import Lookup, coerce, ensure_catalog, usage
from nodes.catalog.spread import create_elements, write_spread
from nodes.catalog.sql_schema import SqlSchema
from nodes.catalog.text_forms import fold, words
from nodes.catalog.word_index import BLOCK_RECORDS, check_words, create_words
from nodes.errors import BadRequest, DataError
from tests.catalog.conftest import Ask, Put
from tests.catalog.kit import OpenCatalog, Record, backing, catalog_of, values_of, write

pytestmark = pytest.mark.usefixtures("anywhere")

# Letters that differ in case, in form, by a mark; blanks; what is no letter; the last character.
_chars = st.sampled_from(
    "aAbß\u1e9eéÉe\u0301İ\u0131\u03a3\u03c2\u03c3ǅﬁ7²·*-_' \u00a0\t\n\0\1\U0010ffff\ud7ff日本語"
)
_texts = st.text(_chars, max_size=5) | st.text(max_size=3)
_values = _texts | st.integers(-3, 30) | st.booleans() | st.none()
_several = _values | st.lists(_values, max_size=4)
_records = st.fixed_dictionaries(
    {},
    optional={
        "name": _texts | st.none() | st.just({"an": "object"}),
        "tags": _several,
        "address": st.fixed_dictionaries({}, optional={"city": _several, "x.y": _several})
        | st.lists(st.fixed_dictionaries({}, optional={"city": _several}), max_size=2)
        | _values,
        "address.city": _several,
        "code": _texts | st.none(),
    },
)
ANCHOR = {
    "name": "al",
    "tags": ["x"],
    "address": {"city": "Oslo", "x.y": "z"},
    "code": "c",
}
DEFINITION = """
[lookups]
byname = ["name"]
bytag = ["tags"]
bycity = ["address.city"]
bydots = ["address.x.y"]
bycode = ["code"]
bytagandcity = ["tags", "address.city"]
starting = { prefix = ["name"] }
codestarting = { prefix = ["code"] }
tagstarting = { prefix = ["tags", "code"] }
exactly = { exact = ["name", "tags"] }

[fold]
fields = ["code", "address.city"]
"""
DEFINED = """
[lookups]
byname = ["name"]
bytags = ["tags"]
bycode = ["code"]
starting = { prefix = ["name"] }
"""
SEARCH = 'search = { any = ["name", "tags", "address.city"] }'
FOLDED = ("code", "address.city")


# -- the model: a plain scan -----------------------------------------------------------------------


def text_of(value: object) -> str | None:
    """A value as a lookup of a text compares it."""
    if value is None or isinstance(value, list | dict):
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def folded(text: str) -> str:
    text = unicodedata.normalize("NFD", text.strip()).casefold()
    return unicodedata.normalize("NFC", text)


def texts_of(record: Record, field: str) -> list[str]:
    found = [text for value in values_of(record, field) if (text := text_of(value)) is not None]
    return list(map(folded, found)) if field in FOLDED else found


def scan(records: list[Record], fields: tuple[str, ...], args: tuple[str, ...]) -> list[Record]:
    wanted = [
        folded(arg) if field in FOLDED else arg for field, arg in zip(fields, args, strict=True)
    ]
    return [
        one
        for one in records
        if all(want in texts_of(one, field) for field, want in zip(fields, wanted, strict=True))
    ]


def scan_beginnings(
    records: list[Record], fields: tuple[str, ...], args: tuple[str, ...]
) -> list[Record]:
    """By the value that begins so, and then in the order of the records."""
    *same, last = fields
    beginning = args[-1]
    if last in FOLDED:  # blanks after it are within what it begins
        beginning = folded(beginning + ".")[:-1]
    found = [
        (text, one)
        for one in scan(records, tuple(same), args[:-1])
        for text in texts_of(one, last)
        if text.startswith(beginning)
    ]
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def words_of(text: str) -> set[str]:
    found, word = set(), ""
    for char in folded(f".{text}.")[1:]:
        if unicodedata.category(char)[0] in ("L", "N", "M"):
            word += char
        elif word:
            found.add(word)
            word = ""
    return found


def scan_words(records: list[Record], fields: tuple[str, ...], asked: str) -> list[Record]:
    return [
        one
        for one in records
        if words_of(asked)
        <= {
            word
            for field in fields
            for value in values_of(one, field)
            for word in words_of(text_of(value) or "")
        }
    ]


# -- the properties --------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    records=st.lists(_records, max_size=8),
    strangers=st.lists(_texts, min_size=1, max_size=3),
    limit=st.integers(1, 4),
    lines=st.booleans(),
)
def test_every_kind_equals_a_plain_scan(
    records: list[Record], strangers: list[str], limit: int, lines: bool
) -> None:
    records = [*records, ANCHOR]
    searches = not backing.url_env  # a store has no such lookups
    with_search = DEFINITION.replace("\n\n[fold]", f"\n{SEARCH}\n\n[fold]")
    files: dict[str, object] = {"dataset.toml": with_search if searches else DEFINITION}
    if lines:
        files["a.jsonl"] = "\n".join(map(json.dumps, records))
    else:
        files["a.json"] = records
    with TemporaryDirectory() as temporary:
        data = write(Path(temporary) / "data", files)
        with catalog_of(data, Path(temporary) / "cache") as catalog:
            for name in ("byname", "bytag", "bycity", "bydots", "bycode"):
                check_one(catalog, name, records, strangers, limit)
            for name in ("bytagandcity", "exactly"):
                check_pairs(catalog, name, records, limit)
            for name in ("starting", "codestarting", "tagstarting"):
                check_beginnings(catalog, name, records, strangers, limit)
            if searches:
                check_searches(catalog, records, strangers, limit)


def asked_of(records: list[Record], field: str) -> list[str]:
    found = [text_of(value) for record in records for value in values_of(record, field)]
    return list(dict.fromkeys(text for text in found if text is not None))


def check_one(
    catalog: OpenCatalog, name: str, records: list[Record], strangers: list[str], limit: int
) -> None:
    fields = catalog.lookup(name).fields
    for value in [*asked_of(records, fields[0]), *strangers]:
        for form in {value, value.upper(), f" {unicodedata.normalize('NFD', value)}\n"}:
            expected = scan(records, fields, (form,))
            assert catalog.records(name, form, limit=limit) == expected


def check_pairs(catalog: OpenCatalog, name: str, records: list[Record], limit: int) -> None:
    first, second = fields = catalog.lookup(name).fields
    for record in records:
        for pair in zip(texts_of(record, first), texts_of(record, second), strict=False):
            assert catalog.records(name, *pair, limit=limit) == scan(records, fields, pair)


def check_beginnings(
    catalog: OpenCatalog, name: str, records: list[Record], strangers: list[str], limit: int
) -> None:
    *same, last = fields = catalog.lookup(name).fields
    values = [*asked_of(records, last), *strangers]
    beginnings = dict.fromkeys(value[:length] for value in values for length in (0, 1, 2, 5))
    for beginning in beginnings:
        for before in asked_of(records, same[0])[:3] if same else [""]:
            args = (before, beginning) if same else (beginning,)
            expected = scan_beginnings(records, fields, args)
            assert catalog.records(name, *args, limit=limit) == expected


def check_searches(
    catalog: OpenCatalog, records: list[Record], strangers: list[str], limit: int
) -> None:
    fields = catalog.lookup("search").searched
    values = [value for field in fields for value in asked_of(records, field)]
    for value in [
        *values,
        *strangers,
        *map(" ".join, itertools.pairwise(values)),
    ]:
        if not words_of(value):
            with pytest.raises(BadRequest, match="must have a letter or a digit in it"):
                catalog.records("search", value)
            continue
        assert catalog.records("search", value, limit=limit) == scan_words(records, fields, value)


@given(st.text(max_size=8) | st.text(_chars))
@example("\u0345\u0301a")
@example("ŉ İ ΐ")
def test_a_folded_text_is_folded(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    assert fold(f" {unicodedata.normalize('NFD', text)}") == once
    assert words(" ".join(words(text))) == words(text)


# -- bounds, and what is told of each --------------------------------------------------------------


def test_a_beginning_that_is_a_star_is_a_star(put: Put, ask: Ask) -> None:
    names = ("xan*", "xander", "xan", "x*")
    records: list[Record] = [{"name": name, "tags": "t", "code": "c"} for name in names]
    catalog = ask(put({"a.json": records, "dataset.toml": DEFINED}))
    assert catalog.records("byname", "xan*") == [records[0]]
    assert catalog.records("starting", "xan*") == [records[0]]
    assert catalog.records("starting", "xan") == [records[2], records[0], records[1]]


def test_values_are_suggested_as_they_are_written(put: Put, ask: Ask) -> None:
    records = [
        {"name": "b", "tags": ["Zebra", "apple "], "code": " New\u00a0York"},
        {"name": "b", "tags": "zebra", "code": "NEW\u00a0YORK"},
        {"name": "b", "tags": "APPLE", "code": "newark"},
    ]
    folding = DEFINED + '[fold]\nfields = ["tags", "code"]\n'
    suggest = ask(put({"a.json": records, "dataset.toml": folding})).reader.suggest
    assert suggest("code", "nEW") == ["newark", " New\u00a0York"]
    assert suggest("code", " new\u00a0") == [" New\u00a0York"]
    assert suggest("tags", "") == ["apple ", "Zebra"]
    assert suggest("tags", "ZEB") == ["Zebra"]


def test_lists_that_go_together_in_too_many_ways_are_refused(put: Put) -> None:
    many = list(range(200))
    records = [{"name": "a", "one": 1, "two": 2}, {"name": "b", "one": many, "two": many}]
    table = '[lookups]\nby = ["one", "two"]\nname = ["name"]\n'
    with pytest.raises(DataError) as caught:
        ensure_catalog(put({"a.json": records, "dataset.toml": table}))
    assert "record 2 of all, in a.json, holds lists in 'one', 'two'" in str(caught.value)
    assert "let no lookup be on all of them" in str(caught.value)


def test_numbers_and_texts_of_one_field_are_found_by_what_json_writes(put: Put, ask: Ask) -> None:
    records = [{"code": 7}, {"code": ["7", 7, 7.0, True]}, {"code": "07"}]
    catalog = ask(put({"a.json": records, "dataset.toml": '[lookups]\nby = ["code"]'}))
    assert catalog.records("by", 7) == catalog.records("by", "7") == records[:2]
    assert catalog.records("by", "7.0") == catalog.records("by", "true") == [records[1]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "words must have a letter or a digit in it"),
        (" ".join(f"w{number}" for number in range(33)), "33 different words, at most 32"),
        (None, "words must be text, not null"),
    ],
)
def test_words_that_cannot_be_looked_for_are_refused(words: str | None, message: str) -> None:
    lookup = Lookup("search", ("words",), ("text",), kind="any", searched=("name", "city"))
    assert usage(lookup) == "search(words in name, city)"
    with pytest.raises(BadRequest, match=message):
        coerce(lookup, [words])
    with pytest.raises(BadRequest, match="2 given; write all words as one text, in quotes"):
        coerce(lookup, ["new", "york"])


def test_words_are_looked_for_block_by_block(tmp_path: Path) -> None:
    if backing.url_env:
        pytest.skip("a store has no such lookups")
    count = BLOCK_RECORDS + 10
    lines = [
        f'{{"n":{n},"t":"all {"odd" if n % 2 else "even"} b{n // (BLOCK_RECORDS - 5)}"}}'
        for n in range(count)
    ]
    table = '[lookups]\nsearch = { any = ["t"] }'
    data = write(tmp_path / "data", {"a.jsonl": "\n".join(lines), "dataset.toml": table})
    with catalog_of(data) as catalog:
        assert catalog.records("search", "ODD even") == []
        last = [one["n"] for one in catalog.records("search", "odd b1", limit=4)]
        assert last == [n for n in range(BLOCK_RECORDS - 5, count) if n % 2]
        page = catalog.reader.find("search", ["all b1"], limit=9, start=BLOCK_RECORDS)
        assert (page.count, page.after) == (9, BLOCK_RECORDS + 9)


def test_no_page_is_sorted_nor_reads_more_than_it_has() -> None:
    lookups = (
        Lookup("a", ("x", "y"), ("text", "text"), kind="prefix", folded=("y",)),
        Lookup("b", ("l", "y"), ("text", "text"), kind="prefix", lists=("l",)),
        Lookup("c", ("l",), ("text",), lists=("l",)),
        Lookup("d", ("words",), ("text",), kind="any", searched=("x",)),
    )
    schema = SqlSchema(lookups)
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(schema.create_tables())
        create_elements(db)
        create_words(db, "w0")
        for columns, name in schema.indexes.items():
            db.execute(f"CREATE INDEX {name} ON records ({', '.join(columns)})")
        for fields in schema.spread:
            write_spread(db, schema, fields)
        asked = [schema.search(("x",)), schema.find(("l",))]
        for fields in (("x", "y"), ("l", "y")):
            asked += [schema.find(fields)]
            asked += [schema.find_range(fields, inclusive=which) for which in (True, False)]
        for statement in asked:
            plan = db.execute(f"EXPLAIN QUERY PLAN {statement}", [1] * statement.count("?"))
            steps = [step for *_, step in plan]
            assert not [step for step in steps if "TEMP B-TREE" in step], (statement, steps)
            scans = [step for step in steps if step.startswith("SCAN") and "VIRTUAL" not in step]
            assert not scans, (statement, steps)


def test_a_machine_that_has_no_full_text_index_says_what_to_do() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        create_words(db, "w0")
        check_words(db, ["w0"])
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = replace(sql, 'fts5', 'none') WHERE name = 'w0'")
        db.execute("PRAGMA writable_schema = RESET")
        with pytest.raises(
            DataError, match=r"no full-text index \(FTS5\), which lookups of the kind"
        ):
            check_words(db, ["w0"])
