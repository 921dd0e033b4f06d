"""Opening a cluster: told how far its catalog is; a definition is written where the records have
none that fits, if the operator wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from console.messages import BuildProgressed, LookupsProposed, OfCluster
from nodes.errors import UndeclaredLookups

if TYPE_CHECKING:
    from nodes.catalog import Progress
    from nodes.cluster import Cluster

OpenCluster = Callable[["Progress"], "Cluster"]
"""Opens the cluster: hosts one, telling how far its catalog is, or attaches to one."""


class OpeningCancelled(Exception):  # noqa: N818 - a request to stop, not a fault
    """The console quits while its catalog is being built."""


class Opening:
    """One cluster that is opened.

    Args:
        open_cluster: see `OpenCluster`; called on the thread of `run`.
        post: takes a message to the screen, without waiting.
    """

    def __init__(self, open_cluster: OpenCluster, post: Callable[[OfCluster], bool]) -> None:
        self._open = open_cluster
        self._post = post
        self._answers: SimpleQueue[bool] = SimpleQueue()
        self._cancelled = False

    def run(self) -> Cluster:
        """Opens it; waits for `answer` where `LookupsProposed` was posted.

        Raises:
            RollcallError: it cannot be opened, or no definition is wanted.
            OpeningCancelled: it is not to be opened any more.
        """
        while True:
            try:
                return self._open(self._progressed)
            except UndeclaredLookups as error:
                from nodes.catalog import propose_definition, write_definition  # noqa: PLC0415

                folder = Path(error.folder)
                definition = propose_definition(folder)
                self._post(LookupsProposed(str(folder / "dataset.toml"), definition))
                if not self._answers.get():
                    raise
                write_definition(folder, definition)

    def answer(self, *, write: bool) -> None:
        """Whether the definition that was proposed is to be written."""
        self._answers.put(write)

    def cancel(self) -> None:
        """It is not to be opened any more."""
        self._cancelled = True
        self.answer(write=False)

    def _progressed(self, stage: str, done: int, total: int) -> None:
        if self._cancelled:
            raise OpeningCancelled
        self._post(BuildProgressed(stage, done, total))
