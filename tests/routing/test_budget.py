"""Budgets against a model: what was paid in, and what was taken out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodes.routing import Budget


@given(st.lists(st.sampled_from(["earn", "spend", "wait"]), max_size=300))
def test_no_more_is_spent_than_was_paid_in(steps: list[str]) -> None:
    budget = Budget(share=0.1, burst=3.0, per_s=0.5)
    now = paid = 0.0
    for step in steps:
        if step == "earn":
            budget.earn()
            paid += 0.1
        elif step == "wait":
            now += 1.0
            paid += 0.5
        else:
            before = budget.left(now)
            assert budget.spend(now) is (before >= 1.0)
        assert -1e-9 <= budget.left(now) <= 3.0
        assert budget.spent <= 3.0 + paid + 1e-9


def test_that_it_ran_out_is_told_once_for_as_long_as_it_goes_on() -> None:
    budget = Budget(share=0.0, burst=1.0)
    assert budget.spend(0.0)
    assert not budget.ran_out()
    assert not budget.spend(0.0)
    assert budget.ran_out()
    assert not budget.spend(0.0)
    assert not budget.ran_out()  # it still does
    assert not budget.ran_out()  # no longer
    assert not budget.spend(0.0)
    assert budget.ran_out()


def test_what_was_refused_is_told_once() -> None:
    budget = Budget(share=0.0, burst=1.0, per_s=1.0)
    assert budget.spend(0.0)
    assert budget.newly_refused() == 0
    assert not budget.spend(0.0)
    assert not budget.spend(0.5)
    assert budget.spend(1.0)
    assert budget.newly_refused() == 2
    assert budget.newly_refused() == 0
