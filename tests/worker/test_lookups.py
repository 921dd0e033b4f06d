"""What a worker answers: the same on the fast path as on the general one; much of it in slices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.catalog import ensure_catalog, open_catalog
from nodes.catalog.questions import SLICE_RECORDS
from nodes.transport import encode_arguments, shortcuts
from nodes.wire import LookupRequest, batch_size, encode_batch, encode_request
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.counters import Counters
from nodes.worker.service import SLICE_LOOKUPS, Lookups
from tests.catalog.kit import person, write

ALONE = 40
TOGETHER = 2 * SLICE_RECORDS + 1
NAMES = [f"p{number}" for number in range(ALONE)]
PEOPLE = [person(name, "Oslo", 2000 + number) for number, name in enumerate(NAMES)]
PEOPLE += [person("many", "Rome", 1990 + number % 3) for number in range(TOGETHER)]
PEOPLE += [person("ümlaut", "Köln", -5), person("", "", 0)]


@pytest.fixture(scope="module")
def lookups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lookups]:
    base = tmp_path_factory.mktemp("worker")
    data = write(base / "data", {"a.json": PEOPLE[:20], "b.json": PEOPLE[20:]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLCALL_CACHE", str(base / "cache"))
        catalog = open_catalog(ensure_catalog(Path(data)).path)
    versions = CatalogVersions(catalog)
    yield Lookups(versions, Counters())
    versions.close()
    catalog.close()


def result(reply: object) -> object:
    """What a worker says in the end."""
    if not isinstance(reply, Awaitable):
        return reply

    async def wait() -> object:
        return await reply

    return asyncio.run(wait())


TEXTS = st.sampled_from([*NAMES[:3], "many", "ümlaut", "", "Oslo", "Köln", "getbyname"]) | st.text(
    max_size=300
)
VALUES = (
    TEXTS | st.integers(-(2**70), 2**70) | st.integers(1990, 2050) | st.booleans() | st.floats()
)
NAMED = st.sampled_from(["getbyname", "getbylocation", "getbyyear"]) | VALUES


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(asked=st.tuples(NAMED) | st.tuples(NAMED, VALUES) | st.tuples(NAMED, VALUES, VALUES))
def test_the_fast_path_says_what_the_general_one_says(
    lookups: Lookups, asked: tuple[Any, ...]
) -> None:
    try:
        encoded = encode_arguments(asked)
    except ValueError:
        return  # it cannot cross at all
    fast = lookups.ask_fast(encoded)
    assert fast is None or fast == result(lookups.ask(*asked))


@pytest.mark.parametrize(
    "asked",
    [
        ("getbyname", "p7"),
        ("getbyname", "nobody"),
        ("getbyyear", "Oslo", 2003),
        ("getbyname", "ümlaut"),
    ],
)
def test_what_finds_one_record_or_none_takes_the_fast_path(
    lookups: Lookups, asked: tuple[Any, ...]
) -> None:
    assert lookups.ask_fast(encode_arguments(asked)) == result(lookups.ask(*asked))


@given(st.tuples(VALUES, VALUES))
def test_short_arguments_are_those_that_were_encoded(values: tuple[Any, ...]) -> None:
    try:
        encoded = encode_arguments(values)
    except ValueError:
        return
    found = shortcuts.short_arguments(encoded)
    assert found is None or (tuple(found), list(map(type, found))) == (
        values,
        list(map(type, values)),
    )
    assert shortcuts.short_arguments(encoded[:-1]) is None


def steps(work: object) -> tuple[object, int]:
    """The result of some work, and how often something else could be done meanwhile."""
    assert isinstance(work, Awaitable)

    async def count() -> tuple[object, int]:
        task = asyncio.ensure_future(work)
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        return task.result(), turns

    return asyncio.run(count())


def test_a_large_page_leaves_time_for_others(lookups: Lookups) -> None:
    request = LookupRequest("getbyname", ("many",), 10_000, None, 10.0)
    part, turns = steps(lookups.lookup(encode_request(request)))
    assert msgspec.json.decode(b"{%b}" % cast("bytes", part))["count"] == TOGETHER
    assert turns >= TOGETHER // SLICE_RECORDS


def test_a_batch_leaves_time_for_others(lookups: Lookups) -> None:
    asked = [["getbyname", name] for name in NAMES * 10]
    body = b",".join(map(msgspec.json.encode, asked))
    part, turns = steps(lookups.lookup_many(encode_batch(body, limit=5, most=1 << 20, within=10.0)))
    assert batch_size(cast("bytes", part)) == len(asked)
    assert turns >= len(asked) // SLICE_LOOKUPS
