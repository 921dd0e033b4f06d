"""Values as people read them, and text from outside as something a screen can show."""

from __future__ import annotations

import locale
import os
import sys
import time
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size


def clean(text: str, most: int = 2000) -> str:
    """The text with everything that would move a cursor or turn the writing escaped.

    Args:
        text: anything.
        most: characters kept.
    """
    cut = text if len(text) <= most else f"{text[:most]}..."
    return cut if cut.isprintable() else "".join(map(_shown, cut))


def _shown(char: str) -> str:
    return char if char.isprintable() else ascii(char)[1:-1]


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly `width` terminal cells: padded, or cut with a mark."""
    if cell_len(text) > width:
        return set_cell_size(text, max(0, width - 1)) + ("~" if width else "")
    pad = " " * (width - cell_len(text))
    return pad + text if right else text + pad


def number(value: float) -> str:
    """A count or rate in at most five characters: 7, 3.2, 999, 12.3k, 4.5M."""
    if value < 10 and value != int(value):
        return f"{value:.1f}"
    for unit in ("", "k", "M", "G", "T"):
        digits = f"{value:.0f}" if not unit or value >= 99.95 else f"{value:.1f}"
        if float(digits) < 1000:
            return f"{digits}{unit}"
        value /= 1000
    return ">999T"


def count(value: int, width: int) -> str:
    """A count to its last digit if that fits `width` (4 or more), else rounded until it does.

    A number that is cut looks like a smaller one.
    """
    exact, rounded = str(value), number(value)
    if len(exact) <= width:
        return exact
    whole, point, _ = rounded.partition(".")
    return rounded if len(rounded) <= width or not point else f"{whole}{rounded[-1]}"


def memory_size(octets: float) -> str:
    """Memory in at most six characters, in MiB as long as that fits: 31M, 2048M, 98.0G."""
    if not octets:
        return "-"
    mebi = octets / 2**20
    if mebi < 99_999.5:
        return f"{mebi:.0f}M"
    gibi = mebi / 1024
    return f"{gibi:.1f}G" if gibi < 999.95 else f"{gibi:.0f}G"


def time_of_day(at: float) -> str:
    """A moment (Unix, seconds) as a clock on the wall shows it."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def clock(at: float) -> str:
    """The same, with its date if that is not today's."""
    then = time.localtime(at)
    today = time.strftime("%F", then) == time.strftime("%F")
    return time_of_day(at) if today else time.strftime("%F %H:%M:%S", then)


class Glyphs(NamedTuple):
    """The few signs beyond letters that the screens draw, in what the terminal can show.

    `blocks` are the heights of a column, `eighths` the widths of a bar's last cell.
    """

    states: dict[str, str]
    blocks: str
    eighths: str
    bar: str
    rule: str
    axis: str
    fair: str
    grid: str
    shade: str
    nothing: str
    cursor: str
    marked: str
    ascending: str
    descending: str
    done: str
    failed: str
    cut: str
    ascii: bool


UNICODE = Glyphs(
    states={
        "up": "●",
        "slow": "◐",
        "failing": "◒",
        "starting": "◌",
        "waiting": "◇",
        "suspect": "◔",
        "unready": "◍",
        "draining": "▽",
        "frozen": "‖",
        "down": "✗",
    },
    blocks=" ▁▂▃▄▅▆▇█",
    eighths=" ▏▎▍▌▋▊▉",
    bar="█",
    rule="─",
    axis="│",
    fair="┊",
    grid="┈",
    shade="░",
    nothing="·",
    cursor="▌",
    marked="◆",
    ascending="▲",
    descending="▼",
    done="✓",
    failed="✗",
    cut="…",
    ascii=False,
)
ASCII = Glyphs(
    states={
        "up": "+",
        "slow": "!",
        "failing": "#",
        "starting": ".",
        "waiting": "-",
        "suspect": "?",
        "unready": "o",
        "draining": "v",
        "frozen": "=",
        "down": "x",
    },
    blocks=" .:-=+*#@",
    eighths=" ",
    bar="#",
    rule="-",
    axis="|",
    fair="|",
    grid=".",
    shade="-",
    nothing=".",
    cursor=">",
    marked="*",
    ascending="^",
    descending="v",
    done="+",
    failed="x",
    cut="~",
    ascii=True,
)


def terminal_glyphs() -> Glyphs:
    """What this terminal can show, as far as its locale says."""
    encoding = (getattr(sys.stdout, "encoding", "") or locale.getpreferredencoding()).lower()
    plain = os.environ.get("TERM") in {"linux", "dumb", "vt100"}
    return ASCII if plain or "utf" not in encoding else UNICODE


def middle_cut(text: str, width: int, glyphs: Glyphs) -> str:
    """The text in at most `width` cells: what is too much is left out of its middle, as it is
    the ends by which long ids differ.
    """
    if cell_len(text) <= width:
        return text
    if width < 3:
        return fit(text, width)
    tail = (width - 1) * 2 // 3
    head = width - 1 - tail
    return f"{set_cell_size(text, head)}{glyphs.cut}{_last_cells(text, tail)}"


def _last_cells(text: str, width: int) -> str:
    end = text[-width:]
    while cell_len(end) > width:
        end = end[1:]
    return end + " " * (width - cell_len(end))
