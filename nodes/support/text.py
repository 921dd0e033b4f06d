"""Text from outside, made harmless: for terminals, for JSON lines, for logs."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text without what would move a terminal's cursor or change its colours."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def excerpt(text: str, most: int) -> str:
    """The text made printable, and cut after `most` characters."""
    return printable(text[:most])[:most]


def printable_json(text: str) -> str:
    """JSON text of the same meaning, in which only printable characters occur."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _unicode_escape(c) for c in text)


def encodable_json(text: str, encoding: str) -> str:
    """JSON text of the same meaning, which a terminal of that encoding can be sent."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(c if c.isascii() else _unicode_escape(c) for c in text)
    return text


def _unicode_escape(character: str) -> str:
    """JSON's own escape; a character beyond 16 bits takes two."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
