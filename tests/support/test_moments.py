"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nodes.support.moments import parse_moment

NOW = datetime(2026, 1, 31, 12, 0, 0)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("12:00", datetime(2026, 1, 31, 12)),
        ("11:59:30", datetime(2026, 1, 31, 11, 59, 30)),
        ("12:00:01", datetime(2026, 1, 30, 12, 0, 1)),
        ("2026-01-31T12:31", datetime(2026, 1, 31, 12, 31)),
        ("2026-01-31 12:31:05", datetime(2026, 1, 31, 12, 31, 5)),
        ("2026-01-31T12:31:00+00:00", datetime(2026, 1, 31, 12, 31, tzinfo=UTC)),
        ("1767182400.5", datetime.fromtimestamp(1767182400.5, UTC)),
    ],
)
def test_a_time(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment.timestamp()


@pytest.mark.parametrize("text", ["", "noon", "25:00", "nan", "inf", "1-2", "9999-12-31T23:61"])
def test_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_moment(text, NOW)
