"""The web server: a page with a terminal, and for each that is open a console of its own.

The terminal in the page and the way from it to a console are textual-serve's; the page itself, and
who may have it, are ours: textual-serve alone would give any page that the operator visits a
console with all that it can do.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import textual_serve
from aiohttp import WSCloseCode, WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from console.plan import MIN_HEIGHT, MIN_WIDTH
from console.web.access import SESSION_VALID_S, WebAccess
from console.web.guard import COOKIE, Asked, refusal
from nodes.routing.budget import Budget

logger = logging.getLogger("rollcall.web")

MAX_COLUMNS, MAX_ROWS = 500, 200
"""The largest screen that a page may ask for."""

MAX_MESSAGE_BYTES = 1 << 20
"""Bytes of one message from a page: what somebody pastes."""

HEARTBEAT_S = 15.0
"""Seconds after which a page that is silent is asked whether it is there."""

END_WITHIN_S = 5.0
"""Seconds for a console to end by itself."""

REFUSALS_AT_ONCE = 20.0
REFUSALS_PER_S = 0.2
"""Refused requests that are told, at once and a second for long: any page may make them."""

STOPPED = "rollcall-web was stopped. When it runs again it prints a new link."

PAGE = files("console.web")
STATIC = Path(textual_serve.__file__).parent / "static"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' "
        "data:; font-src 'self'; connect-src 'self' {sockets}; base-uri 'none'; form-action "
        "'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Sent with all. Nothing is from elsewhere; the terminal writes styles of its own into the page."""

GO_ON = '<!DOCTYPE html><meta http-equiv="refresh" content="0;url=."><title>Rollcall</title>'
"""In place of a redirection: a link in a mail would lead on without the cookie."""


class WebServer:
    """Serves consoles to browsers.

    Args:
        command: starts a console on the terminal that its environment says.
        access: who is let in.
        hosts: the Host headers that are this server's.
        max_consoles: so many run at once.
        on_redeemed: called when a link was used, and there is another.
    """

    def __init__(
        self,
        command: Sequence[str],
        access: WebAccess,
        *,
        hosts: Collection[str],
        max_consoles: int,
        on_redeemed: Callable[[], None],
    ) -> None:
        # In place of the shell that it is started by: signals are for the console.
        self._command = f"exec {shlex.join(command)}"
        self._access = access
        self._hosts = hosts
        self._max_consoles = max_consoles
        self._on_redeemed = on_redeemed
        self._told = Budget(share=0.0, burst=REFUSALS_AT_ONCE, per_s=REFUSALS_PER_S)
        self._open: set[web.WebSocketResponse] = set()
        """The ways to the consoles that run."""
        self._page, self._refused = (
            Template((PAGE / name).read_text(encoding="utf-8"))
            for name in ("page.html", "refused.html")
        )
        self._beside = {
            f"/{name}": ((PAGE / name).read_text(encoding="utf-8"), kind)
            for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript"))
        }

    def application(self) -> web.Application:
        """What aiohttp serves."""
        application = web.Application(middlewares=[self._guard])
        application.on_shutdown.append(self._close)
        application.add_routes(
            [
                web.get("/", self._show_page),
                *(web.get(path, self._show_beside) for path in self._beside),
                web.get("/ws", self._run_console),
                web.static("/static", STATIC),
            ]
        )
        return application

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        headers = _headers(request)
        why = self._refusal(request)
        if why and not (request.path == "/" and request.host.casefold() in self._hosts):
            self._tell_refused(f"{request.remote} {request.path[:80]}: {why}")
            return web.Response(status=403, text=f"{why}\n", headers=headers)
        if why:
            return self._begin_session(request, why, headers)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(headers)
            raise
        if not response.prepared:
            response.headers.update(headers)
        return response

    def _refusal(self, request: web.Request) -> str:
        asked = Asked(
            host=request.host,
            origin=request.headers.get("Origin", ""),
            cookie=request.cookies.get(COOKIE, ""),
            is_websocket=request.path == "/ws",
        )
        return refusal(asked, self._hosts, self._access)

    def _tell_refused(self, what: str) -> None:
        if self._told.spend(time.monotonic()):
            untold = self._told.newly_refused()
            more = f" ({untold} more were refused since the last line)" if untold else ""
            logger.warning("refused %s%s", what, more)

    def _begin_session(
        self, request: web.Request, why: str, headers: dict[str, str]
    ) -> web.Response:
        """Lets somebody in who has the link's key, and no session."""
        cookie = None
        if request.method == "GET" and not request.headers.get("Origin"):
            cookie = self._access.redeem(request.query.get("key", ""))
        if cookie is None:
            self._tell_refused(f"{request.remote}: {why}")
            page = self._refused.substitute(why=escape(f"{why[0].upper()}{why[1:]}."))
            return web.Response(status=403, text=page, content_type="text/html", headers=headers)
        response = web.Response(text=GO_ON, content_type="text/html", headers=headers)
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=int(SESSION_VALID_S),
            httponly=True,
            samesite="Strict",
            secure=_is_secure(request),
        )
        self._on_redeemed()
        return response

    async def _show_page(self, request: web.Request) -> web.Response:
        sockets = f"{'wss' if _is_secure(request) else 'ws'}://{request.host}/ws"
        size = _bounded(request.query.get("fontsize"), usual=16, least=6, most=48)
        page = self._page.substitute(
            websocket_url=sockets, font_size=size, columns=MIN_WIDTH, rows=MIN_HEIGHT
        )
        return web.Response(text=page, content_type="text/html")

    async def _show_beside(self, request: web.Request) -> web.Response:
        text, kind = self._beside[request.path]
        return web.Response(text=text, content_type=kind)

    async def _run_console(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES)
        if len(self._open) >= self._max_consoles:
            # Let in first: a browser tells no page why a connection was refused.
            await socket.prepare(request)
            why = f"As many consoles are open as may be ({self._max_consoles}): close one of them."
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=why.encode())
            return socket
        self._open.add(socket)
        try:
            await socket.prepare(request)
            width, height = request.query.get("width"), request.query.get("height")
            await self._show_console(socket, _columns(width), _rows(height))
        finally:
            self._open.discard(socket)
        return socket

    async def _show_console(self, socket: web.WebSocketResponse, columns: int, rows: int) -> None:
        """Runs a console until its page is closed, or it ends by itself."""

        async def close() -> None:
            await socket.close()

        console = AppService(
            self._command,
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=close,
            download_manager=DownloadManager(),
        )
        await console.start(columns, rows)
        try:
            await _pass_on(socket, console)
        finally:
            await _end(console)

    async def _close(self, _application: web.Application) -> None:
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=STOPPED.encode())


