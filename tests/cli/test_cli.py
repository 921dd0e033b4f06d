"""The launcher as a person and a script use it: real commands, real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from nodes.cli.common import StopSignals
from nodes.client.attached import AttachedCluster
from tests.kit import PATIENCE, Node, poll_for, run_nodes


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A cluster that the tests below only look at."""
    with Node("up", "--workers", "2", "--port", "0", "--json") as running:
        yield running


@pytest.fixture
def master(node: Node) -> str:
    """Its address."""
    return str(node.ready["master"])


def workers_of(node: Node) -> list[int]:
    """The processes that a launcher started."""
    return [child.pid for child in psutil.Process(node.process.pid).children()]


def gone(pids: list[int]) -> bool:
    """Whether none of them runs any more."""
    return not any(psutil.pid_exists(pid) for pid in pids)


# -- up ------------------------------------------------------------------------------


def test_up_says_that_it_is_ready_in_one_line(node: Node) -> None:
    assert node.ready == {"ready": True, "master": node.ready["master"], "workers": 2}
    assert len(workers_of(node)) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_drains_and_stops_all_of_it_and_so_do_several_at_once(number: int) -> None:
    with Node("up", "--workers", "2", "--port", "0", "--json") as running:
        pids = workers_of(running)
        running.signal(number)
        running.signal(signal.SIGTERM)  # as when a terminal is closed, and its shell passes it on
        assert running.wait() == 0
        assert gone(pids)


def test_a_hangup_that_is_ignored_is_meant_to_be() -> None:
    command = [sys.executable, "-P", "-m", "nodes.cli", "master", "0", "--json"]
    with subprocess.Popen(["nohup", *command], stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout is not None
        assert json.loads(master.stdout.readline())["ready"]
        master.send_signal(signal.SIGHUP)
        address = f"127.0.0.1:{psutil.Process(master.pid).net_connections()[0].laddr[1]}"
        assert run_nodes("ps", "--master", address).returncode == 0
        master.terminate()
        assert master.wait(PATIENCE) == 0


class Exited(BaseException):
    """The process would have ended at once."""


@pytest.mark.parametrize(("later_s", "ends"), [(0.0, False), (0.9, False), (1.1, True)])
def test_another_signal_ends_it_at_once_if_it_is_another_request(
    later_s: float, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exit_at_once(code: int) -> None:
        raise Exited(code)

    handlers: dict[int, Callable[[int, object], None]] = {}
    now = [100.0]
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(os, "_exit", exit_at_once)
    asked: list[int] = []
    stop = StopSignals(lambda: asked.append(1), clock=lambda: now[0])
    assert not stop.asked.is_set()
    handlers[signal.SIGINT](signal.SIGINT, None)
    assert stop.asked.is_set()
    now[0] += later_s
    if ends:
        with pytest.raises(Exited, match=str(128 + signal.SIGTERM)):
            handlers[signal.SIGTERM](signal.SIGTERM, None)
    else:
        handlers[signal.SIGTERM](signal.SIGTERM, None)
    assert asked == [1]


def test_a_launcher_that_is_killed_leaves_no_orphan() -> None:
    with Node("up", "--workers", "2", "--port", "0", "--json") as running:
        pids = workers_of(running)
        running.signal(signal.SIGKILL)
        running.wait()
        poll_for(lambda: gone(pids), what="the workers noticed")


def test_a_port_that_is_taken_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        refused = run_nodes("up", "--port", str(port))
    assert refused.returncode == 2
    assert f"port {port} is taken by" in refused.stderr
    assert f"pid {os.getpid()}" in refused.stderr
    assert "--port" in refused.stderr


def test_an_address_that_others_reach_is_refused() -> None:
    for command in (["up"], ["master"], ["worker"]):
        refused = run_nodes(*command, "--host", "0.0.0.0")
        assert refused.returncode == 2
        assert "--host 127.0.0.1" in refused.stderr


def test_records_that_cannot_be_used_are_explained(tmp_path: Path) -> None:
    (tmp_path / "people.json").write_text('{"ann": {"name": "ann", }')
    refused = run_nodes("up", "--port", "0", "--data", str(tmp_path), "--json")
    assert refused.returncode == 2
    assert "people.json" in refused.stderr
    assert json.loads(refused.stdout)["code"] == "data"


def test_a_folder_called_nodes_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    with Node("up", "--workers", "1", "--port", "0", "--json", cwd=tmp_path) as running:
        assert running.ready["workers"] == 1


def test_events_follow_whichever_master_is_there() -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Node("up", "--workers", "1", "--port", "0", "--json"))
        address = str(first.ready["master"])
        follow = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "nodes.cli", "events", "--follow", "--json"],
                env={**os.environ, "ROLLCALL_MASTER": address},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(follow.kill)
        assert follow.stdout is not None
        assert follow.stderr is not None
        assert json.loads(follow.stdout.readline())["number"] == 1
        killed_at = time.time()
        first.signal(signal.SIGKILL)
        first.wait()
        assert "waiting for another" in follow.stderr.readline()
        stack.enter_context(contextlib.closing(first.successor()))
        fresh = (event for event in map(json.loads, follow.stdout) if event["at"] > killed_at)
        assert "pid" in next(event["text"] for event in fresh if event["kind"] == "started")
        follow.send_signal(signal.SIGINT)
        assert follow.wait(PATIENCE) == 130


