"""Forms of a text in which lookups compare it: folded, and cut into words."""

from __future__ import annotations

from unicodedata import category, normalize


def fold(text: str) -> str:
    """Text without what `[fold]` makes a lookup ignore: case, surrounding blanks, Unicode form.

    Blanks are what `str.strip` takes away, case is what `str.casefold` does, and the form is NFC.
    """
    return _without_case(text.strip())


def fold_beginning(text: str) -> str:
    """The beginning of a text, folded: the blanks that end it are within what it begins."""
    return _without_case(text.lstrip())


def _without_case(text: str) -> str:
    if text.isascii():
        return text.lower()
    # Marks that stand apart fold as those do that are part of a letter.
    return normalize("NFC", normalize("NFD", text).casefold())


def words(text: str) -> list[str]:
    """The words of a text, folded: runs of letters, digits, and the marks on them (the Unicode
    categories L, N and M). All else stands between words.
    """
    return _without_case(text).translate(_BETWEEN).split()


class _Separators(dict[int, int]):
    """For `str.translate`: a blank in the place of what is in no word."""

    def __missing__(self, code: int) -> int:
        found = self[code] = code if category(chr(code))[0] in "LNM" else 0x20
        return found


_BETWEEN = _Separators()
