"""What ssh says when it cannot connect, in words that tell what to do."""

from __future__ import annotations

import shlex

_REASONS = (
    ("Permission denied", "ssh is not let in: install your key there, as by 'ssh-copy-id {}'"),
    ("Host key verification failed", "its host key is not the known one: see 'ssh {}' by hand"),
    ("REMOTE HOST IDENTIFICATION", "its host key is another than before: see 'ssh {}' by hand"),
    ("Could not resolve", "its name is not known here: correct the destination {}"),
    ("Connection refused", "nobody answers ssh there: is its sshd running?"),
    ("timed out", "it does not answer"),
    ("Timeout, server", "it does not answer any more"),
    ("not responding", "it does not answer any more"),
    ("No route to host", "there is no way to it now"),
    ("unreachable", "there is no way to it now"),
    ("Bad configuration option", "ssh's configuration has an error: see 'ssh {}' by hand"),
    ("Bad owner or permissions", "ssh's configuration is open to others: see 'ssh {}' by hand"),
    ("reset by peer", "it ended the connection"),
    ("closed by", "it ended the connection"),
)


NOT_FOUND = 127
"""The exit code of a shell that does not find the program."""


def explain_ssh(said: str, status: int, destination: str, python: str) -> str:
    """Why there is no connection, or no keeper at its other end.

    Args:
        said: what ssh, and what it ran there, wrote.
        status: its exit code.
        destination: whom it was to connect to.
        python: what it was to run there.
    """
    if status == NOT_FOUND:
        return f"{python} is not there: correct 'python' in the file of machines"
    if "No module named" in said:
        return f"{python} there has no Rollcall: install the same version as here"
    for sign, reason in _REASONS:
        if sign in said:
            return reason.format(shlex.quote(destination))
    if said.strip():
        return f"ssh cannot connect: see 'ssh {shlex.quote(destination)} true' by hand"
    return "the connection to it ended"
