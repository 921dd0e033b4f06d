"""The master's verbs over real sockets, as strangers, clients, workers and operators use them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import rpyc

from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.client.connection import MasterConnection
from nodes.errors import (
    CODES,
    BadRequest,
    Conflict,
    Forbidden,
    LookupFailed,
    MasterLost,
    NotPossible,
    NoWorkers,
    UnknownWorker,
)
from nodes.master.lookups import MAX_LOOKUPS
from nodes.master.master import Master
from nodes.security.tokens import read_token
from nodes.transport import messages
from nodes.transport.requests import MAX_CALLS_IN_FLIGHT
from nodes.transport.responder import ROOT
from nodes.wire import Registration
from tests.kit import (
    PATIENCE,
    FakeWorker,
    SilentServer,
    master_alone,
    never,
    poll_for,
    same_records,
    scan,
    shipped_records,
    worker_inside,
)

RECORDS = shipped_records()


@pytest.fixture
def served() -> Iterator[Master]:
    """A master with one worker, both in this process."""
    with master_alone() as master, worker_inside(master):
        poll_for(lambda: [w.state for w in master.snapshot().workers] == ["up"])
        yield master


@pytest.fixture
def plain(served: Master) -> Iterator[Any]:
    """A stock client's root object."""
    connection = rpyc.connect(*served.address, config={"sync_request_timeout": 10})
    yield connection.root
    connection.close()


def ask(root: Any, verb: str, *args: object, **named: object) -> dict[str, Any]:
    """What a stock client gets."""
    reply = getattr(root, verb)(*args, **named)
    assert type(reply) is str
    envelope = json.loads(reply)
    assert isinstance(envelope, dict)
    return envelope


# -- arguments from outside ----------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("xander", "extra"),
        (None,),
        (2**63,),
        (7.5,),
        (True,),
        (b"xander",),
        (("xander",),),
        (["xander"],),
        ({"name": "xander"},),
        (object(),),
        ("x" * 1_000_000,),
    ],
)
def test_an_argument_that_is_wrong_is_a_bad_request_and_blames_nobody(
    plain: Any, served: Master, args: tuple[object, ...]
) -> None:
    reply = ask(plain, "getbyname", *args)
    assert reply["error"] is True
    assert reply["code"] == "bad_request"
    assert "getbyname(name)" in reply["error_message"]
    assert ask(plain, "getbyname", "xander")["count"] == 1
    [worker] = served.snapshot().workers
    assert (worker.errors, worker.in_flight, worker.state) == (0, 0, "up")


@pytest.mark.parametrize(
    "name",
    ["", " ", "xander7", "\N{PILE OF POO}", "x\0y", "'; DROP TABLE records; --", "%", "é" * 99],
)
def test_a_name_nobody_has_finds_nothing(plain: Any, name: str) -> None:
    reply = ask(plain, "getbyname", name)
    assert (reply["error"], reply["result"], reply["count"]) == (False, [], 0)


def test_a_lone_surrogate_never_breaks_the_connection(plain: Any) -> None:
    with pytest.raises(UnicodeEncodeError):
        plain.getbyname("\ud800")  # rpyc itself refuses to send it
    assert ask(plain, "getbyname", "xander")["count"] == 1


def test_a_lone_surrogate_is_a_bad_request_of_the_client(served: Master) -> None:
    with Client(str(served.address)) as client:
        with pytest.raises(BadRequest):
            client.getbyname("\ud800")
        assert client.getbyname("xander")


@pytest.mark.parametrize("year", [2002, "2002", "+2002", "02002"])
def test_a_year_may_come_as_a_number_or_as_text(plain: Any, year: object) -> None:
    reply = ask(plain, "getbyyear", "New York City", year)
    expected = scan(RECORDS, location="New York City", year=2002)
    assert same_records(reply["result"], expected)


@pytest.mark.parametrize("year", ["abc", "", "2002.5", "٢٠٠٢", None, 2002.0, 2**70, "9" * 500])
def test_a_year_that_is_none_is_named(plain: Any, year: object) -> None:
    reply = ask(plain, "getbyyear", "New York City", year)
    assert reply["code"] == "bad_request"
    assert "year" in reply["error_message"]


