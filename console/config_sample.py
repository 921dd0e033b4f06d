"""A settings file with everything that can be set, each as it is without one."""

from __future__ import annotations

import json

from console.columns import WORKER_COLUMNS
from console.commands import COMMANDS
from console.config import MAX_REFRESH_S, MIN_REFRESH_S, PANEL_NAMES, REFRESH_S
from console.keys import DECLARED_KEYS, POSSIBLE_KEYS, key_sign
from console.plan import PLACES

AT_START = {"left": "ask", "right": "events", "lower": "events"}


def sample() -> str:
    """Its text."""
    columns = json.dumps([column.name for column in WORKER_COLUMNS])
    lines = [
        "# Settings of the rollcall console. What is left out is as it is written here behind a #.",
        "",
        f"# Seconds between two looks at the cluster: {MIN_REFRESH_S} to {MAX_REFRESH_S}.",
        f"# refresh = {REFRESH_S}",
        "",
        "# Without this the theme is the one that was chosen last (Ctrl+P, theme).",
        '# theme = "nord"',
        "",
        "# The columns of the worker table: which, and in which order. Of yours, those that do not",
        "# fit are left out from the last one on; of these, what matters least.",
        f"# columns = {columns}",
        "",
        "# The panels that are shown at start, else those of the last time; lower is for screens",
        "# that are too narrow for two side by side.",
        "# [panels]",
    ]
    for place, parts in PLACES.items():
        possible = ", ".join(name for name, part in PANEL_NAMES.items() if part in parts)
        setting = f"{place} = {json.dumps(AT_START[place])}"
        lines.append(f"# {setting:<20} # {possible}")
    lines += ["", f"# {POSSIBLE_KEYS}.", "# Several stand in [ ], none is [].", "# [keys]"]
    for command in COMMANDS:
        signs = [key_sign(key) for key in DECLARED_KEYS.of(command.name)]
        setting = f"{command.name} = {json.dumps(signs[0] if len(signs) == 1 else signs)}"
        lines.append(f"# {setting:<20} # {command.help}")
    return "\n".join(lines) + "\n"
