"""What a launcher knows of its machines in Ray, whatever is told twice, late or never."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from nodes.fleet.keeper.messages import Ended, NotStarted, Output, Signal, Start, Started
from nodes.fleet.keeper.session import KeptWorker
from nodes.fleet.log_file import LogFile
from nodes.fleet.machine import Ending
from nodes.fleet.ray.ledger import (
    FORGET_AFTER_S,
    SAME_NAME_AFTER_S,
    KnownKeeper,
    KnownMachine,
    Ledger,
)
from nodes.fleet.ray.messages import (
    Follow,
    KeeperFound,
    KeeperGone,
    KeeperMissing,
    NodesSeen,
    Obeyed,
    RayNode,
    Report,
    Reported,
    Send,
)

NODE, OTHER = RayNode("id-a", "a", "10.0.0.1", 4), RayNode("id-b", "b", "10.0.0.1", 2)


@pytest.fixture
def ledger() -> Ledger:
    """One that knows two nodes and a keeper on the first."""
    ledger = Ledger()
    assert ledger.take(NodesSeen((NODE, OTHER)), 0.0) == []
    assert ledger.take(KeeperFound("k1", "id-a"), 0.0) == [Follow("k1", 0)]
    return ledger


class KnownWorker(NamedTuple):
    """A worker on the first node."""

    worker: KeptWorker

    @property
    def ending(self) -> Ending | None:
        return self.worker.wait(0.0)


@pytest.fixture
def run(ledger: Ledger, tmp_path: Path) -> Iterator[KnownWorker]:
    """A worker that the keeper of the first node was told to start."""
    keeper = keeper_of(ledger)
    log = LogFile(tmp_path / "log")
    worker = KeptWorker(lambda _key, _number: None, 1, log)
    keeper.workers.add(worker)
    keeper.order(Start(1, ("worker",), b"secret\n"))
    yield KnownWorker(worker)
    worker.end(Ending("the test is over"))
    log.close()


def machine(ledger: Ledger, name: str = "a") -> KnownMachine:
    return ledger.machines[name]


def keeper_of(ledger: Ledger) -> KnownKeeper:
    keeper = machine(ledger).keeper
    assert keeper is not None
    return keeper


def tell(ledger: Ledger, *what: Started | NotStarted | Output | Ended, first: int = 1) -> None:
    reports = tuple(Report(number, one) for number, one in enumerate(what, first))
    assert ledger.take(Reported("k1", reports), 0.0) == []


def test_a_machine_takes_workers_once_its_keeper_answers(ledger: Ledger) -> None:
    assert [(one.name, one.room, bool(one.why)) for one in ledger.machines.values()] == [
        ("a", 4, False),
        ("b", 2, True),
    ]
    ledger.take(KeeperMissing("id-b", "Rollcall is not installed there"), 0.0)
    assert machine(ledger, "b").why == "Rollcall is not installed there"
    ledger.take(KeeperFound("k2", "id-b"), 0.0)
    assert machine(ledger, "b").why == ""


def test_a_worker_is_followed_from_its_start_to_its_end(
    ledger: Ledger, run: KnownWorker, tmp_path: Path
) -> None:
    tell(ledger, Started(1, 4711), Output(1, b"up\n"))
    assert (run.worker.pid, run.ending) == (4711, None)
    tell(ledger, Output(1, b"down\n"), Ended(1, -9), first=3)
    assert run.ending == Ending("killed by SIGKILL")
    assert (tmp_path / "log").read_bytes() == b"up\ndown\n"


def test_one_that_cannot_be_started_says_why(ledger: Ledger, run: KnownWorker) -> None:
    tell(ledger, NotStarted(1, "cannot be started: No space left"))
    assert run.ending == Ending("cannot be started: No space left")


def test_what_is_reported_twice_counts_once(
    ledger: Ledger, run: KnownWorker, tmp_path: Path
) -> None:
    tell(ledger, Started(1, 4711), Output(1, b"up\n"))
    tell(ledger, Started(1, 4711), Output(1, b"up\n"), Output(1, b"more\n"))
    assert (tmp_path / "log").read_bytes() == b"up\nmore\n"


def test_a_new_side_process_is_told_what_is_not_confirmed(ledger: Ledger, run: KnownWorker) -> None:
    keeper = keeper_of(ledger)
    keeper.order(Signal(1, 15))
    keeper.order(Signal(1, 9))
    tell(ledger, Started(1, 4711))
    ledger.take(Obeyed("k1", 2), 0.0)
    follow, *orders = ledger.take(KeeperFound("k1", "id-a"), 0.0)
    assert follow == Follow("k1", 1)
    assert [order.order.action for order in orders if isinstance(order, Send)] == [Signal(1, 9)]
    assert run.ending is None


def test_an_order_waits_until_a_new_side_process_was_told_of_those_before(
    ledger: Ledger, run: KnownWorker
) -> None:
    keeper = keeper_of(ledger)
    ledger.side_ended()
    assert keeper.order(Signal(1, 15)) is None
    follow, *orders = ledger.take(KeeperFound("k1", "id-a"), 0.0)
    assert isinstance(follow, Follow)
    numbers = [order.order.number for order in orders if isinstance(order, Send)]
    assert numbers == [1, 2]
    later = keeper.order(Signal(1, 9))
    assert later is not None
    assert later.order.number == 3
    assert run.ending is None


@pytest.mark.parametrize(
    "message",
    [
        NodesSeen((OTHER,)),
        NodesSeen((RayNode("id-a2", "a", "10.0.0.1", 4), OTHER)),
        KeeperGone("k1", "it does not answer"),
        KeeperMissing("id-a", "it cannot be started"),
        KeeperFound("k3", "id-a"),
    ],
    ids=["node gone", "node started anew", "keeper gone", "no keeper", "another keeper"],
)
def test_workers_of_a_lost_machine_are_not_to_blame(
    ledger: Ledger, run: KnownWorker, message: NodesSeen | KeeperGone | KeeperMissing | KeeperFound
) -> None:
    ledger.take(message, 0.0)
    assert run.ending is not None
    assert run.ending.machine_lost
    tell(ledger, Ended(1, 0))
    assert run.ending.machine_lost, "what comes too late changed it"


def test_a_machine_that_is_back_is_the_same(ledger: Ledger) -> None:
    before = machine(ledger)
    ledger.take(NodesSeen((OTHER,)), 0.0)
    assert before.why
    ledger.take(NodesSeen((RayNode("id-a2", "a", "10.0.0.1", 8), OTHER)), 5.0)
    ledger.take(KeeperFound("k9", "id-a2"), 5.0)
    assert machine(ledger) is before
    assert (before.why, before.room) == ("", 8)


ANEW = RayNode("id-a2", "a", "10.0.0.1", 8)
"""The first node, started anew."""


def names(ledger: Ledger) -> dict[str, str]:
    """The machines, and Ray's id of the node of each."""
    return {name: known.node for name, known in ledger.machines.items()}


