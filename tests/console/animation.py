"""Makes the README's moving picture of the console: `python -m tests.console.animation`.

Thirty seconds of a real master and three real workers under load: one of them stalls again and
again, lookups are hedged away from it, it freezes, the verdict tells of it, and it thaws.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from rich.color import Color
from rich.style import Style

from console.app import RollcallApp
from console.cluster_factory import hosting
from console.settings import Settings
from console.text import UNICODE
from tests.console.film import Film, Frame, Look, Piece
from tests.console.picture import run_in_own_folders

ANIMATION = Path(__file__).parent / "animation.svg"

SIZE = (120, 36)
FRAME_S = 0.5
"""Seconds that a frame stays."""

LENGTH_S = 30.0
STALLS_S, FREEZES_AT_S, THAWS_AT_S = (4.0, 9.0), 9.0, 13.0
STALL_S, BETWEEN_STALLS_S = 0.15, 0.1
"""When it stalls, freezes and thaws; how long a stall is, and until the next."""

WARM_UP_S = 40.0
"""Seconds of traffic before the first frame."""

VICTIM = "w2"


def frame_of(app: RollcallApp) -> Frame:
    """What is on the screen."""
    ground = app.screen.rich_style
    return tuple(
        tuple(
            Piece(segment.text, _look(segment.style or Style(), ground))
            for segment in strip.simplify()
            if segment.text
        )
        for strip in app.screen._compositor.render_strips()
    )


def _look(style: Style, ground: Style) -> Look:
    colour, behind = style.color or ground.color, style.bgcolor or ground.bgcolor
    if style.reverse:
        colour, behind = behind, colour
    own = behind is not None and behind != ground.bgcolor
    return Look(
        _hex(colour),
        _hex(behind) if own else "",
        bold=bool(style.bold),
        dim=bool(style.dim),
    )


def _hex(colour: Color | None) -> str:
    return "#808080" if colour is None else colour.get_truecolor().hex


async def trouble(pid: int) -> None:
    """What becomes of the victim, from the first frame on."""
    try:
        await asyncio.sleep(STALLS_S[0])
        over = time.monotonic() + STALLS_S[1] - STALLS_S[0]
        while time.monotonic() < over:
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(STALL_S)
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(BETWEEN_STALLS_S)
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(THAWS_AT_S - FREEZES_AT_S)
    finally:
        os.kill(pid, signal.SIGCONT)


async def take() -> None:
    """Drives the cluster, and takes a frame each half a second."""
    app = RollcallApp(
        clusters={"": hosting(port=0, workers=3, data=None, balance="load")},
        settings=Settings(),
        glyphs=UNICODE,
        attached=False,
        poll_interval_s=0.25,
    )
    try:
        async with app.run_test(size=SIZE) as pilot:
            while app.snapshot is None or sum(w.state == "up" for w in app.snapshot.workers) < 3:
                await pilot.pause(0.05)
            app.action_line("traffic 200")
            await pilot.pause(WARM_UP_S)
            victim = app.find(VICTIM)
            assert victim is not None
            began, frames = time.monotonic(), [frame_of(app)]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(trouble(victim.worker.pid))
                while len(frames) < LENGTH_S / FRAME_S:
                    await pilot.pause(max(0.01, began + len(frames) * FRAME_S - time.monotonic()))
                    frames.append(frame_of(app))
            ground = _hex(app.screen.rich_style.bgcolor)
        ANIMATION.write_text(Film(frames, each_s=FRAME_S, ground=ground).svg())
    finally:
        await asyncio.to_thread(app.clusters.stop)


def main() -> None:
    """Takes it."""
    run_in_own_folders(take)
    print(ANIMATION)  # noqa: T201 - it is what this was run for


if __name__ == "__main__":
    main()
