"""Every command is declared once, and what it is declared to be holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import effects
from console.command import ClusterCommand, Command
from console.command_text import SHORT, complete, parse
from console.commands import (
    BY_NAME,
    CLUSTER_COMMANDS,
    COMMANDS,
    CONSOLE_COMMANDS,
    KEYS,
    TIME_COMMANDS,
    key_text,
    usable,
)
from console.screens.help import MORE, help_lines
from console.screens.main import MainScreen
from console.widgets.worker_table import WorkerTable
from nodes.cluster import Cluster
from nodes.errors import BadRequest, NotPossible
from nodes.wire import WorkerView
from tests.console.fakes import FakeCluster, cluster_snapshot, worker_view

EACH = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
ON_A_WORKER = ("kill", "drain", "restart", "again", "freeze", "thaw")


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
    bindings = [*MainScreen.BINDINGS, *WorkerTable.BINDINGS]
    keys = [key for binding in bindings for key in str(_key(binding)).split(",")]
    assert len(set(keys)) == len(keys)
    assert {command.key for command in COMMANDS if command.key} <= set(keys)


def test_keys_that_steer_are_those_of_the_worker_list_and_not_of_the_screen() -> None:
    everywhere = {str(_key(binding)) for binding in MainScreen.BINDINGS}
    listed = {str(_key(binding)) for binding in WorkerTable.BINDINGS}
    for command in COMMANDS:
        if command.key:
            assert (command.key in listed) == command.steers
            assert (command.key in everywhere) != command.steers


def _key(binding: object) -> str:
    return str(getattr(binding, "key", binding))


def test_a_read_only_console_has_no_command_of_the_cluster() -> None:
    assert usable(read_only=False) == COMMANDS
    left = usable(read_only=True)
    own = tuple(one for one in CONSOLE_COMMANDS if one.name != "traffic")
    assert left == (*own, *TIME_COMMANDS)


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
    assert dangerous == {"kill", "drain", "restart", "freeze", "shrink", "reload"}


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
    assert effect(snapshot, [worker]).startswith("w7 has ")
    assert said in effect(snapshot, [worker])
    assert "every lookup will fail" not in effect(snapshot, [worker])


@pytest.mark.parametrize("name", ["kill", "drain", "freeze"])
def test_an_effect_on_several_counts_their_lookups_and_says_when_none_is_left(name: str) -> None:
    workers = [worker_view(n, in_flight=n) for n in (1, 2)]
    effect = cluster_command(name).effect
    assert effect is not None
    text = effect(cluster_snapshot([*workers, worker_view(3, state="down")]), workers)
    assert text.startswith("They have 3 lookups in flight")
    assert text.endswith("No worker is left then: every lookup will fail.")


def test_the_newest_leave_first_and_before_them_those_that_do_nothing() -> None:
    workers = [
        worker_view(1, uptime_s=50.0),
        worker_view(2, uptime_s=10.0),
        worker_view(3, uptime_s=90.0),
        worker_view(4, state="down"),
        worker_view(5, local=False, uptime_s=1.0),
        worker_view(6, state="draining", uptime_s=1.0),
    ]
    snapshot = cluster_snapshot(workers)
    assert [one.id for one in effects.newest(snapshot, 1)] == ["w4"]
    assert [one.id for one in effects.newest(snapshot, 3)] == ["w1", "w2", "w4"]
    assert len(effects.newest(snapshot, 9)) == 4
    assert effects.newest(cluster_snapshot(), 1) == []


@pytest.mark.parametrize(
    ("name", "worker", "why"),
    [
        ("kill", worker_view(1, state="down", local=False), "w1 is down (:again starts it)"),
        ("kill", worker_view(1, local=False), "w1 runs elsewhere: only drain reaches it"),
        ("drain", worker_view(1, local=False), ""),
        ("drain", worker_view(1, state="draining"), "w1 drains already"),
        ("drain", worker_view(1, state="down", local=False), "w1 is down (:again starts it)"),
        ("restart", worker_view(1, state="down", local=False), "w1 is down (:again starts it)"),
        (
            "restart",
            worker_view(1, state="down", why="crash-looping: x"),
            "",
        ),  # crash-looping: it starts again
        ("again", worker_view(1), "w1 is not gone"),
        ("again", worker_view(1, state="draining"), "w1 is not gone"),
        ("again", worker_view(1, state="down", frozen=True), "w1 is frozen: thaw it"),
        ("again", worker_view(1, state="down", local=False), ""),
        ("again", worker_view(1, state="down", why="crash-looping: x"), ""),
        ("freeze", worker_view(1), ""),
        ("freeze", worker_view(1, state="down", frozen=True), ""),  # it can be thawed
    ],
)
def test_what_cannot_be_done_to_a_worker_is_said_before_it_is_asked(
    name: str, worker: WorkerView, why: str
) -> None:
    assert cluster_command(name).refusal(worker) == why


def test_effects_on_the_cluster_count_it() -> None:
    snapshot = cluster_snapshot([worker_view(1), worker_view(2)], wanted_workers=2)
    reload = cluster_command("reload").effect
    assert reload is not None
    assert "2 workers switch" in reload(snapshot, [])
    with_one_down = cluster_snapshot([worker_view(1), worker_view(2, state="down")])
    assert "1 worker switches" in reload(with_one_down, [])


def test_leaving_an_attached_cluster_stops_nothing_of_it() -> None:
    text = effects.leave(
        cluster_snapshot([worker_view()]), attached=True, traffic=True, frozen_here=True
    )
    assert text == "The cluster runs on. The traffic stops. Workers frozen here are thawed."


def test_of_a_cluster_that_is_not_seen_nothing_is_claimed() -> None:
    text = effects.leave(
        cluster_snapshot([worker_view()]),
        attached=True,
        traffic=False,
        frozen_here=False,
        lost=[""],
        run_on=[],
    )
    assert text == "The cluster is not seen now, and is left as it is."


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
        ("spawn 3 m1", ("spawn", "3", "m1")),
        ("scale 0", ("scale", "0")),
        ("scale 12", ("scale", "12")),
        ("grow", ("scale", "3")),
        ("reload", ("reload",)),
        ("clear", ("clear",)),
    ],
)
def test_the_rest_is_asked_of_the_cluster(line: str, request_: tuple[str, ...]) -> None:
    cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]))
    assert done(line, cluster)
    assert cluster.requests == [request_]


def test_without_a_fleet_no_worker_is_started() -> None:
    cluster = FakeCluster(cluster_snapshot([worker_view()], wanted_workers=None))
    with pytest.raises(NotPossible, match="starts no workers"):
        done("grow", cluster)
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
        ("spawn 2 m1", "spawn", "2 m1"),
        ("traffic 200", "traffic", "200"),
        ("traffic", "traffic", ""),
        ("quit", "quit", ""),
        ("q", "quit", ""),
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
        ("Kill w1", "there is no command 'Kill'; did you mean :kill?"),
        ("drian w1", "did you mean :drain?"),
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
        typed = line.strip().partition(" ")[0]
        assert SHORT.get(typed, typed) == command.name
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


def test_after_a_number_spawn_is_completed_by_machines() -> None:
    machines = ["m1", "m2", "db7"]
    assert complete("spawn ", ["w1"], machines) == []
    assert complete("spawn 2", ["w1"], machines) == []
    assert complete("spawn 2 ", ["w1"], machines) == ["spawn 2 m1", "spawn 2 m2", "spawn 2 db7"]
    assert complete("spawn 2 d", ["w1"], machines) == ["spawn 2 db7"]
    assert complete("spawn x ", ["w1"], machines) == []


# -- help --------------------------------------------------------------------------


def test_help_has_a_line_for_every_command_and_key() -> None:
    lines = help_lines(read_only=False)
    assert len(lines) == len(COMMANDS) + 1 + len(MORE) + 2
    for command, line in zip(COMMANDS, lines, strict=False):
        assert line.startswith(f"{key_text(command):<8} :{command.name}")
        assert line.endswith(command.help)


def test_help_of_a_read_only_console_has_none_that_steers() -> None:
    text = "\n".join(help_lines(read_only=True))
    for command in COMMANDS:
        assert (f":{command.name} " in text) == (not command.steers)
