"""What a process needs before its program runs: three open standard streams, and a parent that
reaps orphans where it would be a system's first process.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

FIRST_PID = 1
"""The process that orphans are given to, in a container as in a system."""

NOT_PASSED_ON = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGTSTP)

OF_A_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH)
"""A terminal sends these to every process in its foreground: to the program as well."""

SENT_BY_THE_KERNEL = 0x80
"""`si_code` of a signal that no process sent: SI_KERNEL of Linux."""


def prepare_process() -> None:
    """Prepares this process; to be called first of all, while it has one thread.

    As a container's first process it forks: the program goes on in the child, and the parent does
    what such a process has to, as `docker run --init` would, and ends with the child's exit code.
    """
    open_standard_streams()
    if os.getpid() == FIRST_PID:
        _fork_under_init()


def open_standard_streams() -> None:
    """Opens the null device where a standard stream is closed (`2>&-`): else the next file or
    connection gets its number, and what is printed goes there.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, which is this one: those before it are open.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)  # noqa: FBT003 - it takes no name
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _fork_under_init() -> None:
    wanted = {number for number in signal.valid_signals() if number not in NOT_PASSED_ON}
    # Blocked before there is a child: none is lost between here and the loop.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    program = os.fork()
    if program == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        received = signal.sigwaitinfo(wanted)
        if received.si_signo == signal.SIGCHLD:
            _reap(program)
            continue
        has_it = received.si_code == SENT_BY_THE_KERNEL and received.si_signo in OF_A_TERMINAL
        if not has_it:
            with suppress(ProcessLookupError):
                os.kill(program, received.si_signo)


def _reap(program: int) -> None:
    """Takes leave of every child that ended. If the program is one of them, so does this one."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
