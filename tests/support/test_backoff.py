"""Backoff: waits grow to a limit, and jitter stays within its share."""

from __future__ import annotations

import pytest

from nodes.support.backoff import Backoff


@pytest.mark.parametrize(
    ("attempt", "chance", "wait_s"),
    [
        (0, 0.5, 1.0),
        (1, 0.5, 2.0),
        (3, 0.5, 8.0),
        (4, 0.5, 10.0),
        (10**6, 0.5, 10.0),
        (0, 0.0, 0.75),
        (0, 1.0, 1.25),
        (9, 0.0, 7.5),
        (9, 1.0, 12.5),
    ],
)
def test_a_wait_grows_to_its_limit_and_is_jittered(
    attempt: int, chance: float, wait_s: float
) -> None:
    backoff = Backoff(first_s=1.0, longest_s=10.0, jitter=0.25)
    assert backoff.wait_s(attempt, chance) == pytest.approx(wait_s)


def test_a_factor_of_one_never_grows() -> None:
    backoff = Backoff(first_s=0.1, factor=1.0)
    assert {backoff.wait_s(attempt, 0.5) for attempt in range(100)} == {0.1}
