"""Which events the operator is notified of."""

from __future__ import annotations

from console.notifications import OWN_ACTION_S, NotificationFilter
from tests.console.fakes import event


def test_only_what_is_bad_is_told() -> None:
    lost = event(2, "lost", "w1")
    events = [event(1, "registered"), lost, event(3, "recovered"), event(4, "of a newer master")]
    assert NotificationFilter().select(events, 0.0) == [lost]


def test_what_the_operator_caused_is_not_told_for_a_while() -> None:
    notifications = NotificationFilter()
    notifications.acted_on("w1", now=100.0)
    own, other = event(1, "suspect", "w1"), event(2, "lost", "w2")
    assert notifications.select([own, other], 101.0) == [other]
    assert notifications.select([own, other], 100.0 + OWN_ACTION_S) == [own, other]
