"""The keeper's process: `python -m nodes.fleet.keeper`, spoken to over its standard input.

It ends with its input, and with its launcher's silence: no worker of it goes on then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import msgspec

from nodes.fleet.keeper.messages import (
    Alive,
    BadFrameError,
    Hello,
    Signal,
    Start,
    Tell,
    decode_order,
    own_stdout,
    read_frame,
)
from nodes.fleet.keeper.outbox import Outbox
from nodes.fleet.keeper.process_table import ProcessTable
from nodes.support.silence import Silence
from nodes.support.supervision import Supervision, supervised_thread
from nodes.support.version import VERSION

LEASE_S = 15.0
"""Seconds without a word of the launcher after which the keeper ends, and its workers with it: the
way between the two is lost, and the workers' places have been given to others.
"""

LOOK_EVERY_S = 1.0
"""Seconds between two looks at the lease."""

LAST_WORDS_S = 1.0


def ssh_addresses(environment: str) -> tuple[str, str]:
    """This machine's address and that of whoever came by ssh, "" where they are not known.

    Args:
        environment: `SSH_CONNECTION`, as sshd sets it.
    """
    fields = environment.split()
    return (fields[2], fields[0]) if len(fields) == 4 else ("", "")


class _Lease:
    """Ends this process when its launcher has been silent for long."""

    def __init__(self, table: ProcessTable) -> None:
        self._table = table
        self._silence = Silence(time.monotonic(), look_every_s=2 * LOOK_EVERY_S)
        self.heard = self._silence.heard
        supervised_thread("lease", self._watch, Supervision("the lease"), threading.Event())

    def _watch(self) -> None:
        while self._silence.look(time.monotonic()) < LEASE_S:
            time.sleep(LOOK_EVERY_S)
        try:
            self._table.end()
        finally:
            os._exit(0)


def main() -> None:
    """Runs until its standard input ends."""
    # What a terminal or a shell sends its group is the launcher's to pass on.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    outbox = Outbox(own_stdout())
    table = ProcessTable(outbox.put)
    lease = _Lease(table)
    outbox.put(Hello(VERSION, *ssh_addresses(os.environ.get("SSH_CONNECTION", ""))))
    try:
        while frame := read_frame(sys.stdin.buffer):
            lease.heard()
            match decode_order(frame):
                case Start() as start:
                    table.start(start)
                case Signal() as order:
                    table.signal(order)
                case Tell(secrets):
                    table.tell(secrets)
                case Alive():
                    outbox.put(Alive())
    except (BadFrameError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"the launcher sent something that is no order: {error}\n")
    table.end()
    outbox.close(LAST_WORDS_S)
    os._exit(0)  # a worker's output may be held open by others


if __name__ == "__main__":
    main()
