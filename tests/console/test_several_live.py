"""Two real masters on one screen: a key acts on one, and the end of one is not the other's."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from console.app import RollcallApp
from console.cluster_factory import attaching_all
from console.lines import Tone
from console.settings import Settings
from console.text import UNICODE
from nodes.cluster import HostedCluster
from tests.console.test_live import Console, run
from tests.kit import hosted, up


def pid(cluster: HostedCluster, worker_id: str) -> int:
    """The process of a worker, as its own master knows it."""
    return next(one.pid for one in cluster.snapshot().workers if one.id == worker_id)


@pytest.mark.long
def test_what_is_done_to_one_cluster_and_what_becomes_of_it_is_not_the_other_s() -> None:
    async def test(a: HostedCluster, b: HostedCluster) -> None:
        name_a, name_b = (f":{one.address.rpartition(':')[2]}" for one in (a, b))
        first, second = (a, name_a), (b, name_b)
        if int(name_a[1:]) > int(name_b[1:]):
            first, second = second, first  # rows are in the order of their names
        (other, other_name), (hit, hit_name) = first, second
        spared, killed = pid(other, "w1"), pid(hit, "w1")
        app = RollcallApp(
            clusters=attaching_all([a.address, b.address]),
            settings=Settings(),
            glyphs=UNICODE,
            attached=True,
            poll_interval_s=0.1,
        )
        async with app.run_test(size=(120, 36)) as pilot:
            console = Console(app, pilot)
            keys = [f"w1 of {other_name}", f"w1 of {hit_name}"]
            await console.until(lambda: app.main.table.keys == keys)
            await console.press("j", "K")
            assert await console.confirm() == f"Kill w1 of {hit_name}?"
            await console.until(lambda: not psutil.pid_exists(killed))
            await console.until(lambda: f"{hit_name}   OUTAGE" in console.lines()[0])
            assert f"{other_name}   HEALTHY" in console.lines()[0]
            assert (up(other), pid(other, "w1")) == (["w1"], spared)
            await console.press("s")
            await console.until(lambda: up(hit) == ["w2"])
            await console.press("t")
            await console.until(lambda: hit.snapshot().answered > 5)
            assert other.snapshot().answered == 0
            frozen = pid(hit, "w2")
            app.main.table.select(f"w2 of {hit_name}")
            await console.press("f")
            assert await console.confirm() == f"Freeze w2 of {hit_name}?"
            await console.until(lambda: psutil.Process(frozen).status() == psutil.STATUS_STOPPED)
            await asyncio.to_thread(other.close)
            await console.until(lambda: f"{other_name}   MASTER LOST" in console.lines()[0])
            rows = {row.key: row.tone for row in app.main.table.rows}
            assert rows[f"w1 of {other_name}"] is Tone.FAINT
            assert rows[f"w2 of {hit_name}"] is Tone.PLAIN
            await console.until_later()
            await console.press("s")
            await console.until(lambda: "w3" in up(hit))
        await asyncio.to_thread(app.clusters.stop)
        assert psutil.Process(frozen).status() != psutil.STATUS_STOPPED
        assert not any(one.traffic.running for one in app.clusters)

    with hosted(1) as a, hosted(1) as b:
        run(lambda: test(a, b))