async def _pass_on(socket: web.WebSocketResponse, console: AppService) -> None:
    """What a page sends, until it is closed."""
    async for message in socket:
        if message.type != WSMsgType.TEXT:
            continue
        try:
            told = message.json()
        except ValueError:
            return  # no page of ours
        match told:
            case ["stdin", str(text)]:
                await console.send_bytes(text.encode("utf-8", "replace"))
            case ["resize", {"width": width, "height": height}]:
                await console.set_terminal_size(_columns(width), _rows(height))
            case ["ping", str(data)]:
                await socket.send_json(["pong", data])
            case ["blur", *_]:
                await console.blur()
            case ["focus", *_]:
                await console.focus()


async def _end(console: AppService) -> None:
    """Has a console end; one that does not is killed."""
    process = console._process
    try:
        async with asyncio.timeout(END_WITHIN_S):
            await console.stop()
            if process is not None:
                await process.wait()
    except TimeoutError:
        if process is not None:
            process.kill()
            await process.wait()


def _columns(asked: object) -> int:
    return _bounded(asked, usual=80, least=1, most=MAX_COLUMNS)


def _rows(asked: object) -> int:
    return _bounded(asked, usual=24, least=1, most=MAX_ROWS)


def _bounded(asked: object, *, usual: int, least: int, most: int) -> int:
    try:
        number = int(str(asked)[:9])
    except ValueError:
        return usual
    return min(max(number, least), most)


def _is_secure(request: web.Request) -> bool:
    """Whether the browser speaks TLS: to a proxy before this server, which has none itself."""
    return urlsplit(request.headers.get("Origin", "")).scheme == "https" or (
        request.headers.get("X-Forwarded-Proto", "") == "https"
    )


def _headers(request: web.Request) -> dict[str, str]:
    sockets = f"ws://{request.host} wss://{request.host}"
    return {name: value.format(sockets=sockets) for name, value in HEADERS.items()}
