"""Rollcall without a screen: catalog, workers, master, client, launcher.

`Client` and `AsyncClient`, which scripts need, are imported when they are first named. `console`
imports what is here, and never the other way round.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from nodes.support.version import VERSION

if TYPE_CHECKING:
    from nodes.client.asynchronous import AsyncClient
    from nodes.client.blocking import Client
    from nodes.client.lookups import Record

__all__ = ["AsyncClient", "Client", "Record"]
__version__ = VERSION

_MODULES = {
    "AsyncClient": "nodes.client.asynchronous",
    "Client": "nodes.client.blocking",
    "Record": "nodes.client.lookups",
}


def __getattr__(name: str) -> object:
    """Loads a client when it is first asked for: a worker starts without it."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(name)
