"""The console, driven by keys and mouse, over a real master and real worker processes."""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Static

from console.app import RollcallApp
from console.cluster_factory import attaching, hosting
from console.lines import Tone
from console.screens.confirm import ConfirmScreen, MessageScreen
from console.screens.worker import WorkerScreen
from console.settings import Settings
from console.text import UNICODE
from nodes.client.blocking import Client
from nodes.wire import WorkerView
from tests.kit import PATIENCE, Node, load_from_threads, shipped_records

RECORDS = shipped_records()


class Console:
    """A console at work: its app, its pilot, and what a person would look for."""

    def __init__(self, app: RollcallApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    async def until(self, condition: Callable[[], Any], timeout: float = PATIENCE) -> None:
        """Waits until `condition()` is true, letting the screen go on."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s; on the screen:\n{self.text()}")
            await self.pilot.pause(0.02)

    async def press(self, *keys: str) -> None:
        """Presses keys."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Types a text, all of it at once."""
        names = {" ": "space", '"': "quotation_mark"}
        for char in text:
            self.app.post_message(Key(names.get(char, char), char))
        await self.pilot.pause()

    def text(self) -> str:
        """All that is on the screen, as text."""
        width, height = self.app.size
        return "\n".join(self.lines()) if width and height else ""

    def lines(self) -> list[str]:
        """The lines of the screen."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    def worker(self, worker_id: str) -> WorkerView:
        """A worker as the console knows it."""
        found = self.app.find(worker_id)
        assert found is not None
        return found.worker

    def states(self) -> dict[str, str]:
        """The state of every worker on the screen's table."""
        return {row.key: row.cells[1].split()[-1] for row in self.app.main.table.rows}

    async def all_up(self, *ids: str) -> None:
        """Waits until exactly these are up."""
        await self.until(
            lambda: [k for k, state in self.states().items() if state == "up"] == list(ids)
        )

    async def until_later(self) -> None:
        """Waits until a spawn is no longer taken for a key that is held down."""
        await self.until(lambda: not self.app.steering.is_again())

    async def confirm(self) -> str:
        """Waits for the question, says yes, and returns the question."""
        await self.until(lambda: self.app.screen.query("#no"))
        question = self.app.screen.query_one("#question", Static)
        await self.press("y")
        await self.until(lambda: not isinstance(self.app.screen, ConfirmScreen))
        return str(question.content)


@asynccontextmanager
async def console(
    *,
    workers: int = 3,
    attach: str | None = None,
    size: tuple[int, int] = (120, 36),
    **options: Any,
) -> AsyncIterator[Console]:
    """A console over a cluster of its own, or attached to one."""
    opening = (
        attaching(attach)
        if attach is not None
        else hosting(port=0, workers=workers, data=None, balance="load")
    )
    app = RollcallApp(
        clusters={"": opening},
        settings=Settings(),
        glyphs=UNICODE,
        attached=attach is not None,
        poll_interval_s=0.1,
        **options,
    )
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            shown = Console(app, pilot)
            await shown.until(lambda: app.snapshot is not None)
            yield shown
    finally:
        await asyncio.to_thread(app.clusters.stop)


async def answered(shown: Console, text: str) -> None:
    """Waits until the line under the query box says `text`."""
    await shown.until(lambda: text in shown.app.main.answers.text)


def footer(shown: Console) -> tuple[str, ...]:
    """The cells of the last line of the worker list."""
    total = shown.app.main.table.footer
    return total.cells if total is not None else ()


def run(test: Callable[[], Any]) -> None:
    """Runs a test that waits."""
    asyncio.run(test())


def test_workers_come_up_by_themselves_and_more_by_key_and_by_button() -> None:
    async def test() -> None:
        async with console() as shown:
            await shown.all_up("w1", "w2", "w3")
            await shown.press("s")
            await shown.all_up("w1", "w2", "w3", "w4")
            await shown.until_later()
            await shown.pilot.click("#do-spawn")
            await shown.all_up("w1", "w2", "w3", "w4", "w5")
            assert "5 up" in shown.text()

    run(test)


def test_a_killed_worker_goes_grey_with_its_reason_and_another_answers() -> None:
    async def test() -> None:
        async with console() as shown:
            await shown.all_up("w1", "w2", "w3")
            await shown.press("down", "K")
            assert await shown.confirm() == "Kill w2?"
            # The promise is 1 s; a busy machine is given more before the test complains.
            await shown.until(lambda: shown.states()["w2"] == "down", 5.0)
            await shown.until(lambda: "by an operator" in shown.worker("w2").why)
            row = next(row for row in shown.app.main.table.rows if row.key == "w2")
            assert row.tone is Tone.FAINT
            await shown.press("a")
            await shown.type("getbyname xander")
            await shown.press("enter")
            await answered(shown, "1 record")
            assert shown.app.main.answers.text.split("  ")[1] in ("w1", "w3")
            assert "Kansas City" in shown.text()

    run(test)


@pytest.mark.parametrize("answer", ["n", "escape", "enter"])
def test_no_is_the_default(answer: str) -> None:
    async def test() -> None:
        async with console(workers=1) as shown:
            await shown.all_up("w1")
            await shown.press("K")
            await shown.until(lambda: shown.app.screen.query("#no"))
            await shown.press(answer)
            await shown.until(lambda: not isinstance(shown.app.screen, ConfirmScreen))
            assert "killed" not in [event.kind for event in shown.app.front.events]
            assert psutil.pid_exists(shown.worker("w1").pid)

    run(test)


@pytest.mark.long
def test_drain_restart_and_scale() -> None:
    async def test() -> None:
        async with console() as shown:
            await shown.all_up("w1", "w2", "w3")
            pids = {key: shown.worker(key).pid for key in ("w1", "w2", "w3")}
            await shown.press("d")
            assert await shown.confirm() == "Drain w1?"
            await shown.until(lambda: shown.states()["w1"] == "down")
            shown.app.main.table.select("w2")
            await shown.press("r")
            assert await shown.confirm() == "Restart w2?"
            await shown.until(lambda: shown.worker("w2").pid not in (0, pids["w2"]))
            await shown.all_up("w2", "w3")
            await shown.press("plus")
            await shown.all_up("w2", "w3", "w4")
            await shown.press("colon")
            await shown.type("scale 1")
            await shown.press("enter")
            assert await shown.confirm() == "Drain w2, w4?"
            await shown.until(lambda: list(shown.states().values()).count("up") == 1)

    run(test)


@pytest.mark.long
def test_freeze_is_marked_and_thaw_brings_it_back() -> None:
    async def test() -> None:
        async with console(workers=2) as shown:
            await shown.all_up("w1", "w2")
            pid = shown.worker("w1").pid
            await shown.press("f")
            assert await shown.confirm() == "Freeze w1?"
            await shown.until(lambda: "frozen w1" in shown.text())
            assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
            await shown.until(lambda: shown.worker("w1").state == "suspect")
            await shown.press("f")  # no question: it only goes on
            await shown.until(lambda: "frozen w1" not in shown.text())
            await shown.all_up("w1", "w2")
            assert shown.worker("w1").pid == pid

    run(test)


@pytest.mark.long
def test_quitting_leaves_nothing_frozen_and_no_process() -> None:
    async def test() -> None:
        async with console(workers=2) as shown:
            await shown.all_up("w1", "w2")
            pids = [shown.worker(key).pid for key in ("w1", "w2")]
            await shown.press("t", "f")
            await shown.confirm()
            await shown.until(lambda: "frozen w1" in shown.text())
            await shown.press("q")
            await shown.until(lambda: isinstance(shown.app.screen, ConfirmScreen))
            await shown.until(lambda: "2 worker(s) stop" in shown.text())
            await shown.press("y")
            await shown.until(lambda: not shown.app.is_running)
            assert shown.app.return_value == 0
            assert not any(psutil.pid_exists(pid) for pid in pids)
            assert not shown.app.front.traffic.running

    run(test)


def test_a_query_by_keyboard_alone() -> None:
    async def test() -> None:
        async with console(workers=1) as shown:
            await shown.all_up("w1")
            asking = shown.app.main
            await shown.press("a")
            await shown.type("getbyy")
            await shown.until(lambda: asking.prompt._suggestion == "getbyyear ")
            await shown.press("tab")
            await shown.type('"New York C')
            await shown.until(lambda: asking.prompt._suggestion.endswith('"New York City"'))
            await shown.press("tab")
            await shown.type(" 2002")
            await shown.press("enter")
            await answered(shown, "all shown  w1")
            assert {r["year"] for r in asking.answers.records} == {2002}
            await shown.press("ctrl+u")
            await shown.type("getbyname xandr")
            await shown.press("enter")
            await answered(shown, "did you mean xander")
            await shown.press("ctrl+u")
            await shown.type("getbyyear Miami abc")
            await shown.press("enter")
            await answered(shown, "year must be an integer")
            await shown.press("up", "up")
            assert asking.prompt.value == "getbyname xandr"
            assert shown.app.settings.queries[-1] == "getbyyear Miami abc"

    run(test)


@pytest.mark.long
def test_results_are_paged_and_exported(tmp_path: Path) -> None:
    async def test() -> None:
        async with console(workers=1) as shown:
            await shown.all_up("w1")
            shown.app.front.driver.look_up(["getbylocation", "New York City"], limit=3)
            await answered(shown, "3 records, n: next page")
            shown.app.main.answers.results.focus()
            await shown.press("n")
            await shown.until(lambda: len(shown.app.main.answers.records) > 3)
            target = tmp_path / "found.csv"
            shown.app.action_line(f"export {target}")
            await shown.until(target.exists)
            assert target.read_text().count("New York City") == len(shown.app.main.answers.records)
            shown.app.action_line(f"export {target}")
            assert await shown.confirm() == f"Replace {target}?"

    run(test)


@pytest.mark.long
def test_the_worker_screen_shows_figures_events_and_the_log() -> None:
    async def test() -> None:
        async with console(workers=1) as shown:
            await shown.all_up("w1")
            await shown.press("enter")
            await shown.until(lambda: isinstance(shown.app.screen, WorkerScreen))
            await shown.until(lambda: "ready: w1 at" in shown.text())
            assert "registered" in shown.text()
            assert "lookups/s" in shown.text()
            await shown.press("escape")
            await shown.until(lambda: shown.app.screen is shown.app.main)

    run(test)


def test_an_attached_console_stays_and_comes_back() -> None:
    async def test() -> None:
        first = Node("up", "--workers", "1", "--port", "0", "--json")
        address = first.ready["master"]
        port = address.rpartition(":")[2]
        try:
            async with console(attach=address) as shown:
                await shown.all_up("w1")
                await shown.press("s")
                await shown.all_up("w1", "w2")
                await asyncio.to_thread(first.close)
                await shown.until(lambda: "MASTER LOST" in shown.text())
                assert shown.app.is_running
                second = Node("up", "--workers", "1", "--port", port, "--json")
                try:
                    await shown.until(lambda: "MASTER LOST" not in shown.text())
                    await shown.all_up("w1")
                finally:
                    await asyncio.to_thread(second.close)
        finally:
            await asyncio.to_thread(first.close)

    run(test)


def test_a_read_only_console_steers_nothing_and_a_guest_s_writes_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with console(workers=1, read_only=True, guest=True) as shown:
            await shown.all_up("w1")
            assert "read-only" in shown.text()
            for key in ("s", "K", "d", "r", "f", "R", "plus", "minus"):
                await shown.press("down", key)
            assert shown.app.screen is shown.app.main
            assert not shown.app.query("#do-kill")
            shown.app.action_line("kill w1")
            await shown.pilot.pause()
            kinds = [event.kind for event in shown.app.front.events]
            assert kinds == ["started", "spawned", "registered", "proved"]
            shown.app.action_line(f"export {tmp_path}/x.json")
            await shown.until(lambda: "writes no files" in shown.text())
            assert list(tmp_path.iterdir()) == []

    run(test)


def test_what_is_shown_is_what_an_observer_counts() -> None:
    async def test() -> None:
        async with console(size=(220, 50)) as shown:
            await shown.all_up("w1", "w2", "w3")
            [result] = await asyncio.to_thread(
                load_from_threads,
                shown.app.front.driver.address,
                clients=1,
                lookups=300,
                records=RECORDS,
            )
            assert (result.answers, result.errors) == (300, [])
            await shown.until(lambda: "300" in footer(shown))
            assert shown.app.snapshot is not None
            assert shown.app.snapshot.answered == 300
            assert shown.app.snapshot.in_flight == 0
            assert "answered 300" in shown.text()
            # The window is 10 s and some, or all there was; all of it happened in it, or most.
            spanned_s = min(shown.app.snapshot.uptime_s, 11.0)
            assert 150 / spanned_s <= shown.app.snapshot.mean_lookups_per_s <= 310 / spanned_s
            p99 = shown.app.snapshot.p99_ms
            assert p99 is not None
            # The client waits for what the master does, and a little more.
            assert p99 <= result.slowest * 1000 * 1.1

    run(test)


@pytest.mark.long
def test_traffic_is_marked_while_it_runs() -> None:
    async def test() -> None:
        async with console(workers=1) as shown:
            await shown.all_up("w1")
            await shown.press("t")
            await shown.until(lambda: "traffic 50/s" in shown.lines()[0])
            await shown.until(lambda: shown.worker("w1").served > 20)
            await shown.press("t")
            await shown.until(lambda: "traffic" not in shown.lines()[0])
            assert not shown.app.front.traffic.running

    run(test)


def app_of(data: Path) -> RollcallApp:
    """A console that hosts a cluster of these records."""
    return RollcallApp(
        clusters={"": hosting(port=0, workers=1, data=data, balance="load")},
        settings=Settings(),
        glyphs=UNICODE,
        attached=False,
    )


def test_a_cluster_that_cannot_start_is_explained(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "broken.json").write_text('{"a": ')
        app = app_of(tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            shown = Console(app, pilot)
            await shown.until(lambda: isinstance(app.screen, MessageScreen))
            await shown.until(lambda: "broken.json" in shown.text())
            await shown.press("escape")
        assert app.return_code == 2
        app.clusters.stop()

    run(test)


@pytest.mark.parametrize("answer", ["y", "n"])
def test_records_without_a_definition_get_one_if_the_operator_wants_it(
    tmp_path: Path, answer: str
) -> None:
    async def test() -> None:
        (tmp_path / "stock.csv").write_text("code,colour\nA1,red\nB2,blue\n")
        definition = tmp_path / "dataset.toml"
        app = app_of(tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            shown = Console(app, pilot)
            await shown.until(lambda: isinstance(app.screen, ConfirmScreen))
            assert 'getbycode = ["code"]' in shown.text()
            assert not definition.exists()
            await shown.press(answer)
            if answer == "y":
                await shown.all_up("w1")
                assert tomllib.loads(definition.read_text())["lookups"] == {
                    "getbycode": ["code"],
                    "getbycolour": ["colour"],
                }
                with Client(app.front.driver.address) as client:
                    found = await asyncio.to_thread(client.lookup, "getbycode", "B2")
                assert [record["colour"] for record in found] == ["blue"]
            else:
                await shown.until(lambda: isinstance(app.screen, MessageScreen))
                assert not definition.exists()
        app.clusters.stop()

    run(test)


def test_a_client_of_the_hosted_master_is_answered() -> None:
    async def test() -> None:
        async with console(workers=1) as shown:
            await shown.all_up("w1")
            with Client(shown.app.front.driver.address) as client:
                assert await asyncio.to_thread(client.getbyname, "xander")

    run(test)
