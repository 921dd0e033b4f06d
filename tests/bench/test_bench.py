"""The benchmarks themselves, where they take no time: tables, pictures, and peers that agree."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench import peers
from tests.bench.chart import Panel, draw
from tests.bench.compare import ECHO, OURS, Figure, medians, table
from tests.bench.peers import Row

RECORDS = 50


@pytest.mark.parametrize("name", peers.NAMES)
def test_every_peer_finds_the_same(name: str, tmp_path: Path) -> None:
    module: Any = importlib.import_module(f"tests.bench.peers.{name}")
    rows = [row for row in module.ROWS if not module.missing(row)]
    if not rows:
        pytest.skip(f"{name} is not installed: {module.missing(module.ROWS[0])}")
    data = peers.write(tmp_path, RECORDS)
    expected = peers.by_name(data.file)
    assert len(expected) == RECORDS
    with module.serve(data) as address:
        for row in rows:
            names = [peers.name_of(number % RECORDS) for number in range(row.batch)]
            with module.connect(address, row) as find:
                found = find(names)
            assert found == ([expected[name] for name in names] if row.finds else [])


def test_the_table_has_a_row_for_each_and_ratios_to_two() -> None:
    rows = {
        ECHO: Row("an echo"),
        OURS: Row("ours", clients=(1, 8, 64)),
        ("x", 0): Row("x", batch=10),
    }
    figures = {
        (ECHO, 1): Figure(1000.0, 0.001, 0),
        (ECHO, 8): Figure(4000.0, 0.002, 0),
        (OURS, 1): Figure(500.0, 0.002, 0),
        (OURS, 8): Figure(2000.0, 0.004, 0),
        (OURS, 64): Figure(1500.0, 0.040, 0),
        (("x", 0), 1): Figure(20000.0, 0.0005, 0),
        (("x", 0), 8): Figure(6000.0, 0.001, 0),
    }
    head, rule, *lines = table(rows, figures)
    assert head.count("|") == rule.count("|") == 8
    assert lines == [
        "| an echo | 1,000 | 4,000 |  | 1,000 us | 1 | 2 |",
        "| ours | 500 | 2,000 | 1,500 | 2,000 us | 2 | 1 |",
        "| x | 20,000 | 6,000 |  | 500 us a batch | 0.05 | 3 |",
    ]


def test_failures_are_added_up_and_the_rest_are_medians() -> None:
    rounds = [Figure(1.0, 30.0, 1), Figure(2.0, 10.0, 0), Figure(9.0, 20.0, 2)]
    assert medians(rounds) == Figure(2.0, 20.0, 3)


def test_the_picture_is_drawn_whatever_was_measured() -> None:
    panels = [
        Panel("a < b", (28, 10_000), [9000.0, 8000.0], [0.0002, 0.0003]),
        Panel("none", (1, 2), [0.0, 1.0], [0.5, 1e-9]),
    ]
    picture = ElementTree.fromstring(draw(panels))  # noqa: S314 - our own
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("a < b") == 2
    assert {"28", "10,000", "9,000", "300"} <= set(texts)
    height = float(picture.attrib["height"])
    circles = list(picture.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 8
    assert all(0 < float(circle.attrib["cy"]) < height for circle in circles)
