"""How long a peer may be silent, or slow."""

from __future__ import annotations

import pytest

from nodes.transport import Limits
from nodes.transport.patience import Patience

LIMITS = Limits(first_byte=10.0, frame=20.0, idle=100.0)


@pytest.fixture
def patience() -> Patience:
    return Patience(LIMITS, 0.0)


def overdue(
    patience: Patience,
    now: float,
    *,
    sent: int = 0,
    unsent: int = 0,
    busy: bool = False,
    reading: bool = True,
) -> str:
    return patience.overdue(now, sent=sent, unsent=unsent, busy=busy, reading=reading)


def test_the_first_byte_has_a_time(patience: Patience) -> None:
    assert overdue(patience, 10.0) == ""
    assert overdue(patience, 10.1) == "silent"
    assert overdue(patience, 10.1, busy=True) == ""


def test_and_so_has_the_next_request(patience: Patience) -> None:
    patience.heard(5.0, partial=False, whole=True)
    assert overdue(patience, 105.0) == ""
    assert overdue(patience, 105.1) == "silent"


def test_a_frame_has_to_end_whatever_comes_of_it(patience: Patience) -> None:
    for now in range(1, 21):
        patience.heard(float(now), partial=True, whole=False)
    assert overdue(patience, 21.0) == ""
    assert overdue(patience, 21.1) == "a frame that does not end"
    patience.heard(21.2, partial=False, whole=True)
    assert overdue(patience, 50.0) == ""


def test_frame_upon_frame_may_come_for_ever(patience: Patience) -> None:
    """Nearly every read of them ends in the middle of one."""
    for now in range(1, 100):
        patience.heard(float(now), partial=True, whole=True)
        assert overdue(patience, now + 0.5) == ""
    assert overdue(patience, 120.0) == "a frame that does not end"


def test_what_is_not_read_may_come_late(patience: Patience) -> None:
    patience.heard(1.0, partial=True, whole=True)
    for now in range(2, 60):
        assert overdue(patience, float(now), busy=True, reading=False) == ""
    assert overdue(patience, 78.9) == ""
    assert overdue(patience, 79.1) == "a frame that does not end"


def test_what_is_there_to_be_taken_has_a_time(patience: Patience) -> None:
    patience.heard(0.0, partial=False, whole=True)
    assert overdue(patience, 1.0, sent=1000, unsent=900) == ""
    assert overdue(patience, 21.0, sent=1500, unsent=600) == ""
    assert overdue(patience, 21.1, sent=1500, unsent=600) == "answers that it does not take"


def test_who_takes_it_gets_time_for_the_rest(patience: Patience) -> None:
    patience.heard(0.0, partial=False, whole=True)
    sent = 0
    for now in range(1, 90, 15):
        sent += 1000
        assert overdue(patience, float(now), sent=sent, unsent=1000) == ""
    assert overdue(patience, 100.0, sent=sent, unsent=0) == ""
    assert overdue(patience, 119.0, sent=sent + 10, unsent=10) == ""
