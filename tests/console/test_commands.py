"""Every command is declared once, and what it is declared to be holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.commands import BY_NAME, COMMANDS, Command, complete, parse
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


@EACH
def test_what_is_dangerous_steers_or_is_the_end(command: Command) -> None:
    assert not command.dangerous or command.steers


@EACH
def test_what_steers_is_the_clusters_and_what_is_the_clusters_steers(command: Command) -> None:
    assert command.steers == (command.run is not None)


@EACH
def test_a_command_can_be_read_typed_and_reached(command: Command) -> None:
    assert command.name.isascii() and command.name.isalpha() and command.name.islower()
    assert command.help.endswith(".") and len(command.help) <= 60
    assert command.takes in ("", "worker", "count", "some", "text")
    assert command.key or not command.button
    assert len(key_text(command)) <= 1 or command.key in KEYS


def test_those_that_end_or_stop_something_ask_first() -> None:
    dangerous = {command.name for command in COMMANDS if command.dangerous}
    assert dangerous == {"kill", "drain", "restart", "freeze", "shrink", "scale", "reload"}


def test_the_buttons_fit_on_eighty_columns() -> None:
    words = [f"{key_text(c)} {c.label}" for c in COMMANDS if c.button]
    assert len(" ".join(words)) <= 80


# -- what will follow --------------------------------------------------------------


@pytest.mark.parametrize("name", ["kill", "drain", "restart", "freeze"])
@pytest.mark.parametrize(
    ("in_flight", "said"), [(0, "0 lookups"), (1, "1 lookup "), (3, "3 lookups")]
)
def test_an_effect_names_the_worker_and_its_lookups(name: str, in_flight: int, said: str) -> None:
    worker = worker_view(7, in_flight=in_flight)
    snapshot = cluster_snapshot([worker_view(1, in_flight=9), worker])
    effect = BY_NAME[name].effect
    assert effect is not None
    assert effect(snapshot, worker).startswith("w7 has ")
    assert said in effect(snapshot, worker)


def test_effects_on_the_cluster_count_it() -> None:
    snapshot = cluster_snapshot([worker_view(1), worker_view(2)], wanted_workers=2)
    shrink, reload = BY_NAME["shrink"].effect, BY_NAME["reload"].effect
    assert shrink is not None and reload is not None
    assert "newest of 2 worker(s)" in shrink(snapshot, None)
    assert "2 workers switch" in reload(snapshot, None)
    for wanted in (0, None):
        assert "none will leave" in shrink(cluster_snapshot(wanted_workers=wanted), None)


# -- done to a cluster -------------------------------------------------------------


def done(line: str, cluster: FakeCluster) -> str:
    """Does what is typed, without a screen."""
    command, argument = parse(line)
    assert command.run is not None
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
def test_a_master_without_a_fleet_says_so_itself(line: str) -> None:
    cluster = FakeCluster(cluster_snapshot([worker_view()], wanted_workers=None))
    cluster.refusal = NotPossible("this master starts no workers")
    with pytest.raises(NotPossible, match="starts no workers"):
        done(line, cluster)


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
        assert (f":{command.name} " in text) != command.steers
