"""Datasets: what `dataset.toml` may declare, and the defaults without it."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from nodes.catalog import check_data, ensure_catalog
from nodes.catalog.dataset import load_dataset
from nodes.errors import DataError
from nodes.master.service import MasterService
from nodes.support.verbs import OPERATIONS, RESERVED
from tests.catalog.conftest import Ask, Put
from tests.catalog.kit import CLASSIC, definition, person, write

PLAYER = {"player": "ada", "team": "Owls", "season": 2019}


def test_without_a_definition_people_get_the_three_lookups(put: Put, ask: Ask) -> None:
    catalog = ask(put({"a.json": [person("al")]}))
    assert {one.name: list(one.fields) for one in catalog.info.lookups} == CLASSIC
    assert catalog.info.name == "data"


def test_custom_lookups(put: Put, ask: Ask) -> None:
    later = {**PLAYER, "season": 2020}
    lookups = {"getbyteam": ["team", "season"], "who": ["player"], "in_season": ["season"]}
    catalog = ask(
        put({"a.json": [PLAYER, later], "dataset.toml": definition(lookups, name="Liga Ñ")})
    )
    assert catalog.info.name == "Liga Ñ"
    assert {one.name: list(one.fields) for one in catalog.info.lookups} == lookups
    assert catalog.records("getbyteam", "Owls", 2019) == [PLAYER]
    assert catalog.records("getbyteam", "Owls", "2020") == [later]
    assert catalog.records("getbyteam", "2019", 2019) == []
    assert catalog.records("who", "ada") == [PLAYER, later]
    assert catalog.records("in_season", 2020) == [later]


def test_fields_may_be_named_anything(put: Put, ask: Ask) -> None:
    odd = ['f0"; DROP TABLE records; --', "", "größe 🎈", "select", "a.b", "x" * 300]
    lookups = {f"by{number}": [field] for number, field in enumerate(odd)}
    record = {field: number for number, field in enumerate(odd)}
    catalog = ask(put({"a.json": [record], "dataset.toml": definition({**lookups, "all": odd})}))
    assert all(catalog.records(f"by{number}", number) == [record] for number in range(len(odd)))
    assert catalog.records("all", *range(len(odd))) == [record]


def test_files_are_those_that_are_named_in_that_order(put: Put, ask: Ask) -> None:
    catalog = ask(
        put(
            {
                "dataset.toml": 'files = ["sub/z.jsonl", "b.json"]',
                "b.json": [person("al", "B")],
                "sub/z.jsonl": '{"name": "al", "location": "Z", "year": 1}',
                "a.json": "{broken, but not named",
            }
        )
    )
    assert [one["location"] for one in catalog.records("getbyname", "al")] == ["Z", "B"]
    assert catalog.info.files == ("sub/z.jsonl", "b.json")


def test_other_records_without_a_definition_are_told_what_to_write(put: Put, ask: Ask) -> None:
    more = {"größe": 1.8, "grösse": None, "tags": ["x"], "名": "a", "前": "b"}
    data = put({"a.json": [{"tags": ["x"], **PLAYER}, {**PLAYER, **more}]})
    with pytest.raises(DataError) as caught:
        ensure_catalog(data)
    message = str(caught.value)
    assert "no record has 'name', 'location', 'year'" in message
    assert "the fields found are 'tags', 'player', 'team', 'season', 'größe'" in message
    assert str(data / "dataset.toml") in message
    # The example works unchanged, and has no lookup on `tags`, which has only lists.
    _, _, text = message.partition("for example:\n\n")
    assert text.startswith('name = "data"\n\n[lookups]\n')
    catalog = ask(put({"dataset.toml": text}))
    assert {one.fields for one in catalog.info.lookups} == {("player",), ("team",), ("season",)}
    assert catalog.records("getbyteam", "Owls") != []


def test_the_shown_definition_names_lookups_differently(put: Put, ask: Ask) -> None:
    data = put({"a.json": [{"名": 'quo"te', "前": "back\\slash\x7f", "!": 1}]})
    problem = check_data(data).problem
    catalog = ask(put({"dataset.toml": problem.partition("for example:\n\n")[2]}))
    assert [one.fields for one in catalog.info.lookups] == [("名",), ("前",), ("!",)]


def test_a_definition_without_lookups_is_added_to(put: Put) -> None:
    data = put({"dataset.toml": 'name = "league"\n', "a.json": [PLAYER]})
    with pytest.raises(DataError) as caught:
        ensure_catalog(data)
    assert "add the lookups you want in" in str(caught.value)
    assert "name =" not in str(caught.value)


@pytest.mark.parametrize("missing", ["name", "location", "year"])
def test_the_three_lookups_need_all_three_fields(put: Put, missing: str) -> None:
    record = {field: value for field, value in person("al").items() if field != missing}
    data = put({"a.json": [record, {missing: None}]})
    with pytest.raises(DataError, match=f"'{missing}' is empty in every record"):
        ensure_catalog(data)


def test_a_declared_lookup_on_no_field_lists_the_fields(put: Put) -> None:
    data = put({"a.json": [PLAYER], "dataset.toml": definition({"getbyclub": ["club", "season"]})})
    with pytest.raises(DataError) as caught:
        ensure_catalog(data)
    assert f"{data / 'dataset.toml'}: no record has 'club', which a" in str(caught.value)
    assert "lookup is on; the fields found are 'player', 'team', 'season'" in str(caught.value)


STORE = '[store]\nkind = "postgresql"\nurl_env = "URL"\n'
LIVE = STORE + 'mode = "live"\ntable = "people"\nkey = "id"\n'
WRONG = {
    "not TOML": ("name =", "not TOML"),
    "not UTF-8": (b'name = "\xff"', "not TOML in UTF-8"),
    "unknown key": ("lookup = 1", "unknown lookup; there are name, files, lookups"),
    "name not text": ("name = 7", "name must be text"),
    "name empty": ('name = ""', "name must be text"),
    "name with a bell": (r'name = "a\u0007"', "name must be text"),
    "files empty": ("files = []", "files must be a list of file names, each once"),
    "files a text": ('files = "a.json"', "files must be a list"),
    "file twice": ('files = ["a.json", "a.json"]', "each once"),
    "file outside": ('files = ["../data/a.json"]', "'../data/a.json' is not inside the folder"),
    "file absolute": ('files = ["/a.json"]', "'/a.json' is not inside the folder"),
    "file with NUL": (r'files = ["a\u0000.json"]', "is not inside the folder"),
    "file of another kind": ('files = ["a.txt"]', "'a.txt' is no file that is read: .json"),
    "file missing": ('files = ["b.json"]', "there is no file 'b.json' in"),
    "file name too long": (f'files = ["{"b" * 300}.json"]', "cannot be read"),
    "lookups empty": ("[lookups]", "must be a table of 1 to 64 lookups"),
    "lookups a list": ("lookups = []", "must be a table"),
    "too many": (definition({f"l{n}": ["name"] for n in range(65)}), "must be a table of 1 to 64"),
    "lookup capital": (definition({"GetByName": ["name"]}), "lookup 'GetByName': a name starts"),
    "lookup private": ('[lookups]\n_by = ["name"]', "lookup '_by': a name starts with a-z"),
    "lookup long": (definition({"l" * 65: ["name"]}), "64 in all"),
    "lookup a verb": (definition({"kill": ["name"]}), "kill: the master has a verb of that name"),
    "lookup on a text": ('[lookups]\nby = "name"', "must be a list of 1 to 8 field names"),
    "lookup on nothing": (definition({"by": []}), "must be a list of 1 to 8 field names"),
    "lookup on 7": ("[lookups]\nby = [7]", "must be a list of 1 to 8 field names"),
    "lookup on twice": (definition({"by": ["name", "name"]}), "field names, each once"),
    "kind unknown": (
        '[lookups]\nby = { like = ["name"] }',
        "by: there is no kind 'like'; there are exact, prefix, any",
    ),
    "kinds two": ('[lookups]\nby = { any = ["name"], prefix = ["name"] }', "must be a list of 1"),
    "kind on nothing": ("[lookups]\nby = { any = [] }", 'as { prefix = ["name"] }'),
    "fold a list": ('fold = ["name"]', "[fold] must be a table with the fields"),
    "fold empty": ("[fold]", "[fold] must be a table with the fields whose lookups ignore case"),
    "fold on another": ('[fold]\nfields = ["team"]', "[fold]: no lookup is on 'team'"),
    "fold on words": (
        '[lookups]\nby = { any = ["name"] }\n[fold]\nfields = ["name"]',
        "one of the kind any ignores case as it is",
    ),
    "words in a store": (
        STORE + '[lookups]\nby = { any = ["name"] }',
        "by: the kind any is not to be had of PostgreSQL; leave [store] out to serve files",
    ),
    "beginnings live": (
        LIVE + '[lookups]\nby = { prefix = ["name"] }',
        "by: the kind prefix is not to be had of a table that is read live",
    ),
    "fold live": (LIVE + '[fold]\nfields = ["name"]', "[fold] is not to be had of a table"),
    "lookup on nine": (definition({"by": list("abcdefghi")}), "1 to 8 field names"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_definition_says_what_is_wrong(put: Put, case: str) -> None:
    content, message = WRONG[case]
    with pytest.raises(DataError) as caught:
        load_dataset(put({"dataset.toml": content, "a.json": [person("al")], "a.txt": "x"}))
    assert message in str(caught.value)
    assert "data" in str(caught.value)


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        (
            '["address"]',
            "'address' holds objects, whose fields are named as address.city: a lookup",
        ),
        ('["address.nowhere"]', "no record has 'address.nowhere', which a lookup is on"),
        ('["empty"]', "'empty' holds lists without either: a lookup needs text or numbers"),
        (
            '["nothing", "club"]',
            "no record has 'club', which a lookup is on; 'nothing' is empty in",
        ),
        ('{ any = ["club"] }', "no record has 'club', which a lookup is on"),
        (
            '{ prefix = ["season"] }',
            "by is of the kind prefix, and 'season' holds integers: it must",
        ),
        ('{ prefix = ["tags"] }', "by is of the kind prefix, and 'tags' holds lists: it must have"),
        ('{ prefix = ["tags", "season"] }', "'season' holds integers"),
    ],
)
def test_a_lookup_on_what_it_cannot_compare_is_told_what_is_there(
    put: Put, lookup: str, message: str
) -> None:
    more: dict[str, object] = {
        "tags": ["x"],
        "address": {"city": "Oslo"},
        "empty": [[], {}],
        "nothing": None,
    }
    data = put({"a.json": [{**PLAYER, **more}], "dataset.toml": f"[lookups]\nby = {lookup}"})
    with pytest.raises(DataError, match=message):
        ensure_catalog(data)
    assert message in check_data(data).problem


@pytest.mark.parametrize(
    "changed",
    ['{ prefix = ["player"] }', '{ any = ["player"] }', '["player"]\n[fold]\nfields = ["player"]'],
)
def test_another_kind_is_another_catalog(put: Put, changed: str) -> None:
    files: dict[str, object] = {
        "a.json": [PLAYER],
        "dataset.toml": '[lookups]\nby = ["player"]',
    }
    before = ensure_catalog(put(files))
    after = ensure_catalog(put({"dataset.toml": f"[lookups]\nby = {changed}"}))
    assert after.version != before.version
    assert ensure_catalog(put(files)).version == before.version


def test_no_records_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder or file of records"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"add a file: \.json, \.jsonl"):
        load_dataset(write(tmp_path / "empty", {"readme.txt": "x"}))
    with pytest.raises(DataError, match=r"is of no kind that is read: \.json"):
        load_dataset(tmp_path / "empty" / "readme.txt")
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset(tmp_path / ("x" * 300))
    with pytest.raises(DataError, match=r"no usable record in a\.json"):
        ensure_catalog(write(tmp_path / "none", {"a.json": "{}"}))


def test_a_lookup_cannot_have_the_name_of_a_verb_of_the_master() -> None:
    service = MasterService(Mock(operator_verbs=dict.fromkeys(OPERATIONS)))
    verbs = service._verbs.keys()
    assert "register" in verbs
    assert verbs <= RESERVED
