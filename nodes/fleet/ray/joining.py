"""Joining a Ray cluster as a driver, never one that asks nobody for a token; run by the side
process alone.

Ray's own `ray://` is another thing, the way of its client through a port of its own; a driver
needs a node of the cluster on its machine.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from nodes.fleet.ray.engine import AUTO
from nodes.fleet.ray.messages import Join
from nodes.support.addresses import parse_address

NAMESPACE = "rollcall"
"""Where keepers are found in Ray."""

HEAD_MAY_BE_GONE_S = 7 * 24 * 3600
"""Seconds without Ray's head after which Ray ends the side process: it says one minute."""

DIAL_TIMEOUT_S = 5.0
"""Seconds for Ray's head to answer at all."""

PROBE_TIMEOUT_S = 20.0
"""Seconds to find out whether a cluster answers without a token."""

PROBE = """
import sys, ray
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1]).internal_kv_keys(b"rollcall", None, timeout=5)
except ray.exceptions.AuthenticationError:
    raise SystemExit(3)
"""
"""Asks a cluster something without a token: status 0 if it answers, 3 if it refuses to."""

UNAUTHENTICATED = (
    "the Ray cluster does not take the token that is here, or there is none: its own must be in "
    "RAY_AUTH_TOKEN, in the file RAY_AUTH_TOKEN_PATH or in ~/.ray/auth_token"
)

_OPEN, _GUARDED = 0, 3


class NotJoinedError(Exception):
    """The cluster cannot be used, and why, in words for people."""


def join(wanted: Join) -> Any:
    """Joins; returns the module `ray`.

    Raises:
        NotJoinedError: and why.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(HEAD_MAY_BE_GONE_S))
    if _has_token():  # for an address that is named, Ray does not look for it by itself
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    elif os.environ.get("RAY_AUTH_MODE") == "token":  # there Ray aborts
        raise NotJoinedError(UNAUTHENTICATED)
    if path := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(Path(path).absolute())
    # Ray has its processes on every node look for modules where the driver stands: a folder
    # called "nodes" there is not ours.
    os.chdir("/")
    try:
        import ray  # noqa: PLC0415 - heavy, and only here
    except ImportError as error:
        raise NotJoinedError(
            "Ray is not installed here: pip install 'rollcall-console[ray]'"
        ) from error
    _connect(ray, wanted)
    if not wanted.open_allowed:
        _check_guarded(ray.get_runtime_context().gcs_address)
    return ray


def _check_token(ray: Any, address: str) -> None:
    """Raises `NotJoinedError` where nobody answers, or not to the token that is here: Ray's own
    way in takes its time for that, and does not tell one from the other.
    """
    from ray._raylet import GcsClient  # noqa: PLC0415 - it has no public name

    try:
        with socket.create_connection(parse_address(address), DIAL_TIMEOUT_S):
            pass
        GcsClient(address=address).internal_kv_keys(b"rollcall", None, timeout=DIAL_TIMEOUT_S)
    except OSError as error:
        raise NotJoinedError(
            f"no Ray head answers at {address}: it is what 'ray start --head' tells"
        ) from error
    except ray.exceptions.AuthenticationError as error:
        raise NotJoinedError(UNAUTHENTICATED) from error


def _connect(ray: Any, wanted: Join) -> None:
    if wanted.address != AUTO:
        _check_token(ray, wanted.address)
    try:
        ray.init(
            address=wanted.address,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level="error",
            **({"_node_ip_address": wanted.node} if wanted.node else {}),
        )
    except ConnectionError as error:
        raise NotJoinedError(
            "no node of that Ray cluster is on this machine: start one, with 'ray start "
            "--address' and what 'ray start --head' told, and with the cluster's token"
        ) from error
    except (RuntimeError, ValueError) as error:
        python = ".".join(map(str, sys.version_info[:3]))
        raise NotJoinedError(
            f"the Ray cluster at {wanted.address} cannot be joined from here; its nodes must have "
            f"the same Ray and Python as this machine, {ray.__version__} and {python}"
        ) from error


def _has_token() -> bool:
    variables = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    return any(map(os.environ.get, variables)) or (Path.home() / ".ray/auth_token").exists()


def _check_guarded(address: str) -> None:
    """Raises `NotJoinedError` unless the cluster refuses whoever has no token. Another process
    asks it: this one has a token, and sends it.
    """
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", PROBE, address],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
        status = done.returncode
    except subprocess.TimeoutExpired:
        status = -1
    if status == _GUARDED:
        return
    if status == _OPEN:
        raise NotJoinedError(
            "the Ray cluster is open: whoever reaches it, and Ray listens on every address, may "
            "run anything there; start its nodes with RAY_AUTH_MODE=token, or say "
            "--open-engine"
        )
    raise NotJoinedError(
        "it cannot be told whether the Ray cluster asks for a token: it is not used"
    )
