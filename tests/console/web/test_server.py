"""The web server over real connections, with a small program in the place of the console."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web

from console.web.access import WebAccess
from console.web.guard import COOKIE, allowed_hosts
from console.web.server import MAX_COLUMNS, MAX_ROWS, REFUSALS_AT_ONCE, WebServer
from tests.kit import PATIENCE

CONSOLE = """
import os, sys
def write(text):
    data = text.encode()
    sys.stdout.buffer.write(b"D" + len(data).to_bytes(4, "big") + data)
    sys.stdout.buffer.flush()
sys.stdout.buffer.write(b"__GANGLION__\\n")
write(f"pid {os.getpid()} size {os.environ['COLUMNS']}x{os.environ['ROWS']};")
while head := sys.stdin.buffer.read(5):
    data = sys.stdin.buffer.read(int.from_bytes(head[1:], "big"))
    if b"quit" in data:
        break
    write(f"{head[:1].decode()} {data.decode()};")
"""
"""Tells what it is sent, until it is told to quit."""


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
"""What asks for a console's connection."""


class Served:
    """A server, and a browser's requests to it."""

    def __init__(self, port: int, access: WebAccess, http: aiohttp.ClientSession) -> None:
        self.at = f"http://127.0.0.1:{port}"
        self.access = access
        self.http = http
        self.links = 0

    async def get(self, path: str = "/", **headers: str) -> tuple[int, str, Any]:
        """Asks for a page: status, text, headers."""
        async with self.http.get(self.at + path, headers=headers) as response:
            return response.status, await response.text(), response.headers

    async def cookie(self) -> str:
        """The cookie of a session that a link has begun."""
        _, _, headers = await self.get(f"/?key={self.access.key}")
        return f"{COOKIE}={headers['Set-Cookie'].partition('=')[2].partition(';')[0]}"

    async def open(self, cookie: str, query: str = "") -> aiohttp.ClientWebSocketResponse:
        """Begins a console."""
        headers = {"Cookie": cookie, "Origin": self.at}
        return await self.http.ws_connect(f"{self.at}/ws{query}", headers=headers)


