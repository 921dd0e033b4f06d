"""Why a process may not register."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodes.routing.worker import Worker


class GivenUp(Exception):  # noqa: N818 - a finding, not a fault
    """A process registers that its fleet took for ended, as its machine could not be reached."""


class AddressHeld(Exception):  # noqa: N818 - a finding, not a fault
    """Another live worker holds that address; `holder` is it."""

    def __init__(self, holder: Worker) -> None:
        super().__init__(f"{holder.address} is held by {holder.id}")
        self.holder = holder
