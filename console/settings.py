"""What the console remembers between runs: the theme, the layout, and what was typed.

What an operator writes is in `console.config`, and comes before it.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from nodes.support.files import write_atomically
from nodes.support.paths import make_private, state_dir
from nodes.support.structs import ready

logger = logging.getLogger("rollcall.console")

MAX_LINES = 500


@ready
class Settings(msgspec.Struct):
    """One operator's; every field has a default, so that an older file is still read."""

    theme: str = ""
    queries: list[str] = []
    commands: list[str] = []
    panels: dict[str, str] = {}
    """Which was shown last in each of `console.config.PLACES`, by its id."""
    sort: str = "ID"
    """The title of the column that the workers are sorted by."""
    descending: bool = False


def settings_file() -> Path:
    """Where they are kept."""
    return state_dir() / "console.json"


def load_settings(path: Path | None = None) -> Settings:
    """The settings of the last run; the defaults when there are none that can be read."""
    try:
        return msgspec.json.decode((path or settings_file()).read_bytes(), type=Settings)
    except FileNotFoundError:
        return Settings()
    except (OSError, msgspec.MsgspecError) as error:
        logger.info("settings are not read: %s", error)
        return Settings()


def save_settings(settings: Settings, path: Path | None = None) -> None:
    """Keeps them for the next run. If that cannot be, the next run starts without."""
    path = path or settings_file()
    settings.queries = settings.queries[-MAX_LINES:]
    settings.commands = settings.commands[-MAX_LINES:]
    try:
        make_private(path.parent)
        write_atomically(path, msgspec.json.encode(settings))
    except (OSError, ValueError) as error:  # what was typed may be no text that can be kept
        logger.info("settings are not kept: %s", error)