@pytest.mark.parametrize(
    ("named", "word"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": -1}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": 10**9}, "limit"),
        ({"after": "nonsense"}, "cursor"),
        ({"after": 5}, "after"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": -3.5}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"timeout_s": 1e9}, "timeout_s"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_option_that_is_wrong_is_named(plain: Any, named: dict[str, object], word: str) -> None:
    reply = ask(plain, "lookup", "getbyname", "xander", **named)
    assert reply["code"] == "bad_request"
    assert word in reply["error_message"]


def test_lookup_takes_the_name_as_an_argument(plain: Any) -> None:
    assert ask(plain, "lookup", "getbyname", "xander")["count"] == 1
    unknown = ask(plain, "lookup", "getbyshoe", "42")
    assert unknown["code"] == "bad_request"
    assert "getbyname, getbylocation, getbyyear" in unknown["error_message"]
    assert ask(plain, "lookup", ["getbyname"], "xander")["code"] == "bad_request"


def test_there_is_no_verb_but_those(plain: Any) -> None:
    for name in ("getbyshoe", "_answer", "verb", "on_close", "__class__", "exposed_lookup", ""):
        with pytest.raises(AttributeError):
            getattr(plain, name)


# -- pages ---------------------------------------------------------------------------


def test_a_large_answer_comes_in_pages(plain: Any) -> None:
    everyone = scan(RECORDS, location="New York City")
    assert len(everyone) > 4
    found: list[dict[str, Any]] = []
    after = None
    while True:
        reply = ask(plain, "getbylocation", "New York City", limit=2, after=after)
        assert reply["truncated"] is (reply["after"] is not None)
        assert reply["count"] == len(reply["result"]) <= 2
        found += reply["result"]
        after = reply["after"]
        if after is None:
            break
    assert same_records(found, everyone)


def test_a_thousand_records_are_one_page_by_default(tmp_path: Path) -> None:
    many = [{"name": "ann", "location": "Oslo", "year": 2000, "n": n} for n in range(1500)]
    (tmp_path / "people.json").write_text(json.dumps(many))
    with master_alone() as master, worker_inside(master, data=tmp_path):
        with Client(str(master.address)) as client:
            assert [page.count for page in client.pages("getbyname", "ann")] == [1000, 500]
            assert same_records(client.getbyname("ann"), many)
            assert same_records(list(client.each("getbyname", "ann", limit=7)), many)


def test_a_dataset_with_lookups_of_its_own(tmp_path: Path) -> None:
    players = [
        {"nick": "ann", "team": "red", "season": 3},
        {"nick": "bob", "team": "red", "season": 4},
    ]
    (tmp_path / "players.json").write_text(json.dumps(players))
    (tmp_path / "dataset.toml").write_text(
        'name = "league"\n[lookups]\ngetbyteam = ["team", "season"]\n'
    )
    with master_alone() as master, worker_inside(master, data=tmp_path):
        connection = rpyc.connect(*master.address)
        assert ask(connection.root, "getbyteam", "red", "3")["result"] == [players[0]]
        connection.close()
        with Client(str(master.address)) as client:
            assert client.lookup("getbyteam", "red", 4) == [players[1]]
            with pytest.raises(BadRequest, match="getbyteam"):
                client.getbyname("ann")
            [shape] = client.describe().lookups
            assert (shape.fields, shape.types) == (("team", "season"), ("text", "integer"))


# -- what is served ------------------------------------------------------------------


def test_describe_and_suggest(served: Master) -> None:
    with Client(str(served.address)) as client:
        described = client.describe()
        assert [one.name for one in described.lookups] == [
            "getbyname",
            "getbylocation",
            "getbyyear",
        ]
        assert described.records == len(RECORDS)
        assert described.versions == (described.version,)
        names = sorted({r["name"] for r in RECORDS if r["name"].startswith("x")})
        assert client.suggest("name", "x") == names
        assert len(client.suggest("location", limit=3)) == 3
        with pytest.raises(BadRequest, match="shoe"):
            client.suggest("shoe", "x")


def test_a_master_without_workers_says_so() -> None:
    with master_alone() as master, Client(str(master.address)) as client:
        for call in (
            lambda: client.getbyname("xander"),
            lambda: client.lookup("getbyshoe", "42"),
            client.describe,
            lambda: client.suggest("name"),
        ):
            with pytest.raises(NoWorkers, match="rollcall-nodes"):
                call()


# -- doors ---------------------------------------------------------------------------

GUARDED = {
    "register": ("{}",),
    "renew": (),
    "leave": (),
    "snapshot": (),
    "events": (0,),
    "history": (),
    "recording": (0.0, 1000),
    "spawn": (1,),
    "kill": ("w1",),
    "drain": ("w1",),
    "restart": ("w1",),
    "again": ("w1",),
    "clear": (),
    "freeze": ("w1",),
    "thaw": ("w1",),
    "log": ("w1",),
    "scale": (0,),
    "reload": (),
}


def test_without_the_token_nothing_is_steered(plain: Any, served: Master) -> None:
    for verb, args in GUARDED.items():
        assert ask(plain, verb, *args)["code"] == "forbidden", verb
    for token in ("", "wrong", None, 7, ["list"]):
        assert ask(plain, "login", token)["code"] == "forbidden"
        assert ask(plain, "snapshot")["code"] == "forbidden"
    assert [w.state for w in served.snapshot().workers] == ["up"]


def test_with_the_token_it_is(plain: Any) -> None:
    assert ask(plain, "login", read_token())["result"] == "operator"
    assert ask(plain, "snapshot")["result"]["workers"][0]["state"] == "up"
    kinds = [event["kind"] for event in ask(plain, "events")["result"]]
    assert kinds[:3] == ["started", "registered", "proved"]
    assert ask(plain, "events", 1)["result"][0]["number"] == 2


def test_an_operator_with_a_wrong_token_is_told(served: Master) -> None:
    link = MasterConnection(str(served.address), token=lambda: "wrong")
    try:
        with pytest.raises(Forbidden):
            link.call("snapshot", timeout=2.0)
    finally:
        link.close()


def test_a_master_without_a_fleet_says_what_it_cannot_do(served: Master) -> None:
    with AttachedCluster(str(served.address)) as cluster:
        for steer in (
            lambda: cluster.spawn(1),
            lambda: cluster.kill("w1"),
            lambda: cluster.restart("w1"),
            lambda: cluster.again("w1"),
            lambda: cluster.scale(2),
            cluster.reload,
        ):
            with pytest.raises(NotPossible, match="rollcall-nodes up"):
                steer()
        with pytest.raises(UnknownWorker):
            cluster.drain("w9")


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("register", ("no json",)),
        ("register", ("{}",)),
        ("register", (b"{}",)),
        ("register", ()),
        ("leave", ()),
        ("events", ("all",)),
        ("recording", ("all",)),
        ("recording", (0.0, -1)),
        ("recording", (0, 1000.0)),
        ("drain", (1,)),
        ("drain", ("w1", "w2")),
        ("snapshot", ("now",)),
    ],
)
def test_an_operators_mistake_is_a_bad_request(
    plain: Any, verb: str, args: tuple[object, ...]
) -> None:
    ask(plain, "login", read_token())
    assert ask(plain, verb, *args)["code"] == "bad_request"
    assert ask(plain, "getbyname", "xander")["count"] == 1


