"""Every act of an operator is told: who, what, and what came of it."""

from __future__ import annotations

import contextlib
import json
import stat
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import rpyc

from nodes.client.attached import AttachedCluster
from nodes.errors import Forbidden, NotPossible, RollcallError, StartError, UnknownWorker
from nodes.master.acts import FORBIDDEN_AT_ONCE, MAX_ARGUMENT_CHARS, Acts, arguments_of
from nodes.master.audit import AuditFile
from nodes.master.events import EventLog
from nodes.master.operations import Operations
from nodes.security.tokens import TokenRole, ensure_token, read_token, token_file
from nodes.support.actor import acting_as
from nodes.support.verbs import STEERING
from tests.kit import PATIENCE, hosted, master_alone, poll_for

ALICE = "by an operator at 127.0.0.1 (operator token 'alice')"
BOB = "by a viewer at 127.0.0.1 (viewer token 'bob')"


def log_in_as(role: TokenRole, name: str, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """What operates the master at that address from now on gives that token."""
    ensure_token(token_file(role, name))
    own = token_file().with_name(f"{token_file().name}@{address}")
    own.touch(mode=0o600)
    own.write_text(read_token(token_file(role, name)) or "")


@pytest.fixture(autouse=True)
def _own_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_TOKEN_FILE", str(tmp_path / "token"))
    ensure_token()


def entries(path: Path) -> list[dict[str, Any]]:
    """What is in an audit file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line]


# -- at a cluster -----------------------------------------------------------------------

ACTS: list[tuple[Callable[[AttachedCluster], object], str]] = [
    (lambda it: it.scale(1), "done: scale 1: there are 1 already"),
    (lambda it: it.clear(), "done: clear: no worker is gone: nothing to forget"),
    (lambda it: it.reload(), "done: reload: catalog "),
    (lambda it: it.freeze("w1"), "frozen: "),
    (lambda it: it.thaw("w1"), "thawed: "),
    (lambda it: it.again("w1"), "not_done: again w1: not done: w1 is not gone"),
    (lambda it: it.kill("w9"), "not_done: kill w9: not done: no worker of this fleet is called"),
    (lambda it: it.spawn(1, "mars"), "not_done: spawn 1 mars: not done: "),
    (lambda it: it.spawn(300), "not_done: spawn 300: not done: a fleet has at most"),
    (lambda it: it.drain("w1"), "draining: "),
]


def test_each_act_is_one_event_with_who_and_what_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hosted(1, audit=tmp_path / "audit") as cluster:
        log_in_as(TokenRole.OPERATOR, "alice", monkeypatch, cluster.address)
        with AttachedCluster(cluster.address) as attached:
            for do, told in ACTS:
                before = cluster.snapshot().last_event
                failed = False
                try:
                    do(attached)
                except RollcallError:
                    failed = True
                said = [event for event in cluster.events(before) if ALICE in event.text]
                assert len(said) == 1, (told, said)
                assert f"{said[0].kind}: {said[0].text}".startswith(told)
                assert failed == (said[0].kind == "not_done")
        log_in_as(TokenRole.VIEWER, "bob", monkeypatch, cluster.address)
        with AttachedCluster(cluster.address) as attached:
            with pytest.raises(Forbidden, match="role operator"):
                attached.clear()
            with pytest.raises(Forbidden, match="role operator"):
                attached.kill("w1")
            assert attached.snapshot().workers
            assert attached.read_only
        poll_for(lambda: [one for one in cluster.events() if "kill w1" in one.text])
        forbidden = [one.text.split(":")[:2] for one in cluster.events() if BOB in one.text]
        assert forbidden == [["clear", " not done"], ["kill w1", " not done"]]
        with acting_as("the tests"), pytest.raises(UnknownWorker):
            cluster.restart("w9")
        assert cluster.events()[-1].text.endswith("by the tests")
        poll_for(lambda: len(entries(tmp_path / "audit")) == len(ACTS) + 3)
    written = entries(tmp_path / "audit")
    assert sorted(one["verb"] for one in written[len(ACTS) :]) == ["clear", "kill", "restart"]
    assert written[0]["arguments"] == {"count": 1}
    assert written[6]["arguments"] == {"worker_id": "w9"}
    assert (written[6]["outcome"], written[6]["code"]) == ("not_done", "unknown_worker")
    assert written[9]["outcome"] == "done"
    assert {f"by {one['who']}" for one in written} == {ALICE, BOB, "by the tests"}
    assert datetime.fromisoformat(written[0]["time"]).utcoffset() is not None


def test_every_operation_that_steers_is_an_act() -> None:
    assert all(hasattr(getattr(Operations, verb), "__wrapped__") for verb in STEERING)


# -- roles at a master ---------------------------------------------------------------------


def test_a_connection_may_ask_for_less_than_its_token_gives() -> None:
    ensure_token(token_file(TokenRole.WORKER))
    with master_alone() as master, rpyc.connect(*master.address) as connection:

        def ask(verb: str, *args: object) -> dict[str, Any]:
            found = json.loads(getattr(connection.root, verb)(*args))
            assert isinstance(found, dict)
            return found

        token = read_token()
        assert ask("login", token, "viewer")["result"] == "viewer"
        assert ask("snapshot")["error"] is False
        assert "asked for no more than viewer" in ask("clear")["error_message"]
        assert ask("login", token, "king")["code"] == "bad_request"
        assert ask("login", read_token(token_file(TokenRole.WORKER)), "viewer")["code"] == (
            "forbidden"
        )
        assert ask("login", token, "operator")["result"] == "operator"
        assert ask("clear")["error"] is False


def test_a_cluster_that_is_looked_at_only_is_a_viewer_s_whatever_the_token_gives() -> None:
    with (
        master_alone() as master,
        AttachedCluster(str(master.address), look_only=True) as looking,
        AttachedCluster(str(master.address)) as steering,
    ):
        assert looking.read_only
        assert looking.snapshot().address == str(master.address)
        with pytest.raises(Forbidden):
            looking.clear()
        assert (steering.clear(), steering.read_only) == (
            "no worker is gone: nothing to forget",
            False,
        )


def test_whoever_looks_holds_up_neither_those_who_steer_nor_others_who_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on, reading = threading.Event(), threading.Semaphore(0)

    def slow() -> list[object]:
        reading.release()
        assert goes_on.wait(PATIENCE)
        return []

    with master_alone() as master, contextlib.ExitStack() as open_:
        monkeypatch.setitem(master.operator_verbs, "history", slow)
        greedy, other, operator = (
            open_.enter_context(rpyc.connect(*master.address)) for _ in range(3)
        )
        for one in (greedy, other, operator):
            one.root.login(read_token(), "operator" if one is operator else "viewer")
        asked = [rpyc.async_(greedy.root.history)() for _ in range(20)]
        assert reading.acquire(timeout=PATIENCE)
        try:
            assert json.loads(other.root.recording(0.0))["error"] is False
            assert json.loads(operator.root.clear())["error"] is False
            assert not reading.acquire(blocking=False), "one at a time of a connection"
        finally:
            goes_on.set()
        assert {json.loads(one.value)["error"] for one in asked} == {False}


# -- what is forbidden, and the file -------------------------------------------------------


def test_whoever_may_do_nothing_does_not_fill_the_events() -> None:
    events, now = EventLog(), [0.0]
    acts = Acts(events, clock=lambda: 0.0, steady=lambda: now[0])

    def forbidden() -> None:
        if acts.may_tell_forbidden():
            acts.forbidden("kill", {"worker_id": "w1"}, Forbidden("no"), who="a viewer")

    for _ in range(1000):
        forbidden()
    assert events.last == FORBIDDEN_AT_ONCE
    now[0] = 60.0
    forbidden()
    assert events.after(events.last - 1)[0].text == (
        "kill w1: not done: no (980 more were forbidden since the last that was told), by a viewer"
    )


def test_what_is_told_of_an_argument_is_short_whatever_it_is() -> None:
    for value in (10**4000, -(10**4000), "x" * 4000, (10**4000,)):
        told = arguments_of(Operations.scale, (value,), {})["count"]
        assert len(str(told)) == MAX_ARGUMENT_CHARS
    assert arguments_of(Operations.scale, (3,), {}) == {"count": 3}


def test_the_file_may_be_moved_away_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    audit = AuditFile(path, pytest.fail)
    audit.write({"verb": "kill\n\x1b"})
    path.rename(tmp_path / "old")
    audit.write({"verb": "spawn"})
    assert entries(tmp_path / "old") == [{"verb": "kill\n\x1b"}]
    assert entries(path) == [{"verb": "spawn"}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_act_is_done_though_it_cannot_be_written_down(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "audit"
    with pytest.raises(StartError, match="audit file"), master_alone(audit=path):
        pass
    path.parent.mkdir()
    with master_alone(audit=path) as master:
        path.unlink()
        path.mkdir()
        for number in (1, 2):
            with pytest.raises(NotPossible):
                master.operator_verbs["spawn"](1)
            assert master.events.after(0)[-1].text == (
                f"the audit file {path} cannot be written: is a directory; "
                f"so far it lacks {number} act{'s' * (number > 1)} of this master"
            )
            assert master.events.after(0)[-1].kind == "trouble"
        path.rmdir()
        with pytest.raises(NotPossible):
            master.operator_verbs["spawn"](1)
        assert [one["verb"] for one in entries(path)] == ["spawn"]
