"""The default policy against the others: within a tenth of the best in every situation."""

from __future__ import annotations

import pytest

from tests.simulation.table import DEFAULT, NAMES, ROWS, Row, measure

EACH_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@pytest.mark.parametrize("row", ROWS[:5], ids=lambda row: row.name)
def test_the_default_is_not_far_from_the_quickest(row: Row) -> None:
    """A short look, against the policy that minds nothing but latency."""
    ours, theirs = (measure(row, name, seeds=(1,), seconds=5.0) for name in (DEFAULT, "latency"))
    assert ours.errors == 0
    assert ours.p99 <= 1.25 * theirs.p99


@pytest.mark.soak
@pytest.mark.timeout(900)
@EACH_ROW
def test_the_default_is_within_a_tenth_of_the_best(row: Row) -> None:
    outcomes = {name: measure(row, name) for name in NAMES}
    best = min(outcome.p99 for outcome in outcomes.values())
    assert outcomes[DEFAULT].errors == 0
    assert outcomes[DEFAULT].p99 <= 1.1 * best, outcomes


def test_a_newcomer_gets_its_share_and_no_more() -> None:
    joins = next(row for row in ROWS if row.late)
    assert 0.15 < measure(joins, DEFAULT, seeds=(1,)).share < 0.25