# -- workers -------------------------------------------------------------------------


def test_a_worker_drains_when_an_operator_says_so() -> None:
    with master_alone() as master, worker_inside(master) as first, worker_inside(master) as second:
        poll_for(lambda: [w.state for w in master.snapshot().workers] == ["up", "up"])
        with AttachedCluster(str(master.address)) as cluster, Client(str(master.address)) as client:
            cluster.drain(first.id)
            assert first.registration.done.wait(5.0)
            states = {w.id: w.state for w in cluster.snapshot().workers}
            poll_for(lambda: cluster.snapshot().workers[0].state == "down")
            assert states[second.id] == "up"
            for _ in range(5):
                assert client.page("getbyname", "xander").worker == second.id


def test_ids_are_given_out_once_and_wanted_ones_granted() -> None:
    with master_alone() as master, worker_inside(master, wanted_id="north") as north:
        with worker_inside(master, wanted_id="north") as other:
            assert (north.id, other.id) == ("north", "w1")


def test_a_worker_with_another_dataset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people.json").write_text('[{"name": "ann", "location": "Oslo", "year": 2001}]')
    (tmp_path / "dataset.toml").write_text('name = "others"\n[lookups]\ngetbyname = ["name"]\n')
    with master_alone() as master, worker_inside(master):
        with worker_inside(master, data=tmp_path) as stranger:
            assert not stranger.registration.ready
            assert isinstance(stranger.registration.refusal, Conflict)
            assert "others" in str(stranger.registration.refusal)


@pytest.mark.long
def test_a_worker_that_registers_and_never_answers_is_given_up() -> None:
    """Its connection is alive: only the probes find it out."""
    with master_alone() as master, worker_inside(master) as good:
        described = master.membership.description
        assert described is not None
        said = Registration(
            instance="0" * 32,
            wanted_id="silent",
            host="127.0.0.1",
            port=1,
            pid=1,
            catalog=described,
        )
        silent = dict.fromkeys(("ask", "lookup", "probe"), never)
        with (
            FakeWorker(master.address, said, silent) as fake,
            Client(str(master.address)) as client,
        ):
            for _ in range(20):
                assert client.page("getbyname", "xander").worker == good.id
            assert poll_for(
                lambda: [w for w in master.snapshot().workers if w.id == "silent" and w.why], 8.0
            )
            poll_for(
                lambda: {w.id: w.state for w in master.snapshot().workers}["silent"] == "down", 8.0
            )
            poll_for(lambda: not fake.connected)


