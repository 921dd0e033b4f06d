"""Request ids: by which all that is said of one lookup is found, in errors, figures and logs.

One is made when there is something to say: an ordinary lookup has none, and costs nothing. Whoever
has something to say first makes it, and those who come after take it over.
"""

from __future__ import annotations

import random
import re

_HEX_DIGITS = 12
_SAID = re.compile(rf"\(request ([0-9a-f]{{{_HEX_DIGITS}}})\)\Z")


def new_request_id() -> str:
    """An id that no other lookup has, as good as certainly."""
    return f"{random.getrandbits(4 * _HEX_DIGITS):0{_HEX_DIGITS}x}"


def find_request_id(text: str) -> str:
    """The id in the text of an error that has one, "" if there is none; see `LookupFailed`."""
    found = _SAID.search(text)
    return found[1] if found else ""
