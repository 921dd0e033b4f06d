"""What both pictures are drawn of: boxes, arrows and text, as SVG."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

INK, LINE, FILL, GREY = "#1f2328", "#0969da", "#eaf2fb", "#6e7781"

HEAD = """<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" \
viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" font-size="13" fill="{ink}">
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" \
orient="auto"><path d="M0 0L8 4L0 8z" fill="{line}"/></marker></defs>
<rect width="100%" height="100%" fill="#fff"/>"""


def picture(width: float, height: float, parts: Iterable[str]) -> str:
    """The whole picture."""
    head = HEAD.format(width=width, height=height, ink=INK, line=LINE)
    return "\n".join([head, *parts, "</svg>", ""])


def box(x: float, y: float, width: float, height: float, name: str) -> str:
    """A box with its name in the middle; x and y are its upper left corner."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{FILL}" '
        f'stroke="{LINE}"/>\n{text(x + width / 2, y + height / 2 + 5, name, anchor="middle")}'
    )


def arrow(points: Iterable[tuple[float, float]]) -> str:
    """An arrow along some points."""
    way = "L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path d="M{way}" fill="none" stroke="{LINE}" marker-end="url(#tip)"/>'


def text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = INK) -> str:
    """A line of text; y is its base line."""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
    )