def test_a_stock_client_may_nest_and_share_its_connection(served: Master) -> None:
    connection = rpyc.connect(*served.address)
    try:
        later = rpyc.async_(connection.root.getbyname)
        pending = [later("xander") for _ in range(20)]
        assert all(json.loads(one.value)["count"] == 1 for one in pending)
        with ThreadPoolExecutor(4) as threads:
            counts = threads.map(
                lambda _: json.loads(connection.root.getbyname("xander"))["count"], range(40)
            )
            assert set(counts) == {1}
    finally:
        connection.close()


# -- limits --------------------------------------------------------------------------


def test_beyond_its_limit_the_master_is_overloaded_at_once(served: Master) -> None:
    for _ in range(MAX_LOOKUPS):
        served.lookups._admit()
    try:
        with Client(str(served.address)) as client, pytest.raises(LookupFailed) as caught:
            client.getbyname("xander")
        assert caught.value.code == "overloaded"
        assert caught.value.retry_after_ms
    finally:
        for _ in range(MAX_LOOKUPS):
            served.lookups._leave()


def test_one_connection_takes_a_small_part_of_what_may_be_in_flight(served: Master) -> None:
    """However much it asks at once: others are answered meanwhile, and so is all of it."""
    asked = range(3, 3 + MAX_LOOKUPS + 1000)
    head, arguments = messages.call_head(messages.VERB), messages.arguments(("getbyname", "xander"))
    said = messages.root_request(1) + messages.verb_request(2, ROOT, "lookup")
    said += b"".join(messages.call_request(seq, head, arguments) for seq in asked)
    with (
        Client(str(served.address)) as client,
        socket.create_connection(served.address) as greedy,
        ThreadPoolExecutor(1) as reading,
    ):
        greedy.settimeout(PATIENCE)

        def read() -> bytes:
            data = bytearray()
            while data.count(b'"error":') < len(asked) and (part := greedy.recv(1 << 20)):
                data += part
            return bytes(data)

        answers = reading.submit(read)
        threading.Thread(target=greedy.sendall, args=(said,)).start()
        most = 0
        while not answers.done():
            most = max(most, served.lookups.in_flight)
            assert client.getbyname("xander")
        assert 16 < most <= MAX_CALLS_IN_FLIGHT + 1
        assert MAX_CALLS_IN_FLIGHT <= MAX_LOOKUPS // 16
        assert answers.result().count(b'"error":false') == len(asked)


# -- the client ----------------------------------------------------------------------


def test_a_client_without_a_master_says_so_within_its_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with Client(f"127.0.0.1:{port}", timeout=0.5) as client:
        with pytest.raises(MasterLost, match="rollcall-nodes up"):
            client.getbyname("xander")
    with SilentServer() as silent, Client(f"127.0.0.1:{silent.port}", timeout=0.2) as client:
        with pytest.raises(MasterLost):
            client.getbyname("xander")


def test_a_client_serves_many_threads(served: Master) -> None:
    with Client(str(served.address)) as client, ThreadPoolExecutor(8) as threads:
        names = [r["name"] for r in RECORDS]
        for name, found in zip(names, threads.map(client.getbyname, names), strict=True):
            assert same_records(found, scan(RECORDS, name=name))


def test_closing_a_client_ends_what_is_under_way() -> None:
    with SilentServer() as silent:
        client = Client(f"127.0.0.1:{silent.port}", timeout=30.0)
        ended: list[Exception] = []

        def wait() -> None:
            try:
                client.getbyname("xander")
            except MasterLost as error:
                ended.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        accepted, _ = silent.listener.accept()
        with accepted:
            accepted.recv(1)
            client.close()
            thread.join(5.0)
        assert len(ended) == 1


@pytest.mark.parametrize(
    "address", ["", ":", "host:", "host:port", "host:0", "host:99999", "a:b:c:"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadRequest, match="HOST:PORT"):
        Client(address)


def test_every_code_has_its_own_error() -> None:
    assert len(CODES) == len(set(CODES.values()))
    assert all(code == error.code for code, error in CODES.items())
