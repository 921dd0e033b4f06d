"""When a call to a master is sent again, and what it comes to: decisions alone."""

from __future__ import annotations

import pytest

from nodes.client.retry import MAX_BREAKS, Retry
from nodes.errors import BadReply, MasterLost, Overloaded, Stopping
from nodes.transport import CallTimeout, DialFailed, LinkLost, ProtocolError

WHERE = "127.0.0.1:1"
BUSY = Overloaded("all connections are in use", retry_after_ms=200)


def attempts(error: Exception, *, patient: bool, again: bool = True) -> int:
    """How often a call is sent again that ends like that each time."""
    retry = Retry(WHERE, again=again)
    for count in range(MAX_BREAKS + 5):
        if retry.wait_s(error, patient=patient) is None:
            return count
    return MAX_BREAKS + 5


@pytest.mark.parametrize(
    ("error", "patient", "expected"),
    [
        pytest.param(DialFailed("refused"), False, 0, id="nobody is there"),
        pytest.param(DialFailed("refused"), True, MAX_BREAKS + 5, id="who was there is waited for"),
        pytest.param(LinkLost("reset"), True, MAX_BREAKS, id="the call may be what ends it"),
        pytest.param(LinkLost("reset"), False, MAX_BREAKS, id="who hangs up is there"),
        pytest.param(ProtocolError("no frame"), False, 1, id="what is no master"),
    ],
)
def test_how_often_a_call_is_sent_again(error: Exception, patient: bool, expected: int) -> None:
    assert attempts(error, patient=patient) == expected
    assert attempts(error, patient=patient, again=False) == 0


@pytest.mark.parametrize(("left_s", "waits"), [(0.1, False), (0.5, True)])
def test_a_busy_master_is_asked_again_while_there_is_time(left_s: float, waits: bool) -> None:
    wait = Retry(WHERE, again=True).overload_wait_s(BUSY, left_s)
    assert (wait is not None) is waits
    assert wait is None or 0.2 <= wait <= 0.4
    assert Retry(WHERE, again=False).overload_wait_s(BUSY, left_s) is None


def test_what_a_call_comes_to() -> None:
    retry = Retry(WHERE, again=True)
    assert type(retry.lost(CallTimeout(WHERE, 2.0))) is MasterLost
    retry.overload_wait_s(BUSY, 1.0)
    assert retry.lost(CallTimeout(WHERE, 0.1)) is BUSY, "its turn did not come"
    assert type(retry.lost(DialFailed("refused"))) is MasterLost, "it is gone since"
    assert type(retry.lost(ProtocolError("no frame"))) is BadReply
    retry.wait_s(Stopping("it stops"), patient=False)
    assert "it stops" in str(retry.lost(DialFailed("refused")))
