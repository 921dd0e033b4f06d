"""Every kind of lookup, asked of a cluster: through the master and of the workers themselves."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from nodes import Client
from nodes.errors import BadRequest
from nodes.load.workload import sample_lookups
from tests.catalog.kit import write
from tests.kit import hosted

RECORDS = [
    {
        "name": f"{'Anna' if number % 3 else 'anton'} {number:03}",
        "tags": ["all", f"t{number % 4}"],
        "address": {"city": "Oslo" if number % 2 else " OSLO"},
        "code": str(number),
    }
    for number in range(60)
]
DEFINITION = """
[lookups]
getbycode = ["code"]
getbytag = ["tags"]
getbycity = ["address.city"]
starting = { prefix = ["name"] }
search = { any = ["name", "tags", "address.city"] }

[fold]
fields = ["name", "address.city"]
"""


def test_every_kind_is_answered_by_every_worker(tmp_path: Path) -> None:
    data = write(tmp_path / "people", {"a.json": RECORDS, "dataset.toml": DEFINITION})
    by_name = sorted(RECORDS, key=lambda one: str(one["name"]).casefold())
    with hosted(2, data=data) as cluster:
        for direct in (False, True):
            with Client(cluster.address, direct=direct) as client:
                shapes = {one.name: one for one in client.describe().lookups}
                assert (shapes["starting"].kind, shapes["starting"].folded) == ("prefix", ("name",))
                assert (shapes["search"].kind, shapes["search"].fields) == ("any", ("words",))
                assert shapes["search"].searched == ("name", "tags", "address.city")
                assert shapes["getbytag"].lists == ("tags",)
                assert list(client.each("starting", "AN", limit=7)) == by_name
                assert list(client.each("getbycity", "oslo", limit=11)) == RECORDS
                assert client.lookup("getbytag", "t1") == RECORDS[1::4]
                assert client.lookup("search", "T1 anna 001") == [RECORDS[1]]
                assert client.lookup("getbycode", 7) == [RECORDS[7]]
                assert client.suggest("name", "ANT", limit=2) == ["anton 000", "anton 003"]
                first = client.page("starting", "an", limit=2)
                with pytest.raises(BadRequest, match="not a cursor of a page"):
                    client.page("starting", "ann", limit=2, after=first.after)
                with pytest.raises(BadRequest, match="write all words as one text"):
                    client.lookup("search", "anna", "001")
                answers = client.lookup_many([("search", "all"), ("starting", "anton 05")])
                assert answers == [RECORDS, RECORDS[51:60:3]]
        with Client(cluster.address) as client:
            asked = sample_lookups(client, Random(1), count=20)
            assert {name for name, _ in asked} == shapes.keys()
            found = client.lookup_many([(name, *args) for name, args in asked])
            assert all(isinstance(one, list) and one for one in found)
