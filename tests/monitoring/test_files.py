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


MAY_BE_EMPTY = (" > 0", "certificate")
"""Parts of what is asked for that mostly finds nothing."""


def test_what_is_asked_is_asked_of_the_data_source_that_is_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        assert panel["datasource"] == chosen, panel["title"]
        assert all(target["datasource"] == chosen for target in panel["targets"])
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    assert [one["name"] for one in variables] == ["datasource", "instance"]
    assert (variables[0]["query"], variables[1]["datasource"]) == ("prometheus", chosen)


def test_a_panel_that_is_empty_on_a_calm_day_says_what_that_means() -> None:
    for panel in panels():
        asked = [target["expr"] for target in panel["targets"]]
        if all(any(part in one for part in MAY_BE_EMPTY) for one in asked):
            assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


def test_units_are_those_that_a_dashboard_knows() -> None:
    known = {"bytes", "percentunit", "reqps", "s", "short"}
    drawn = [one for one in panels() if one["type"] in ("stat", "timeseries")]
    units = {one["title"]: one["fieldConfig"]["defaults"].get("unit") for one in drawn}
    assert units.pop("Verdict") is None, "words"
    assert set(units.values()) == known


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
