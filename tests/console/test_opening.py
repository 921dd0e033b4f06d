"""A cluster that is opened: the console may quit meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.messages import LookupsProposed, OfCluster
from console.opening import Opening, OpeningCancelled
from nodes.catalog import Progress, ensure_catalog
from nodes.cluster import Cluster
from nodes.errors import UndeclaredLookups


def test_to_quit_while_a_definition_is_proposed_writes_none_and_ends_it(tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("code,colour\nA1,red\n")

    def open_cluster(progress: Progress) -> Cluster:
        raise AssertionError(ensure_catalog(tmp_path, progress=progress))

    def post(message: OfCluster) -> bool:
        if isinstance(message, LookupsProposed):
            opening.cancel()
        return True

    opening = Opening(open_cluster, post)
    with pytest.raises(UndeclaredLookups):
        opening.run()
    assert not (tmp_path / "dataset.toml").exists()


def test_to_quit_while_a_catalog_is_built_ends_that() -> None:
    def open_cluster(progress: Progress) -> Cluster:
        opening.cancel()
        progress("read", 1, 2)
        raise AssertionError("it went on")

    opening = Opening(open_cluster, lambda _message: True)
    with pytest.raises(OpeningCancelled):
        opening.run()
