"""Frames of a screen as one SVG that moves by itself: CSS keyframes, each line drawn once; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

CELL, LINE = 8.4, 18.0
"""Width and height of a cell, in pixels."""

FONT_PX, BASELINE = 14, 13.5
MARGIN = 10.0

RISING = "▁▂▃▄▅▆▇█"
WIDENING = "▏▎▍▌▋▊▉"
SHADE = "░"
NO_BREAK_SPACE = "\u00a0"
"""A space that no viewer joins with others."""

BLOCKS = frozenset(RISING + WIDENING + SHADE)
"""What is drawn as rectangles: fonts leave gaps between them."""


class Look(NamedTuple):
    """How a piece of text is drawn; colours are as CSS has them, "" for the ground's."""

    colour: str
    ground: str = ""
    bold: bool = False
    dim: bool = False


class Piece(NamedTuple):
    """A text in one look."""

    text: str
    look: Look


Row = tuple[Piece, ...]
Frame = tuple[Row, ...]


class Film:
    """Frames of one size, one after the other.

    Args:
        frames: what is seen, from the first.
        each_s: seconds that each stays.
        ground: the colour behind all of it.
    """

    def __init__(self, frames: Sequence[Frame], *, each_s: float, ground: str) -> None:
        self._frames = frames
        self._each_s = each_s
        self._ground = ground
        self._rows: dict[Row, str] = {}
        self._looks: dict[Look, str] = {}

    def svg(self) -> str:
        """All of it. Where nothing moves, the first frame is seen."""
        frames = [self._frame(number, frame) for number, frame in enumerate(self._frames)]
        drawn = [f'<g id="{name}">{self._draw(row)}</g>' for row, name in self._rows.items()]
        columns = max(sum(len(piece.text) for piece in row) for row in self._frames[0])
        width = columns * CELL + 2 * MARGIN
        height = len(self._frames[0]) * LINE + 2 * MARGIN
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">',
                f"<style>{self._style()}</style>",
                f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{self._ground}"/>',
                f"<defs>{''.join(drawn)}</defs>",
                f'<g transform="translate({MARGIN:g} {MARGIN:g})">',
                *frames,
                "</g></svg>\n",
            )
        )

    def _frame(self, number: int, frame: Frame) -> str:
        uses = []
        for line, row in enumerate(frame):
            if any(piece.text.strip() or piece.look.ground for piece in row):
                name = self._rows.setdefault(row, f"r{len(self._rows)}")
                uses.append(f'<use href="#{name}" y="{line * LINE:g}"/>')
        delay = f' style="animation-delay:{number * self._each_s:g}s"' if number else ""
        return f'<g class="f"{delay}>{"".join(uses)}</g>'

    def _style(self) -> str:
        whole_s, part = len(self._frames) * self._each_s, 100 / len(self._frames)
        looks = (f".{name}{{{_css(look)}}}" for look, name in self._looks.items())
        return "".join(
            (
                f"text{{font:{FONT_PX}px 'DejaVu Sans Mono',Menlo,Consolas,monospace}}",
                f"@keyframes f{{0%{{visibility:visible}}{part:.4f}%,100%{{visibility:hidden}}}}",
                f".f{{visibility:hidden;animation:f {whole_s:g}s step-end infinite}}",
                "@media (prefers-reduced-motion:reduce){.f{animation:none}",
                ".f:first-child{visibility:visible}}",
                *looks,
            )
        )

    def _draw(self, row: Row) -> str:
        parts, column = [], 0
        for text, look in row:
            x, width = column * CELL, len(text) * CELL
            if look.ground:
                parts.append(
                    f'<rect x="{x:.1f}" width="{width:.1f}" height="{LINE:g}" '
                    f'fill="{look.ground}"/>'
                )
            words = "".join(" " if char in BLOCKS else char for char in text)
            name = self._looks.setdefault(look, f"k{len(self._looks)}")
            if words.strip():
                lead = len(words) - len(words.lstrip())
                words = words.strip().replace(" ", NO_BREAK_SPACE)
                parts.append(
                    f'<text class="{name}" x="{x + lead * CELL:.1f}" y="{BASELINE:g}" '
                    f'textLength="{len(words) * CELL:.1f}">{escape(words)}</text>'
                )
            path = "".join(_blocks(text, x))
            if path:
                parts.append(f'<path class="{name}" d="{path}"/>')
            column += len(text)
        return "".join(parts)


def _css(look: Look) -> str:
    bold, dim = ";font-weight:bold" if look.bold else "", ";opacity:.6" if look.dim else ""
    return f"fill:{look.colour}{bold}{dim}"


def _blocks(text: str, left: float) -> Iterable[str]:
    """The rectangles of the block elements in a text, as parts of a path: like ones as one."""
    start = 0
    while start < len(text):
        char, end = text[start], start + 1
        while end < len(text) and text[end] == char and char not in WIDENING:
            end += 1
        x, width = left + start * CELL, (end - start) * CELL
        if char in RISING:
            high = LINE * (RISING.index(char) + 1) / 8
            yield f"M{x:.1f} {LINE - high:.2f}h{width:.1f}v{high:.2f}h-{width:.1f}z"
        elif char in WIDENING:
            width = CELL * (WIDENING.index(char) + 1) / 8
            yield f"M{x:.1f} 0h{width:.1f}v{LINE:g}h-{width:.1f}z"
        elif char == SHADE:
            for y in (2, 8, 14):
                yield f"M{x:.1f} {y}h{width:.1f}v1.5h-{width:.1f}z"
        start = end
