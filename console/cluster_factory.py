"""Which cluster the console shows: one that it hosts, or one that runs elsewhere.

What a cluster needs is imported when it is opened, on the driver's thread: the screen is drawn
meanwhile.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.cluster_names import cluster_names

if TYPE_CHECKING:
    from console.opening import OpenCluster
    from nodes.catalog import CatalogInfo, Progress
    from nodes.cluster import Cluster


def hosting(
    *,
    port: int,
    workers: int,
    data: Path | None,
    balance: str,
    watch: bool = False,
    require_token: bool = False,
    tls: Path | None = None,
    host: str = "127.0.0.1",
    insecure: bool = False,
    audit: Path | None = None,
    machines: Path | None = None,
    engine: str | None = None,
    open_engine: bool = False,
    metrics: str | None = None,
    metrics_open: bool = False,
    tracing: bool = False,
    workers_from: Sequence[str] = (),
    options: tuple[str, ...] | None = None,
    log_level: str | None = None,
    log_format: str | None = None,
) -> OpenCluster:
    """Hosts a master and its workers, in this process or on other machines."""

    def open_cluster(progress: Progress) -> Cluster:
        from nodes.catalog import ensure_catalog
        from nodes.cli.log_options import workers_log_options
        from nodes.cluster import HostedCluster
        from nodes.errors import DataError, UndeclaredLookups
        from nodes.fleet.elsewhere import machines_elsewhere
        from nodes.support.paths import shipped_data
        from nodes.support.switch_interval import shorten_switch_interval

        # The master's loop and the screen take turns: each lookup would wait for a drawing thread.
        shorten_switch_interval()

        def build(also: Progress) -> CatalogInfo:
            def progressed(stage: str, done: int, total: int) -> None:
                progress(stage, done, total)
                also(stage, done, total)

            try:
                return ensure_catalog(data or shipped_data(), progress=progressed)
            except UndeclaredLookups as error:
                if data is None or not data.is_dir():
                    raise DataError(str(error)) from None  # a file is not told what it holds
                raise

        open_machines = machines_elsewhere(
            machines, engine, open_engine=open_engine, tls=tls is not None
        )
        return HostedCluster(
            build=build,
            workers=workers,
            port=port,
            balance=balance,
            watch=watch,
            require_token=require_token,
            tls=tls,
            host=host,
            insecure=insecure,
            audit=audit,
            open_machines=open_machines,
            metrics=metrics,
            metrics_open=metrics_open,
            tracing=tracing,
            workers_from=workers_from,
            options=options,
            log_options=workers_log_options(log_level, log_format),
        )

    return open_cluster


def attaching_all(
    addresses: Sequence[str], tls: Path | None = None, *, look_only: bool = False
) -> dict[str, OpenCluster]:
    """Watches and steers the clusters of the masters at these addresses, each by its name.

    Raises:
        BadRequest: an address is none, or is there twice.
    """
    names = cluster_names(addresses)
    return {
        name: attaching(one, tls, look_only=look_only)
        for name, one in zip(names, addresses, strict=True)
    }


def attaching(address: str, tls: Path | None = None, *, look_only: bool = False) -> OpenCluster:
    """Watches and steers the cluster of the master at `address`; or only watches it."""

    def open_cluster(_progress: Progress) -> Cluster:
        from nodes.client.attached import AttachedCluster

        return AttachedCluster(address, tls=tls, look_only=look_only)

    return open_cluster
