"""Which page answers which request, and whom."""

from __future__ import annotations

import pytest

from nodes.errors import BadRequest, StartError
from nodes.monitoring.endpoint import check_reach, metrics_address
from nodes.monitoring.pages import (
    ALIVE_WITHIN_S,
    FRESH_WITHIN_S,
    Look,
    in_slices,
    is_own_name,
    page,
)
from nodes.wire import ClusterSnapshot
from tests.console.fakes import cluster_snapshot, worker_view

WELL = cluster_snapshot([worker_view(1)])
SLOW = cluster_snapshot([worker_view(1, slow=True), worker_view(2)])
STARTING = cluster_snapshot([worker_view(1, state="starting")], uptime_s=1.0)
OUTAGE = cluster_snapshot([])


def seeing(snapshot: ClusterSnapshot) -> Look:
    """A look at that."""
    return lambda _max_age_s: snapshot


def said(path: str, look: Look, *, stopping: bool = False) -> tuple[int, str]:
    """A page's status and text."""
    found = page(path, look, stopping=stopping)
    return found.status, "".join(found.parts)


@pytest.mark.parametrize(
    ("snapshot", "status", "words"),
    [
        (WELL, 200, "HEALTHY"),
        (SLOW, 200, "DEGRADED  w1 slow"),
        (STARTING, 503, "STARTING  0 of 1 worker up"),
        (OUTAGE, 503, "OUTAGE  no workers"),
    ],
)
def test_it_is_ready_while_a_lookup_would_be_answered_and_says_the_verdict(
    snapshot: ClusterSnapshot, status: int, words: str
) -> None:
    assert said("/readyz", seeing(snapshot)) == (status, f"{words}\n")
    assert said("/healthz", seeing(snapshot)) == (200, "ok\n"), "it is no matter of its life"


def test_a_master_that_stops_is_alive_and_not_ready() -> None:
    status, text = said("/readyz", seeing(WELL), stopping=True)
    assert (status, text.startswith("STOPPING")) == (503, True)
    assert said("/healthz", seeing(WELL), stopping=True)[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
@pytest.mark.parametrize("error", [TimeoutError, RuntimeError])
def test_of_a_master_that_does_not_run_nothing_old_is_told(
    path: str, error: type[Exception]
) -> None:
    def stuck(_max_age_s: float) -> ClusterSnapshot:
        raise error

    assert said(path, stuck) == (503, "the master does not run: its loop has not answered\n")


def test_a_master_that_is_late_for_a_while_is_alive() -> None:
    asked: list[float] = []

    def look(max_age_s: float) -> ClusterSnapshot:
        asked.append(max_age_s)
        return WELL

    for path in ("/healthz", "/readyz", "/metrics?name=x"):
        assert said(path, look)[0] == 200
    assert asked == [ALIVE_WITHIN_S, FRESH_WITHIN_S, FRESH_WITHIN_S]


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "", "*", "http://evil.example/metrics"])
def test_another_path_is_told_which_there_are(path: str) -> None:
    status, text = said(path, seeing(WELL))
    assert status == 404
    assert "/metrics" in text


@pytest.mark.parametrize(
    ("host", "own"),
    [
        (None, True),
        ("127.0.0.1:9464", True),
        ("10.1.2.3", True),
        ("[::1]:9464", True),
        ("[::1]", True),
        ("localhost:9464", True),
        ("LocalHost", True),
        ("db1.:9464", True),
        ("evil.example:9464", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("[::1].evil.example", True),  # no name that could be looked up
        ("", False),
        ("[", False),
        ("user@127.0.0.1", False),
    ],
)
def test_a_name_that_anybody_can_have_lead_here_is_not_answered(
    host: str | None, own: bool
) -> None:
    assert is_own_name(host, ("localhost", "db1")) is own


def test_what_is_told_comes_in_slices_of_some_size() -> None:
    parts = ["é" * 10] * 100
    slices = list(in_slices(parts, size=64))
    assert b"".join(slices).decode() == "".join(parts)
    assert 10 < len(slices) < 100
    assert list(in_slices(["\udc80"])) == [b"?"]


@pytest.mark.parametrize("text", ["", "9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "a b:1"])
def test_an_address_has_a_port(text: str) -> None:
    with pytest.raises(BadRequest):
        metrics_address(text)


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:9464", "localhost:9464"])
def test_an_address_is_written_as_others_are(text: str) -> None:
    assert str(metrics_address(text)) == text


def test_others_reach_it_only_if_that_is_said() -> None:
    with pytest.raises(StartError, match="--metrics-open"):
        check_reach("0.0.0.0", is_open=False)
    check_reach("0.0.0.0", is_open=True)
    check_reach("::1", is_open=False)
