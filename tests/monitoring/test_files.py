"""The files for Grafana and Prometheus name what is there, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nodes.monitoring
from nodes.monitoring.exposition import exposition
from tests.monitoring.test_exposition import full_snapshot

FILES = Path(nodes.monitoring.__file__).parent
RULES = FILES / "alert-rules.yml"
DASHBOARD = FILES / "grafana-dashboard.json"

GRAFANA_COLUMNS = 24


def told() -> set[str]:
    """The names of all metrics and samples there are."""
    lines = "".join(exposition(full_snapshot())).splitlines()
    return {re.split(r"[{ ]", line.removeprefix("# TYPE "))[0] for line in lines}


def named(text: str) -> set[str]:
    """The metrics that a text names."""
    return set(re.findall(r"\brollcall_[a-z_]+\b", text))


def panels() -> list[dict[str, Any]]:
    """Those of the dashboard."""
    found = json.loads(DASHBOARD.read_text())["panels"]
    assert isinstance(found, list)
    return found


def expressions() -> list[str]:
    """What the dashboard asks for."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_every_metric_that_a_rule_or_a_panel_names_is_told() -> None:
    for file in (RULES, DASHBOARD):
        text = file.read_text()
        assert named(text)
        assert named(text) <= told(), file.name


def test_every_expression_is_of_the_masters_that_are_chosen() -> None:
    for one in expressions():
        assert len(named(one)) == 1
        [name] = named(one)
        assert len(re.findall(rf'{name}{{instance=~"\$instance"', one)) == one.count(name)


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= GRAFANA_COLUMNS
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
