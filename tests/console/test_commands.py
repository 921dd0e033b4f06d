"""Every command is declared once, and what it is declared to be holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import effects
from console.commands import (
    BY_NAME,
    CLUSTER_COMMANDS,
    COMMANDS,
    CONSOLE_COMMANDS,
    ClusterCommand,
    Command,
    complete,
    parse,
    usable,
)
from console.screens.help import MORE, help_lines
from console.screens.main import MainScreen
from console.widgets.bar import KEYS, key_text
from nodes.cluster import Cluster
from nodes.errors import BadRequest, NotPossible
from tests.console.fakes import FakeCluster, cluster_snapshot, worker_view

EACH = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
ON_A_WORKER = ("kill", "drain", "restart", "freeze", "thaw")


# -- declarations ------------------------------------------------------------------


def test_names_keys_and_labels_are_of_one_command_each() -> None:
    for values in (
        [command.name for command in COMMANDS],
        [command.label for command in COMMANDS],
        [command.key for command in COMMANDS if command.key],
        [key_text(command) for command in COMMANDS if command.key],
    ):
        assert len(set(values)) == len(values)
    assert list(BY_NAME.values()) == list(COMMANDS)


def test_no_key_of_a_command_is_another_key_of_the_screen() -> None:
    keys = [key for binding in MainScreen.BINDINGS for key in str(_key(binding)).split(",")]
    assert len(set(keys)) == len(keys)
    assert {command.key for command in COMMANDS if command.key} <= set(keys)


def _key(binding: object) -> str:
    return str(getattr(binding, "key", binding))


def test_a_read_only_console_has_no_command_of_the_cluster() -> None:
    assert usable(read_only=False) == COMMANDS
    assert usable(read_only=True) == CONSOLE_COMMANDS


def test_what_can_be_undone_is_undone_by_a_command_for_the_same() -> None:
    undoes = {command.name: command.undo for command in CLUSTER_COMMANDS if command.undo}
    assert list(undoes) == ["freeze"]
    assert undoes["freeze"].name == "thaw"
    assert undoes["freeze"].argument is BY_NAME["freeze"].argument


@EACH
def test_a_command_can_be_read_typed_and_reached(command: Command) -> None:
    assert command.name.isascii() and command.name.isalpha() and command.name.islower()
    assert command.help.endswith(".") and len(command.help) <= 60
    assert command.key or not command.button
    assert len(key_text(command)) <= 1 or command.key in KEYS


def test_those_that_end_or_stop_something_ask_first() -> None:
    dangerous = {command.name for command in CLUSTER_COMMANDS if command.effect}
    assert dangerous == {"kill", "drain", "restart", "freeze", "shrink", "scale", "reload"}


def test_the_buttons_fit_on_eighty_columns() -> None:
    words = [f"{key_text(c)} {c.label}" for c in COMMANDS if c.button]
    assert len(" ".join(words)) <= 80


def cluster_command(name: str) -> ClusterCommand:
    """The command of that name, which is the cluster's."""
    return next(command for command in CLUSTER_COMMANDS if command.name == name)


# -- what will follow --------------------------------------------------------------


@pytest.mark.parametrize("name", ["kill", "drain", "restart", "freeze"])
@pytest.mark.parametrize(
    ("in_flight", "said"), [(0, "0 lookups"), (1, "1 lookup "), (3, "3 lookups")]
)
def test_an_effect_names_the_worker_and_its_lookups(name: str, in_flight: int, said: str) -> None:
    worker = worker_view(7, in_flight=in_flight)
    snapshot = cluster_snapshot([worker_view(1, in_flight=9), worker])
    effect = cluster_command(name).effect
    assert effect is not None
    assert effect(snapshot, worker).startswith("w7 has ")
    assert said in effect(snapshot, worker)


def test_effects_on_the_cluster_count_it() -> None:
    snapshot = cluster_snapshot([worker_view(1), worker_view(2)], wanted_workers=2)
    shrink, reload = cluster_command("shrink").effect, cluster_command("reload").effect
    assert shrink is not None and reload is not None
    assert "newest of 2 worker(s)" in shrink(snapshot, None)
    assert "2 workers switch" in reload(snapshot, None)
    with_one_down = cluster_snapshot([worker_view(1), worker_view(2, state="down")])
    assert "1 worker switches" in reload(with_one_down, None)
    for wanted in (0, None):
        assert "none will leave" in shrink(cluster_snapshot(wanted_workers=wanted), None)


def test_leaving_an_attached_cluster_stops_nothing_of_it() -> None:
    text = effects.leave(
        cluster_snapshot([worker_view()]), attached=True, traffic=True, frozen_here=True
    )
    assert text == "The cluster runs on. The traffic stops. Workers frozen here are thawed."


def test_leaving_a_hosted_cluster_stops_its_own_live_workers() -> None:
    workers = [worker_view(1), worker_view(2, state="down"), worker_view(3, local=False)]
    snapshot = cluster_snapshot(workers)
    text = effects.leave(snapshot, attached=False, traffic=False, frozen_here=False)
    assert text == (
        "The master (up 1m15s) and its 1 worker(s) stop, after their last lookups. "
        "1 worker(s) started elsewhere run on and wait for a master."
    )


