"""Rollcall without a screen: catalog, workers, master, client, launcher.

`Client`, which scripts need, is imported when it is first named. `console` imports what is here,
and never the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodes.client.blocking import Client, Record

__all__ = ["Client", "Record"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Loads `Client` when it is first asked for: a worker starts without it."""
    if name in __all__:
        from nodes.client import blocking  # noqa: PLC0415 - that is the point

        return getattr(blocking, name)
    raise AttributeError(name)
