"""What a master replies to a worker, decoded."""

from __future__ import annotations

from typing import Any

import msgspec

from nodes.errors import MasterLost
from nodes.transport import Value
from nodes.wire import decode_envelope


def checked_result(reply: Value) -> Any:
    """The result in a master's envelope.

    Raises:
        LookupFailed: the master says that it failed.
        MasterLost: that is no envelope.
    """
    if type(reply) is not str:
        raise MasterLost("the master answered with something else than an envelope")
    try:
        return decode_envelope(reply).checked().result
    except msgspec.MsgspecError as error:
        raise MasterLost(f"the master's answer cannot be read: {error}") from error
