"""Credentials: which of the tokens of this machine a process logs in with, for what it is about."""

from __future__ import annotations

import logging

from nodes.errors import StartError
from nodes.security.tokens import TokenRole, read_token, token_file
from nodes.support.addresses import parse_address

logger = logging.getLogger("rollcall.tokens")


def find_token(role: TokenRole) -> str | None:
    """The token that local commands log in with: the role's own or else the cluster's."""
    return read_token(token_file(role)) or read_token()


def client_token() -> str | None:
    """The token for looking up; see `find_token`. None if there is one that cannot be used: most
    clusters answer lookups without.
    """
    try:
        return find_token(TokenRole.CLIENT)
    except StartError as error:
        logger.warning("looks up without a token: %s", error)
        return None


def worker_token() -> str | None:
    """The token for registering a worker; see `find_token`."""
    return find_token(TokenRole.WORKER)


def operator_token(master: str) -> str | None:
    """The token for operating the cluster of the master at that address, "HOST:PORT", or for seeing
    it, if there is no other.

    It is that of the address, if there is a file for it: no other is sent there. Else see
    `find_token`.
    """
    return _token_for(master, TokenRole.OPERATOR, TokenRole.VIEWER)


def viewer_token(master: str) -> str | None:
    """The token for seeing the cluster of a master; as `operator_token`."""
    return _token_for(master, TokenRole.VIEWER, TokenRole.OPERATOR)


def _token_for(master: str, role: TokenRole, other: TokenRole) -> str | None:
    own = token_file().parent / f"{token_file().name}@{parse_address(master)}"
    return read_token(own) if own.exists() else find_token(role) or read_token(token_file(other))