def test_leaving_before_there_is_a_cluster() -> None:
    text = effects.leave(None, attached=False, traffic=False, frozen_here=False)
    assert text == "The master (up 0s) and its 0 worker(s) stop, after their last lookups."


# -- done to a cluster -------------------------------------------------------------


def done(line: str, cluster: FakeCluster) -> str:
    """Does what is typed, without a screen."""
    command, argument = parse(line)
    assert isinstance(command, ClusterCommand)
    as_cluster: Cluster = cluster
    return command.run(as_cluster, argument)


@pytest.mark.parametrize("name", ON_A_WORKER)
def test_a_verb_is_asked_of_the_cluster_for_that_worker(name: str) -> None:
    cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]))
    assert done(f"{name} w2", cluster) == f"{name} w2"
    assert cluster.requests == [(name, "w2")]


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("spawn", ("spawn", "1")),
        ("spawn 3", ("spawn", "3")),
        ("scale 0", ("scale", "0")),
        ("scale 12", ("scale", "12")),
        ("grow", ("scale", "3")),
        ("shrink", ("scale", "1")),
        ("reload", ("reload",)),
    ],
)
def test_the_rest_is_asked_of_the_cluster(line: str, request_: tuple[str, ...]) -> None:
    cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]))
    assert done(line, cluster)
    assert cluster.requests == [request_]


def test_shrinking_ends_at_none() -> None:
    cluster = FakeCluster(cluster_snapshot([], wanted_workers=0))
    done("shrink", cluster)
    assert cluster.requests == [("scale", "0")]


@pytest.mark.parametrize("line", ["grow", "shrink"])
def test_without_a_fleet_no_worker_is_started_or_ended(line: str) -> None:
    cluster = FakeCluster(cluster_snapshot([worker_view()], wanted_workers=None))
    with pytest.raises(NotPossible, match="starts no workers"):
        done(line, cluster)
    assert cluster.requests == []


# -- typed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "name", "argument"),
    [
        ("kill w2", "kill", "w2"),
        ("  kill   w2  ", "kill", "w2"),
        ("kill", "kill", ""),
        ("scale 3", "scale", "3"),
        ("spawn", "spawn", ""),
        ("spawn 2", "spawn", "2"),
        ("traffic 200", "traffic", "200"),
        ("traffic", "traffic", ""),
        ("quit", "quit", ""),
        ('ask getbyyear "New York City" 2002', "ask", 'getbyyear "New York City" 2002'),
        ("filter [/foo]", "filter", "[/foo]"),
        ("export ~/a b.csv", "export", "~/a b.csv"),
    ],
)
def test_a_line_is_a_command_and_its_argument(line: str, name: str, argument: str) -> None:
    assert parse(line) == (BY_NAME[name], argument)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "there is no command ''"),
        ("Kill w1", "there is no command 'Kill'"),
        ("[/foo]", r"there is no command '\[/foo\]'"),
        ("x" * 5000, "there is no command 'x{40}'; "),
        ("scale", "scale takes a number, as in :scale 3"),
        ("scale three", "scale takes a number"),
        ("scale -1", "scale takes a number"),
        ("scale ٣", "scale takes a number"),
        ("scale 1.5", "scale takes a number"),
        (f"scale {'9' * 5000}", "scale takes a number"),
        ("spawn two", "spawn takes a number"),
        (f"traffic {'9' * 5000}", "traffic takes a number"),
        ("reload now", "reload takes nothing after it"),
        ("grow 5", "grow takes nothing after it"),
    ],
)
def test_a_line_that_is_none_is_explained(line: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why) as caught:
        parse(line)
    assert len(str(caught.value)) < 100


@given(st.text())
def test_any_line_is_a_command_or_refused(line: str) -> None:
    try:
        command, argument = parse(line)
    except BadRequest:
        assert line.split(" ")[:1] != ["kill"]
    else:
        assert line.strip().startswith(command.name)
        assert line.strip().endswith(argument)


def test_completions_are_commands_then_workers() -> None:
    workers = ["w1", "w2", "w10"]
    assert complete("", workers) == [command.name for command in COMMANDS]
    assert complete("s", workers) == ["spawn", "shrink", "scale", "sort"]
    assert complete("kill", workers) == ["kill"]
    assert complete("kill ", workers) == ["kill w1", "kill w2", "kill w10"]
    assert complete("kill w1", workers) == ["kill w1", "kill w10"]
    assert complete("kill x", workers) == []
    assert complete("scale ", workers) == []
    assert complete("nothing ", workers) == []


# -- help --------------------------------------------------------------------------


def test_help_has_a_line_for_every_command_and_key() -> None:
    lines = help_lines(read_only=False)
    assert len(lines) == len(COMMANDS) + 1 + len(MORE)
    for command, line in zip(COMMANDS, lines, strict=False):
        assert line.startswith(f"{key_text(command):<8} :{command.name}")
        assert line.endswith(command.help)


def test_help_of_a_read_only_console_has_none_that_steers() -> None:
    text = "\n".join(help_lines(read_only=True))
    for command in COMMANDS:
        assert (f":{command.name} " in text) == (command in CONSOLE_COMMANDS)