@pytest.mark.parametrize("nodes", [(NODE, ANEW, OTHER), (ANEW, NODE, OTHER)])
@pytest.mark.parametrize("found_at", ["beside the one before", "after it"])
def test_a_node_started_anew_before_the_one_before_is_known_to_be_gone_is_the_same_machine(
    ledger: Ledger, nodes: tuple[RayNode, ...], found_at: str
) -> None:
    found, met = KeeperFound("k9", "id-a2"), [Follow("k9", 0)]
    assert ledger.take(NodesSeen(nodes), 1.0) == []
    if found_at == "after it":
        assert ledger.take(NodesSeen((ANEW, OTHER)), 3.0) == []
        assert ledger.take(found, 4.0) == met
    else:
        assert ledger.take(found, 2.0) == []
        assert ledger.take(NodesSeen((ANEW, OTHER)), 3.0) == met
    assert names(ledger) == {"a": "id-a2", "b": "id-b"}
    assert (machine(ledger).why, machine(ledger).room) == ("", 8)


def test_a_machine_is_its_new_nodes_once_its_keeper_is_gone_whatever_ray_says(
    ledger: Ledger,
) -> None:
    ledger.take(NodesSeen((NODE, ANEW, OTHER)), 1.0)
    ledger.take(KeeperFound("k9", "id-a2"), 2.0)
    assert ledger.take(KeeperGone("k1", "its keeper ended"), 3.0) == [Follow("k9", 0)]
    ledger.take(NodesSeen((NODE, ANEW, OTHER)), 4.0)
    assert names(ledger) == {"a": "id-a2", "b": "id-b"}
    assert machine(ledger).why == ""


def test_nodes_of_one_name_are_machines_of_their_own_names() -> None:
    ledger = Ledger()
    one, two = RayNode("b2345678", "n", "10.0.0.1", 1), RayNode("a2345678", "n", "10.0.0.1", 2)
    ledger.take(NodesSeen((one, two)), 0.0)
    assert names(ledger) == {"n-b23456": "b2345678", "n-a23456": "a2345678"}
    ledger.take(NodesSeen((one,)), 1.0)
    assert names(ledger) == {"n-b23456": "b2345678", "n-a23456": ""}, "a name stays while it is up"


def test_a_node_of_a_name_that_another_keeps_is_a_machine_in_the_end(ledger: Ledger) -> None:
    more = RayNode("c2345678", "a", "10.0.0.1", 1)
    for at in (1.0, SAME_NAME_AFTER_S):
        ledger.take(NodesSeen((NODE, OTHER, more)), at)
        assert set(ledger.machines) == {"a", "b"}
    ledger.take(KeeperFound("k3", "c2345678"), 2.0)
    follow = ledger.take(NodesSeen((NODE, OTHER, more)), SAME_NAME_AFTER_S + 1.0)
    assert follow == [Follow("k3", 0)]
    assert names(ledger) == {"a": "id-a", "b": "id-b", "a-c23456": "c2345678"}
    assert keeper_of(ledger).id == "k1"


def test_a_machine_that_is_gone_for_long_is_forgotten(ledger: Ledger) -> None:
    ledger.take(NodesSeen((OTHER,)), 10.0)
    ledger.take(NodesSeen((OTHER,)), 10.0 + FORGET_AFTER_S)
    assert "a" in ledger.machines
    ledger.take(NodesSeen((OTHER,)), 11.0 + FORGET_AFTER_S)
    assert list(ledger.machines) == ["b"]


def test_a_keeper_that_nobody_knows_changes_nothing(ledger: Ledger, run: KnownWorker) -> None:
    for message in (
        KeeperFound("k8", "id-z"),
        KeeperMissing("id-z", "why"),
        KeeperGone("k8", "why"),
        Obeyed("k8", 1),
        Reported("k8", (Report(1, Ended(1, 0)),)),
    ):
        assert ledger.take(message, 0.0) == []
    assert run.ending is None
