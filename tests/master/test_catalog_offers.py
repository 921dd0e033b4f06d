"""What a master offers of its catalogs, and how long it waits for those that fetch one."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import pytest

from nodes.catalog import CatalogInfo, ensure_catalog
from nodes.catalog.seal import seal
from nodes.errors import BadRequest, NotPossible, Overloaded, Stopping
from nodes.master.catalog_offers import MAX_PARTS_ASKED, CatalogOffers
from nodes.master.fetch_patience import FetchPatience
from tests.catalog.kit import person, write

PART_BYTES = 5000


def build(folder: Path, name: str) -> CatalogInfo:
    """A catalog of its own."""
    return ensure_catalog(write(folder / name, {"a.json": [person(name)]}), cache=folder / "cache")


@contextlib.contextmanager
def offers(*offered: CatalogInfo) -> Iterator[CatalogOffers]:
    """Those are offered."""
    made = CatalogOffers(lambda: offered, part_bytes=PART_BYTES)
    try:
        yield made
    finally:
        made.stop()


async def fetch(made: CatalogOffers, version: str) -> bytes:
    """All of it."""
    offer = await made.offer(version)
    data = b""
    while len(data) < offer.bytes:
        part = (await made.part(offer.version, len(data))).data
        assert 0 < len(part) <= PART_BYTES
        data += part
    assert offer.digest == blake2b(data, digest_size=32).hexdigest()
    return data


def test_each_that_is_offered_can_be_fetched_part_by_part(tmp_path: Path) -> None:
    now, before = build(tmp_path, "now"), build(tmp_path, "before")
    with offers(now, before) as made:

        async def look() -> None:
            assert (await made.offer("")).version == now.version
            for one in (now, before):
                assert await fetch(made, one.version) == Path(one.path).read_bytes()

        asyncio.run(look())


def refusals(
    tmp_path: Path, ask: Callable[[CatalogOffers, str], Awaitable[object]], *, known: bool = True
) -> None:
    """Asks something of a master whose offer is known, or not yet."""
    info = build(tmp_path, "now")
    with offers(info) as made:

        async def look() -> None:
            if known:
                await made.offer("")
            await ask(made, info.version)

        asyncio.run(look())


def test_what_is_not_offered_is_refused(tmp_path: Path) -> None:
    with offers() as none, pytest.raises(NotPossible, match="has no records to give"):
        asyncio.run(none.offer(""))
    with pytest.raises(NotPossible, match="does not serve catalog 'other'"):
        refusals(tmp_path, lambda made, _: made.offer("other"))
    with pytest.raises(NotPossible, match=r"does not serve catalog '\.\./x'"):
        refusals(tmp_path, lambda made, _: made.part("../x", 0))
    with pytest.raises(NotPossible, match=r"offer of catalog '.*' first"):
        refusals(tmp_path, lambda made, version: made.part(version, 0), known=False)
    with pytest.raises(BadRequest, match="the catalog has"):
        refusals(tmp_path, lambda made, version: made.part(version, 1 << 40))


def test_a_file_that_is_another_by_now_is_offered_anew(tmp_path: Path) -> None:
    info = build(tmp_path, "now")
    with offers(info) as made:

        async def look() -> None:
            before = await made.offer("")
            path = Path(info.path)
            other = path.with_name("other")
            other.write_bytes(path.read_bytes() + b"more")
            seal(other)
            other.replace(path)
            with pytest.raises(NotPossible, match="another now"):
                await made.part(info.version, 0)
            after = await made.offer("")
            assert (after.bytes, after.digest) != (before.bytes, before.digest)
            assert await fetch(made, info.version) == path.read_bytes()

        asyncio.run(look())


@pytest.mark.parametrize("harm", [Path.unlink, Path.touch, lambda path: os.truncate(path, 4096)])
def test_a_file_that_is_gone_or_damaged_is_sent_to_nobody_until_it_is_there_again(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    info = build(tmp_path, "now")
    with offers(info) as made:

        async def look() -> None:
            await made.offer("")
            harm(Path(info.path))
            for ask in (made.part(info.version, 0), made.offer("")):
                with pytest.raises(Overloaded, match="is being put back"):
                    await ask
            build(tmp_path, "now")
            assert await fetch(made, info.version) == Path(info.path).read_bytes()

        asyncio.run(look())


def test_too_many_at_a_time_are_told_to_come_back(tmp_path: Path) -> None:
    info = build(tmp_path, "now")
    with offers(info) as made:

        async def look() -> None:
            await made.offer("")
            asked = [made.part(info.version, 0) for _ in range(MAX_PARTS_ASKED + 3)]
            told = await asyncio.gather(*asked, return_exceptions=True)
            refused = [one for one in told if isinstance(one, Overloaded)]
            assert len(refused) == 3
            assert all(one.retry_after_ms for one in refused)
            await made.part(info.version, 0)

        asyncio.run(look())


def test_a_master_that_has_stopped_sends_to_the_next(tmp_path: Path) -> None:
    with offers(build(tmp_path, "now")) as made:
        made.stop()
        with pytest.raises(Stopping):
            asyncio.run(made.offer(""))


Reports = list[tuple[int, float]]
"""Bytes that have come, and when that was said (seconds)."""


@pytest.mark.parametrize(
    ("reports", "over"),
    [
        pytest.param([(0, 0.0)], [False], id="it begins"),
        pytest.param([(0, 0.0), (0, 9.9)], [False, False], id="nothing yet"),
        pytest.param([(0, 0.0), (0, 10.0)], [False, True], id="nothing for too long"),
        pytest.param([(0, 9.0), (1, 18.0), (2, 27.0)], [False] * 3, id="slow, and it moves"),
        pytest.param([(5, 0.0), (5, 9.0), (5, 11.0)], [False, False, True], id="it stalls"),
        pytest.param([(5, 0.0), (3, 9.0), (4, 11.0)], [False, False, True], id="backward is none"),
        pytest.param([(n, n * 9.0) for n in range(13)], [False] * 12 + [True], id="at most"),
    ],
)
def test_one_that_fetches_is_waited_for_while_it_gets_further(
    reports: Reports, over: list[bool]
) -> None:
    patience = FetchPatience(0.0, stall_s=10.0, most_s=100.0)
    assert [patience.over(done, now) for done, now in reports] == over
