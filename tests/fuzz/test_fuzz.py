"""A few thousand frames of what `python -m tests.fuzz` says by the million."""

from __future__ import annotations

import logging
import random

import pytest

from nodes.transport import Lane, messages
from nodes.transport.frames import FrameReader, MalformedError
from tests.fuzz.__main__ import MOST_GROWTH
from tests.fuzz.grammar import HANDLERS, Grammar
from tests.fuzz.run import fuzz_client, fuzz_nodes
from tests.kit import PATIENCE, master_alone, worker_inside

SEED = 20


def test_a_good_client_is_served_right_among_hostile_frames() -> None:
    report = fuzz_nodes(3000, seed=SEED)
    assert report.findings == []
    assert report.frames >= 3000
    assert report.lookups > 10
    assert sorted(report.grown) == ["master", "worker"]
    assert max(report.grown.values()) < MOST_GROWTH


def test_lanes_survive_a_hostile_server() -> None:
    report = fuzz_client(100, seed=SEED)
    assert report.findings == []
    assert report.sessions > 30
    assert max(report.grown.values()) < MOST_GROWTH


def decoded(sessions: int) -> list[messages.Message | None]:
    """The messages of so many sessions, None for what ends one."""
    grammar = Grammar(random.Random(SEED))
    found: list[messages.Message | None] = []
    for _ in range(sessions):
        reader = FrameReader(4 << 20)
        reader.feed(b"".join(grammar.session(60)))
        try:
            while (payload := reader.next()) is not None:
                found.append(messages.load(payload, messages.MAX_REQUEST_READS))
        except MalformedError:
            found.append(None)
    return found


def test_the_grammar_says_what_it_should() -> None:
    """Frames of every handler that RPyC has are decoded, and a part of them is broken."""
    found = decoded(100)
    sound = [message for message in found if message is not None]
    asked = {body[0] for _kind, _seq, body in sound if isinstance(body, tuple)}
    assert asked >= set(HANDLERS)
    assert 20 < len(found) - len(sound) < len(sound)


def test_a_seed_says_the_same_again() -> None:
    one, two = (Grammar(random.Random(SEED)) for _ in range(2))
    assert [one.session(20) for _ in range(5)] == [two.session(20) for _ in range(5)]
    assert one.session(20) != Grammar(random.Random(SEED + 1)).session(20)


@pytest.mark.parametrize("number", [2**63, 2**64, 10**4200], ids=["64", "65", "many"])
def test_numbers_beyond_all_bounds_are_bad_requests(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Found by the fuzzer: they fit neither a float nor a message to a worker."""
    with master_alone() as master, worker_inside(master):
        with Lane.dial(master.address.host, master.address.port) as lane:
            for named in ({"limit": number}, {"timeout_s": number}, {"timeout_s": -number}):
                reply = lane.call("getbyname", "xander", timeout=PATIENCE, named=named)
                assert '"bad_request"' in str(reply)
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []
