"""Which cluster the console shows: one that it hosts, or one that runs elsewhere."""

from __future__ import annotations

from pathlib import Path

from console.driver import Open
from nodes.catalog import CatalogInfo, Progress, ensure_catalog
from nodes.cluster import AttachedCluster, Cluster, HostedCluster
from nodes.paths import shipped_data


def hosting(*, port: int, workers: int, data: Path | None, balance: str) -> Open:
    """Hosts a master and its workers in this process."""

    def open_cluster(progress: Progress) -> Cluster:
        def build() -> CatalogInfo:
            return ensure_catalog(data or shipped_data(), progress=progress)

        return HostedCluster(build=build, workers=workers, port=port, balance=balance)

    return open_cluster


def attaching(address: str) -> Open:
    """Watches and steers the cluster of the master at `address`."""

    def open_cluster(_progress: Progress) -> Cluster:
        return AttachedCluster(address)

    return open_cluster
