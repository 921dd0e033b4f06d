"""A table that others change, read live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes.catalog import ensure_catalog, open_catalog
from nodes.errors import BadRequest, DataError
from nodes.support.nesting import MAX_NESTING
from tests.catalog.kit import OpenCatalog, definition, opened, write
from tests.store.conftest import Sql
from tests.store.test_definition import STORE

pytestmark = pytest.mark.store

LOOKUPS = {
    "getbyname": ["name"],
    "getbyyear": ["location", "year"],
    "bysize": ["size"],
    "byweight": ["weight"],
    "byshare": ["share"],
}
TABLE = (
    'CREATE TABLE people (id int PRIMARY KEY, name text, location varchar(40), "year" int2,'
    " size numeric, weight float8, share float4, notes jsonb, photo bytea)"
)


def dataset(folder: Path, lookups: dict[str, list[str]], table: str = "people") -> Path:
    """A folder whose dataset.toml names the table."""
    toml = definition(lookups) + STORE + f'mode = "live"\ntable = "{table}"\nkey = "id"\n'
    return write(folder / "people", {"dataset.toml": toml})


@contextmanager
def live(folder: Path, lookups: dict[str, list[str]] = LOOKUPS) -> Iterator[OpenCatalog]:
    """The table, opened as a worker does."""
    info = ensure_catalog(dataset(folder, lookups))
    with opened(open_catalog(info.path)) as catalog:
        yield catalog


def ids(records: list[dict[str, object]]) -> list[object]:
    """Of records, in order."""
    return [record["id"] for record in records]


def test_it_answers_with_what_is_there_now(sql: Sql, tmp_path: Path) -> None:
    sql(TABLE, "INSERT INTO people (id, name) VALUES (1, 'al'), (2, 'bo'), (-5, 'al')")
    with live(tmp_path) as catalog:
        assert catalog.info.version == "live"
        assert catalog.info.files == ("people",)
        assert ids(catalog.records("getbyname", "al")) == [-5, 1]
        sql("INSERT INTO people (id, name) VALUES (3, 'al')", "DELETE FROM people WHERE id = 1")
        assert ids(catalog.records("getbyname", "al", limit=1)) == [-5, 3]
        assert catalog.records("getbyname", "bo")[0] == {
            "id": 2,
            "name": "bo",
            **dict.fromkeys(("location", "year", "size", "weight", "share", "notes", "photo")),
        }


def test_a_cursor_goes_on_by_the_key_whatever_others_do(sql: Sql, tmp_path: Path) -> None:
    sql(TABLE, "INSERT INTO people (id, name) SELECT n, 'al' FROM generate_series(-3, 6, 3) AS n")
    with live(tmp_path) as catalog:
        page = catalog.reader.find("getbyname", ["al"], limit=2)
        assert page.after is not None
        assert page.after >= 0
        sql("INSERT INTO people (id, name) VALUES (-4, 'al'), (4, 'al')")
        rest = catalog.reader.find("getbyname", ["al"], start=page.after)
        found = ids(json.loads(page.body)) + ids(json.loads(rest.body))
        assert found == [-3, 0, 3, 4, 6]


def test_values_are_compared_as_the_columns_say(sql: Sql, tmp_path: Path) -> None:
    sql(
        TABLE,
        "INSERT INTO people (id, location, year, size, weight, share, notes) VALUES"
        " (1, 'Oslo', 2001, 0.1, 0.1, 0.1, '{\"a\": [1, 2]}'), (2, 'oslo', -7, 2, 2, 2, null)",
    )
    with live(tmp_path) as catalog:
        assert [one.types for one in catalog.info.lookups] == [
            ("text",),
            ("text", "integer"),
            ("number",),
            ("number",),
            ("number",),
        ]
        assert ids(catalog.records("getbyyear", "Oslo", "2001")) == [1]
        assert ids(catalog.records("getbyyear", "oslo", -7)) == [2]
        assert catalog.records("getbyyear", "Oslo", 2**40) == []
        for lookup in ("bysize", "byweight", "byshare"):
            assert ids(catalog.records(lookup, 0.1)) == ids(catalog.records(lookup, "0.1")) == [1]
            assert ids(catalog.records(lookup, 2)) == ids(catalog.records(lookup, 2.0)) == [2]
        assert catalog.records("getbyname", "a\0b") == []
        assert catalog.reader.suggest("name", "a\0") == []
        with pytest.raises(BadRequest, match=r"byshare\(share\): no record can have such a value"):
            catalog.records("byshare", 1e300)
        assert catalog.records("bysize", 0.1)[0]["notes"] == {"a": [1, 2]}


def test_suggestions_are_in_the_order_of_characters(sql: Sql, tmp_path: Path) -> None:
    sql(
        TABLE,
        "INSERT INTO people (id, name, year) SELECT row_number() OVER (), n, 10 * length(n)"
        " FROM unnest(ARRAY['b', 'B', 'a', 'ä', 'a', '', 'aé', 'a%']) AS n",
    )
    with live(tmp_path) as catalog:
        assert catalog.reader.suggest("name", "") == sorted({"b", "B", "a", "ä", "", "aé", "a%"})
        assert catalog.reader.suggest("name", "a", limit=2) == ["a", "a%"]
        assert catalog.reader.suggest("year", "") == ["0", "10", "20"]
        assert catalog.reader.suggest("year", "1") == ["10"]


def test_names_are_only_names(sql: Sql, tmp_path: Path) -> None:
    field = 'na%s"me; DROP TABLE'
    sql(
        "CREATE SCHEMA crm",
        'CREATE TABLE crm."The People" (id int8 PRIMARY KEY, "na%s""me; DROP TABLE" text)',
        "INSERT INTO crm.\"The People\" VALUES (1, 'al')",
    )
    info = ensure_catalog(dataset(tmp_path, {"by": [field]}, "crm.The People"))
    with opened(open_catalog(info.path)) as catalog:
        assert catalog.records("by", "al") == [{"id": 1, field: "al"}]
        assert catalog.reader.suggest(field, "a") == ["al"]


@pytest.mark.parametrize(
    ("table", "lookup", "wrong"),
    [
        ("CREATE TABLE p (id int PRIMARY KEY, name text)", "name", "no table people"),
        ("CREATE TABLE people (name text)", "name", "has no column id; it has name"),
        ("CREATE TABLE people (id text PRIMARY KEY, name text)", "name", "of the type text"),
        ("CREATE TABLE people (id int, name text)", "name", "CREATE UNIQUE INDEX ON people"),
        ("CREATE TABLE people (id int PRIMARY KEY, x text)", "name", "no column name, which by"),
        ("CREATE TABLE people (id int PRIMARY KEY, name jsonb)", "name", "of the type jsonb"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_when_it_is_opened(
    sql: Sql, tmp_path: Path, table: str, lookup: str, wrong: str
) -> None:
    sql(table)
    with pytest.raises(DataError, match=wrong):
        ensure_catalog(dataset(tmp_path, {"by": [lookup]}))


def test_a_record_that_no_reply_can_carry_is_the_lookup_s_fault(sql: Sql, tmp_path: Path) -> None:
    deep = MAX_NESTING
    sql(
        TABLE,
        "INSERT INTO people (id, name, notes) SELECT n, n,"
        " (repeat('[', n) || repeat(']', n))::jsonb FROM generate_series(99, 100) AS n",
        "INSERT INTO people (id, name) VALUES (2, repeat('x', 2000000))",
        "UPDATE people SET location = 'large' WHERE id = 2",
    )
    with live(tmp_path, {"getbyname": ["name"], "getbylocation": ["location"]}) as catalog:
        with pytest.raises(BadRequest, match="nested too deeply"):
            catalog.records("getbyname", str(deep))
        with pytest.raises(BadRequest, match="takes 2000"):
            catalog.records("getbylocation", "large")
        assert ids(catalog.records("getbyname", str(deep - 1))) == [deep - 1]


def test_large_pages_end_as_they_should(sql: Sql, tmp_path: Path) -> None:
    sql(
        TABLE,
        "INSERT INTO people (id, name, location) SELECT n, repeat('x', 30000), 'Oslo'"
        " FROM generate_series(1, 50) AS n",
    )
    with live(tmp_path, {"getbylocation": ["location"]}) as catalog:
        assert catalog.reader.find("getbylocation", ["Oslo"]).count == 17
        assert ids(catalog.records("getbylocation", "Oslo")) == list(range(1, 51))
