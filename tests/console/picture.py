"""Makes a still picture of the console at work: `python -m tests.console.picture`.

A real master, four real workers, traffic, one worker killed, one lookup asked.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from console.app import RollcallApp
from console.cluster_factory import hosting
from console.commands import CLUSTER_COMMANDS
from console.settings import Settings
from console.text import UNICODE
from nodes.security.tokens import ensure_token

PICTURE = Path(__file__).parent / "picture.svg"

KILL = next(command for command in CLUSTER_COMMANDS if command.name == "kill")


async def take() -> None:
    """Drives the console as a person would, and takes the picture."""
    app = RollcallApp(
        clusters={"": hosting(port=0, workers=4, data=None, balance="load")},
        settings=Settings(),
        glyphs=UNICODE,
        attached=False,
        poll_interval_s=0.2,
    )
    try:
        async with app.run_test(size=(120, 36)) as pilot:
            while app.snapshot is None or sum(w.state == "up" for w in app.snapshot.workers) < 4:
                await pilot.pause(0.05)
            app.action_line("traffic 200")
            while app.snapshot.answered < 4500:
                await pilot.pause(0.1)
            app.steering.run(KILL, {app.front: ["w3"]})
            while "down" not in [worker.state for worker in app.snapshot.workers]:
                await pilot.pause(0.1)
            await pilot.press("a")
            app.main.prompt.value = 'getbyyear "New York City" 2002'
            await pilot.press("enter")
            while not app.main.answers.records or app.snapshot.answered < 9000:
                await pilot.pause(0.1)
            PICTURE.write_text(app.export_screenshot(title="rollcall"))
    finally:
        await asyncio.to_thread(app.clusters.stop)


def run_in_own_folders(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs it with state and cache that nobody else has."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        ensure_token()
        asyncio.run(work())


def main() -> None:
    """Takes it."""
    run_in_own_folders(take)
    print(PICTURE)  # noqa: T201 - it is what this was run for


if __name__ == "__main__":
    main()
