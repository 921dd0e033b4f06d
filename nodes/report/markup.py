"""HTML and SVG elements: whatever is put into one is text, and escaped, unless it is an element."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from nodes.support.text import printable

VOID = frozenset(("meta", "br", "path", "rect", "line"))
"""Elements without content."""


class Markup(str):
    """What is markup, and no text: made by `element` alone, and of our own constants."""

    __slots__ = ()


def element(tag: str, *content: str | Iterable[str], **attributes: str | float | None) -> Markup:
    """An element.

    Args:
        tag: its name.
        content: texts, which are escaped, and elements; one by one, or several at once.
        attributes: their values are escaped; an underscore in a name stands for a hyphen, one at
            its end for nothing, and None leaves it out.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Markup(f"<{tag}{given}/>")
    inner = "".join(
        part if isinstance(part, Markup) else _text(part) for one in content for part in _each(one)
    )
    return Markup(f"<{tag}{given}>{inner}</{tag}>")


def _each(content: str | Iterable[str]) -> Iterable[str]:
    return (content,) if isinstance(content, str) else content


def _text(value: str | float) -> str:
    """Escaped, and without what is not to be seen: it might hide, or turn round, what is."""
    if isinstance(value, float):
        return f"{value:g}"
    return escape(printable(str(value)))
