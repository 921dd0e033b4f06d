"""Where a cluster's workers are placed, as its command line says."""

# ruff: noqa: PLC0415 - each kind of machines is loaded only where it is wanted

from __future__ import annotations

from pathlib import Path

from nodes.errors import StartError
from nodes.fleet.machine import OpenMachines


def machines_elsewhere(
    file: Path | None, engine: str | None, *, open_engine: bool, tls: bool
) -> OpenMachines | None:
    """The machines of a file, or an engine's; None for this machine alone.

    Args:
        file: names machines that ssh reaches.
        engine: names a Ray cluster.
        open_engine: whether a cluster may be used that asks nobody for a token.
        tls: whether Rollcall's own connections use TLS.

    Raises:
        StartError: both are named, or one cannot be used.
        BadRequest: that is no engine.
    """
    if file is not None and engine is not None:
        raise StartError("workers are placed by --machines or by --engine: give one")
    if file is not None:
        from nodes.fleet.ssh_fleet import machines_of

        return machines_of(file, tls=tls)
    if engine is not None:
        from nodes.fleet.ray.machines import nodes_of

        return nodes_of(engine, open_allowed=open_engine)
    return None