@asynccontextmanager
async def served(max_consoles: int = 2) -> AsyncIterator[Served]:
    access = WebAccess(asyncio.get_running_loop().time)
    hosts: set[str] = set()
    server = WebServer(
        [sys.executable, "-c", CONSOLE],
        access,
        hosts=hosts,
        max_consoles=max_consoles,
        on_redeemed=lambda: setattr(here, "links", here.links + 1),
    )
    runner = web.AppRunner(server.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    hosts |= allowed_hosts(port, "")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        here = Served(port, access, http)
        try:
            yield here
        finally:
            await runner.cleanup()


def run(test: Callable[[Served], Awaitable[None]], **options: int) -> None:
    async def main() -> None:
        async with served(**options) as here:
            await test(here)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


async def heard(socket: aiohttp.ClientWebSocketResponse, what: str) -> str:
    """What a console wrote, up to that."""
    text = ""
    while what not in text:
        text += (await socket.receive_bytes()).decode()
    return text


def test_a_link_begins_a_session_and_is_used_up() -> None:
    async def test(here: Served) -> None:
        link = f"/?key={here.access.key}"
        status, text, headers = await here.get(link)
        assert status == 200
        assert "key" not in text
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert (await here.get(link))[0] == 403
        assert here.links == 1, "the next link is printed"
        status, page, headers = await here.get("/", Cookie=cookie.partition(";")[0])
        assert status == 200
        assert 'class="textual-terminal"' in page
        assert "https:" not in page
        assert page.count("http:") == 0
        assert headers["Content-Security-Policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["X-Content-Type-Options"] == "nosniff"

    run(test)


def test_a_link_begins_one_session_however_many_open_it_at_once() -> None:
    async def test(here: Served) -> None:
        link = f"/?key={here.access.key}"
        async with here.http.head(here.at + link) as looked, here.http.post(here.at + link) as sent:
            assert looked.status == sent.status == 403
        opened = await asyncio.gather(*(here.get(link) for _ in range(8)))
        assert [status for status, _, _ in opened].count(200) == here.links == 1

    run(test)


def test_who_is_refused_does_not_fill_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    async def test(here: Served) -> None:
        for _ in range(2 * int(REFUSALS_AT_ONCE)):
            assert (await here.get("/no"))[0] == 403

    run(test)
    told = [one for one in caplog.records if one.getMessage().startswith("refused")]
    assert REFUSALS_AT_ONCE <= len(told) <= REFUSALS_AT_ONCE + PATIENCE


def test_what_a_page_asks_for_is_no_line_of_its_own_in_the_terminal() -> None:
    """Any page may ask, in the operator's browser, for a path like a link that was printed."""
    command = [sys.executable, "-m", "console.web.command", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            link = process.stdout.readline().split()[1].decode()
            asked = link.partition("?")[0] + "%1b%5b2J%0aopen%20http://evil"
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(asked, timeout=PATIENCE)  # noqa: S310 - its own
        finally:
            process.terminate()
        said = process.stderr.read()
    assert said.count(b"\n") == 1 and b"\x1b" not in said
    assert b"evil" in said


@pytest.mark.parametrize(
    "path", ["/", "/?key=wrong", "/page.css", "/static/js/textual.js", "/ws", "/no"]
)
def test_without_a_session_there_is_nothing(path: str) -> None:
    async def test(here: Served) -> None:
        status, text, headers = await here.get(path)
        assert status == 403
        assert "textual" not in text
        assert "<script" not in text
        assert "Content-Security-Policy" in headers
        assert here.links == 0

    run(test)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:1"])
@pytest.mark.parametrize("with_session", [True, False])
def test_a_page_of_another_site_gets_no_console(origin: str, with_session: bool) -> None:
    async def test(here: Served) -> None:
        headers = {"Cookie": await here.cookie()} if with_session else {}
        if origin:
            headers["Origin"] = origin
        assert (await here.get("/ws", **UPGRADE, **headers))[0] == 403

    run(test)


def test_a_page_of_another_site_uses_up_no_link() -> None:
    async def test(here: Served) -> None:
        link = f"/?key={here.access.key}"
        assert (await here.get(link, Origin="http://evil.example"))[0] == 403
        assert (await here.get(link, Host="rebound.evil.example"))[0] == 403
        assert (await here.get(link))[0] == 200

    run(test)


def test_keys_go_to_a_console_and_what_it_draws_comes_back() -> None:
    async def test(here: Served) -> None:
        cookie = await here.cookie()
        socket = await here.open(cookie, "?width=99999999&height=-3")
        text = await heard(socket, ";")
        assert f"size {MAX_COLUMNS}x1;" in text
        pid = int(text.split()[1])
        for message in (["stdin", "kä"], ["resize", {"width": 10, "height": 10**9}], ["blur"]):
            await socket.send_json(message)
        text = await heard(socket, '"blur"')
        assert "D kä;" in text
        assert f'"width": 10, "height": {MAX_ROWS}' in text
        more: list[object] = [["stdin", 7], ["resize", 7], [], {}, 7, ["no", 1], None]
        for nonsense in more:
            await socket.send_json(nonsense)
        await socket.send_json(["ping", "12"])
        assert await socket.receive_json() == ["pong", "12"]
        await socket.close()
        await until(lambda: not psutil.pid_exists(pid))

    run(test)


def test_what_is_no_json_ends_that_console_alone() -> None:
    async def test(here: Served) -> None:
        cookie = await here.cookie()
        first, second = await here.open(cookie), await here.open(cookie)
        pid = int((await heard(first, ";")).split()[1])
        await heard(second, ";")
        await first.send_str("{")
        await until(lambda: not psutil.pid_exists(pid))
        await second.send_json(["stdin", "x"])
        await heard(second, "D x;")

    run(test)


def test_so_many_consoles_and_no_more() -> None:
    async def test(here: Served) -> None:
        cookie = await here.cookie()
        sockets = [await here.open(cookie) for _ in range(2)]
        third = await (await here.open(cookie)).receive()
        assert third.type is aiohttp.WSMsgType.CLOSE
        assert third.data == aiohttp.WSCloseCode.TRY_AGAIN_LATER
        assert third.extra == "As many consoles are open as may be (2): close one of them."
        await sockets[0].close()
        while (await (await here.open(cookie)).receive()).type is aiohttp.WSMsgType.CLOSE:
            await asyncio.sleep(0.01)

    run(test, max_consoles=2)


async def until(condition: Callable[[], bool]) -> None:
    """Waits until it is so."""
    while not condition():
        await asyncio.sleep(0.01)
