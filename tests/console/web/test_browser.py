"""The console in a real browser, as an operator has it: keys, mouse, a lookup, a kill."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from console.settings import Settings, save_settings, settings_file
from nodes.cluster import HostedCluster
from tests.kit import hosted, kill_process, poll_for, up

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), "")
WHY_NOT = ""
if not CHROMIUM:
    WHY_NOT = "there is no Chromium here"
elif importlib.util.find_spec("playwright") is None:
    WHY_NOT = "what drives a browser is not installed: pip install -e '.[test,checks]'"

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
    pytest.mark.timeout(120),
    # Of a library, in the browser's driver.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

PATIENCE_S = 20.0
LARGE: Any = {"width": 1280, "height": 800}
W3 = 100, 452
"""A place in the row of the third worker, in pixels."""
SMALL: Any = {"width": 640, "height": 400}


class Browser:
    """A page with the console.

    Attributes:
        page: playwright's.
        drawn: all that the console has drawn in it so far.
        elsewhere: what the page asked others than its own server for.
    """

    def __init__(self, page: Any, server: str) -> None:
        self.page = page
        self.drawn = ""
        self.elsewhere: list[str] = []
        page.on("websocket", self._listen)
        page.on("request", lambda asked: self._note(asked.url, server))

    def _listen(self, socket: Any) -> None:
        def take(data: bytes | str) -> None:
            self.drawn += data.decode("utf-8", "replace") if isinstance(data, bytes) else ""

        socket.on("framereceived", take)

    def _note(self, url: str, server: str) -> None:
        if not url.startswith((server, "data:")):
            self.elsewhere.append(url)

    def until(self, what: str) -> None:
        """Waits until that is drawn."""
        poll_for(lambda: self._turn() and what in self.drawn, PATIENCE_S, f"{what!r} drawn")

    def _turn(self) -> bool:
        self.page.wait_for_timeout(50)
        return True


@contextmanager
def web(cluster: HostedCluster, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`rollcall-web`, and its link."""
    command = [sys.executable, "-m", "console.web.command", "--attach", cluster.address]
    with subprocess.Popen(
        [*command, "--port", "0", *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[1]
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@contextmanager
def browser(link: str) -> Iterator[Browser]:
    """A browser that opened the link."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            here = Browser(chromium.new_context(viewport=LARGE).new_page(), link.partition("?")[0])
            here.page.goto(link)
            here.until("HEALTHY")
            yield here
        finally:
            chromium.close()


def test_it_is_seen_asked_and_not_changed(tmp_path: Path) -> None:
    save_settings(Settings(commands=["export theirs.json"]))
    kept = settings_file().read_bytes()
    with hosted(3) as cluster, web(cluster) as (_, link), browser(link) as shown:
        page = shown.page
        assert "key=" not in page.url
        assert shown.elsewhere == []
        [cookie] = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert page.evaluate("document.cookie") == ""
        page.keyboard.press("a")  # nobody clicked into the page
        page.keyboard.type("getbyname xander")
        page.keyboard.press("Enter")
        poll_for(lambda: shown._turn() and cluster.snapshot().answered > 0, PATIENCE_S)
        page.keyboard.press("Escape")
        page.wait_for_timeout(700)
        page.keyboard.press("Shift+K")
        page.keyboard.press("y")
        page.keyboard.type(f":export {tmp_path}/x.json")
        page.keyboard.press("Enter")
        shown.until("writes no files")
        page.keyboard.press("?")
        shown.until("read-only")
        assert up(cluster) == ["w1", "w2", "w3"]
        shown.drawn = ""
        page.set_viewport_size(SMALL)
        shown.until("HEALTHY")
        page.keyboard.press("Escape")
        page.wait_for_timeout(700)
        page.keyboard.type(":")
        page.keyboard.press("ArrowUp")
        page.wait_for_timeout(200)
    assert "theirs" not in shown.drawn
    assert list(tmp_path.iterdir()) == []
    assert settings_file().read_bytes() == kept


def test_who_may_steer_kills_a_worker_that_is_confirmed() -> None:
    with hosted(3) as cluster, web(cluster, "--steer") as (_, link), browser(link) as shown:
        page = shown.page
        page.mouse.click(*W3)
        shown.drawn = ""
        page.keyboard.press("Shift+K")
        shown.until("Kill")
        assert up(cluster) == ["w1", "w2", "w3"]
        page.keyboard.press("y")
        poll_for(lambda: shown._turn() and up(cluster) == ["w1", "w2"], PATIENCE_S)


def test_a_page_elsewhere_reaches_nothing_in_the_browser_that_has_the_session() -> None:
    with hosted(1) as cluster, web(cluster, "--steer") as (_, link), browser(link) as shown:
        other = shown.page.context.new_page()
        sockets = link.partition("?")[0].replace("http://127.0.0.1", "ws://127.0.0.1")
        other.set_content("<p>a page of another site</p>")
        ended = other.evaluate(
            """at => new Promise(done => {
                const socket = new WebSocket(at);
                socket.onopen = () => done("open");
                socket.onerror = () => done("refused");
            })""",
            f"{sockets}ws",
        )
        assert ended == "refused"


@pytest.mark.parametrize("size", [(480, 800), (360, 740), (740, 360), (1024, 768)])
def test_a_console_has_room_on_every_screen(size: tuple[int, int]) -> None:
    with hosted(1) as cluster, web(cluster) as (_, link), browser(link) as shown:
        shown.page.set_viewport_size({"width": size[0], "height": size[1]})
        shown.drawn = ""
        shown.page.reload()
        shown.until("HEALTHY")
        shown.until("w1")
        assert "make the terminal larger" not in shown.drawn
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_page_whose_console_is_over_says_why() -> None:
    with (
        hosted(1) as cluster,
        web(cluster, "--max-consoles", "1") as (process, link),
        browser(link) as shown,
    ):
        page = shown.page
        other = page.context.new_page()
        other.goto(page.url)
        closed = "body.-closed .closed"
        assert "As many consoles are open as may be (1)" in other.locator(closed).inner_text()
        page.keyboard.press("q")
        shown.until("Quit?")
        page.keyboard.press("y")
        assert "This console has ended. Begin another" in page.locator(closed).inner_text()
        shown.drawn = ""
        page.keyboard.press("Enter")
        shown.until("HEALTHY")
        assert page.locator(closed).count() == 0
        process.terminate()
        assert "rollcall-web was stopped" in page.locator(closed).inner_text()
        assert not page.locator(".closed a").is_visible()


def test_a_link_that_was_used_says_what_to_do() -> None:
    with hosted(1) as cluster, web(cluster) as (_, link), browser(link) as shown:
        stranger = shown.page.context.browser.new_context().new_page()
        assert stranger.goto(link).status == 403
        assert "This needs a link that was not used yet" in stranger.inner_text("body")


def test_no_console_outlives_its_page_or_its_server() -> None:
    with hosted(1) as cluster, web(cluster) as (process, link), browser(link) as shown:
        here = psutil.Process(process.pid)
        [console] = here.children()
        shown.page.reload()
        poll_for(lambda: shown._turn() and not console.is_running(), PATIENCE_S)
        poll_for(lambda: shown._turn() and len(here.children()) == 1, PATIENCE_S)
        [console] = here.children()
        kill_process(process.pid)
        poll_for(lambda: shown._turn() and not console.is_running(), PATIENCE_S)
