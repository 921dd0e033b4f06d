"""Numbers in names count as numbers."""

from __future__ import annotations

from nodes.support.natural import natural_key


def test_a_longer_number_comes_later() -> None:
    names = ["w10", "w9", "w1", "v2", "w", "10", "9", "w100"]
    assert sorted(names, key=natural_key) == ["9", "10", "v2", "w", "w1", "w9", "w10", "w100"]


def test_only_the_number_at_the_end_counts() -> None:
    assert sorted(["a10b2", "a9b10"], key=natural_key) == ["a10b2", "a9b10"]