def test_a_worker_is_frozen_and_thawed_by_commands(node: Node) -> None:
    address = str(node.ready["master"])
    for verb, said in (("freeze", "w1 is frozen"), ("thaw", "w1 goes on")):
        done = run_nodes(verb, "w1", "--master", address)
        assert (done.returncode, done.stdout.strip()) == (0, said)
    poll_for(lambda: "suspect" not in run_nodes("ps", "--master", address).stdout)


# -- lookup --------------------------------------------------------------------------


def test_lookup_found_not_found_error(master: str) -> None:
    found = run_nodes("lookup", "getbyname", "xander", "--master", master)
    assert found.returncode == 0
    assert json.loads(found.stdout)["name"] == "xander"
    nobody = run_nodes("lookup", "getbyname", "nobody", "--master", master)
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "not found" in nobody.stderr
    wrong = run_nodes("lookup", "getbyyear", "Miami", "abc", "--master", master)
    assert wrong.returncode == 2
    assert "year" in wrong.stderr


def test_lookup_as_json(master: str) -> None:
    # A terminal that cannot show a name is sent JSON's escapes.
    env = {"ROLLCALL_MASTER": master, "PYTHONIOENCODING": "ascii"}
    reply = json.loads(run_nodes("lookup", "getbyname", "étienne", "--json", env=env).stdout)
    assert [one["name"] for one in reply["result"]] == ["étienne"]
    wrong = json.loads(run_nodes("lookup", "getbyshoe", "--json", env=env).stdout)
    assert wrong["code"] == "bad_request"


def test_many_lookups_from_standard_input(master: str) -> None:
    asked = 'getbyname xander\n\n# nothing\n["getbyyear", "New York City", 2002]\ngetbyname "open\n'
    done = run_nodes("lookup", "--json", "--master", master, stdin=asked)
    assert done.returncode == 2
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["error"] for reply in replies] == [False, False, True]
    assert "quotes" in replies[2]["error_message"]
    assert replies[2]["line"] == 5
    done = run_nodes("lookup", "--master", master, stdin=f"\n{asked}getbyname no#body # x\n")
    assert "rollcall-nodes: line 6: " in done.stderr
    assert "line 7: getbyname 'no#body': not found" in done.stderr


def test_a_value_may_start_with_a_dash_and_a_lookup_be_empty(master: str) -> None:
    done = run_nodes("lookup", "getbyname", "-5", "--master", master)
    assert (done.returncode, done.stderr) == (1, "getbyname -5: not found\n")
    assert "there is no lookup ''" in run_nodes("lookup", "", "x", "--master", master).stderr
    assert "No such option" in run_nodes("lookup", "--nope", "--master", master).stderr


def test_lines_that_come_slowly_are_answered_as_they_come(master: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "nodes.cli", "lookup", "--json", "--master", master],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as asking:
        assert asking.stdin is not None and asking.stdout is not None
        for line in (b"getbyname xander\n", b"getbyname \xff\n", b"getbyname nobody\n"):
            asking.stdin.write(line)
            asking.stdin.flush()
            reply = json.loads(asking.stdout.readline())
            assert reply["error"] is (b"\xff" in line)
        asking.stdin.close()
        assert asking.wait(PATIENCE) == 2


@pytest.mark.parametrize("name", ["\N{PILE OF POO}", "x\x1b[31m", "\udcff", "", "--"])
def test_strange_names_end_in_a_clear_way(master: str, name: str) -> None:
    done = run_nodes("lookup", "--master", master, "--", "getbyname", name)
    assert done.returncode in (1, 2)
    assert done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_and_the_next(master: str) -> None:
    asked = ("lookup", "getbylocation", "New York City", "--limit", "2", "--master", master)
    first = json.loads(run_nodes(*asked, "--json").stdout)
    assert first["truncated"] is True
    second = json.loads(run_nodes(*asked, "--json", "--after", first["after"]).stdout)
    assert second["result"]
    assert second["result"] != first["result"]


