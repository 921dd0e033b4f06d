"""The master: its port, and the order in which it starts and stops."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from nodes.master.core import MasterCore
from nodes.master.service import MasterService
from nodes.security.tls import Tls
from nodes.security.tokens import ValidToken
from nodes.support.addresses import Address
from nodes.support.event_kinds import EventKind
from nodes.support.listening import Network
from nodes.transport import Limits, Server
from nodes.wire import Description

FINISH_TIMEOUT_S = 10.0
"""Seconds that a master which stops may take for the lookups that it has taken in."""

CONNECTION_LIMITS = Limits(trusted=2048)
"""Workers do not take the place of clients, who have as many connections as at any server."""

LAST_ANSWERS_S = 0.5
"""Seconds for the last answers to go out, before all connections are closed."""


class Master(MasterCore):
    """A master at its address; see `MasterCore` for what is not about that.

    Args:
        host, port: where it listens; port 0 lets the system choose.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(
        self,
        *,
        tokens: Callable[[], list[ValidToken]],
        host: str = "127.0.0.1",
        port: int = 0,
        balance: str = "load",
        description: Description | None = None,
        require_token: bool = False,
        tls: Tls | None = None,
        clock: Callable[[], float] = time.time,
        workers_from: tuple[Network, ...] = (),
    ) -> None:
        super().__init__(
            tokens=tokens,
            balance=balance,
            description=description,
            require_token=require_token,
            tls=tls,
            clock=clock,
            workers_from=workers_from,
        )
        try:
            self._server = Server(
                lambda: MasterService(self),
                host=host,
                port=port,
                limits=CONNECTION_LIMITS,
                tls=None if tls is None else tls.listening(),
            )
        except BaseException:
            self.loop.stop()
            raise
        self._stopped = False
        self.address = Address(*self._server.address)
        self.loop.start()

    def start(self) -> None:
        """Listens."""
        if self.journal is not None:
            self.journal.start()
            self.events.note(
                EventKind.STARTED, "", f"the master at {self.address}, pid {os.getpid()}"
            )
        self.loop.call(self._server.start)
        self.loop.call(self._ticker.start)

    def stop(self) -> None:
        """Answers what has been taken in, then lets everybody go: no worse than to be killed.

        The journal ends first, and with it what the next master reads: the workers of this one
        are not lost, and will register there. Then the port is free for it. Who asks from now
        on is refused as `Stopping`, and finds it there. Clients are served to the last, so local
        workers leave after them; all others look for the next master once we are gone.
        """
        if self._stopped:
            return
        self._stopped = True
        if self.journal is not None:
            self.loop.call(self._note_stop)
            self.journal.close()
        self.loop.run(self._finish())
        self.fleet.stop()
        self.loop.run(self._end())
        if self.lookups.tracer is not None:
            self.lookups.tracer.close()
        for threads in (self.executor, self.looking):
            threads.shutdown(wait=False, cancel_futures=True)
        self.catalogs.stop()
        self.loop.stop()

    def _note_stop(self) -> None:
        self.events.note(EventKind.STOPPED, "", f"the master at {self.address}")
        self.events.listener = lambda _event: None  # nothing follows that in the journal

    async def _finish(self) -> None:
        self._server.leave_port()
        self.membership.close()
        self.member_list.close()
        await self.lookups.finish(FINISH_TIMEOUT_S)

    async def _end(self) -> None:
        await self._server.finish(LAST_ANSWERS_S)
        await self._server.stop()
        self._ticker.stop()