def test_without_a_master_it_says_how_to_start_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    for command in (["lookup", "getbyname", "x"], ["ps"], ["spawn"], ["events"]):
        done = run_nodes(*command, "--master", f"127.0.0.1:{port}")
        assert done.returncode == 2
        assert "rollcall-nodes up" in done.stderr


# -- looking and steering ------------------------------------------------------------


def test_ps_and_events(master: str) -> None:
    table = run_nodes("ps", "--master", master).stdout
    assert "w1" in table
    assert "up" in table
    snapshot = json.loads(run_nodes("ps", "--json", "--master", master).stdout)
    assert [worker["state"] for worker in snapshot["workers"]] == ["up", "up"]
    assert "registered" in run_nodes("events", "--master", master).stdout
    lines = run_nodes("events", "--json", "--after", "1", "--master", master).stdout.splitlines()
    assert json.loads(lines[0])["number"] == 2


@pytest.mark.long
def test_steering_from_another_terminal() -> None:
    with (
        Node("up", "--workers", "1", "--port", "0", "--json") as running,
        AttachedCluster(master := running.ready["master"]) as cluster,
    ):

        def states() -> dict[str, str]:
            return {worker.id: str(worker.state) for worker in cluster.snapshot().workers}

        here = ("--on", socket.gethostname())
        spawned = run_nodes("spawn", "2", *here, "--json", "--master", master)
        assert json.loads(spawned.stdout) == ["w2", "w3"]
        nowhere = run_nodes("spawn", "--on", "m9", "--master", master)
        assert (nowhere.returncode, "no machine is called 'm9'" in nowhere.stderr) == (2, True)
        poll_for(lambda: list(states().values()) == ["up"] * 3)
        assert "w2" in run_nodes("kill", "w2", "--master", master).stdout
        poll_for(lambda: states()["w2"] == "down")
        done = json.loads(run_nodes("drain", "w3", "--json", "--master", master).stdout)
        assert done["error"] is False
        poll_for(lambda: states()["w3"] == "down")
        assert run_nodes("restart", "w1", "--master", master).returncode == 0
        poll_for(lambda: states()["w1"] == "up")
        assert "w2 starts again" in run_nodes("again", "w2", "--master", master).stdout
        poll_for(lambda: states()["w2"] == "up")
        assert run_nodes("clear", "--master", master).stdout == "w3 forgotten\n"
        assert list(states()) == ["w1", "w2"]
        assert "nothing to forget" in run_nodes("clear", "--master", master).stdout
        assert "w2" in run_nodes("kill", "w2", "--master", master).stdout
        poll_for(lambda: states()["w2"] == "down")
        assert "w3" in run_nodes("scale", "2", "--master", master).stdout
        assert "nothing to do" in run_nodes("reload", "--master", master).stdout
        for command in ("kill", "drain", "restart", "again"):
            unknown = run_nodes(command, "w9", "--json", "--master", master)
            assert unknown.returncode == 2
            assert json.loads(unknown.stdout)["code"] == "unknown_worker"


def test_a_worker_alone_with_a_master_alone() -> None:
    with Node("master", "0", "--json") as master:
        address = master.ready["master"]
        with Node("worker", "--master", address, "--json") as worker:
            assert worker.ready["worker"] == "w1"
            refused = run_nodes("spawn", "--master", address)
            assert refused.returncode == 2
            assert "rollcall-nodes up" in refused.stderr
            assert run_nodes("lookup", "getbyname", "xander", "--master", address).returncode == 0
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0


def test_a_worker_without_a_master_waits_for_one_and_leaves_when_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with Node("master", str(port), "--json") as first:
        worker = Node("worker", "--master", first.ready["master"], "--json")
    with worker:
        worker.signal(signal.SIGINT)
        assert worker.wait() == 0


def test_a_message_of_several_lines_is_shown_so(tmp_path: Path) -> None:
    (tmp_path / "shoes.json").write_text('[{"size": 42, "maker": "x"}]')
    refused = run_nodes("up", "--port", "0", "--data", str(tmp_path))
    assert refused.returncode == 2
    assert "[lookups]\n" in refused.stderr
    assert "\\n" not in refused.stderr
