"""Who may do what, over real sockets; wrong tokens; workers that are not what they say."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
import rpyc

from nodes.catalog import ensure_catalog, open_catalog
from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.client.connection import MasterConnection
from nodes.dispatch.replies import is_answer, is_batch_answer, is_suggestion
from nodes.errors import BadRequest, Conflict, Forbidden, RollcallError
from nodes.fleet.control import NoFleet
from nodes.master.master import Master
from nodes.security.authenticator import Authenticator, LoginThrottle, Session
from nodes.security.credentials import worker_token
from nodes.security.tokens import (
    TokenRole,
    ValidToken,
    ensure_token,
    read_token,
    rotate_token,
    token_file,
)
from nodes.support.listening import registered_host
from nodes.support.paths import shipped_data
from nodes.transport import Lane, Value
from nodes.transport.requester import Requester
from nodes.wire import (
    LookupRequest,
    Registered,
    Registration,
    direct_key,
    encode_batch,
    encode_request,
)
from nodes.worker.server import WorkerServer
from tests.kit import (
    PATIENCE,
    Door,
    FakeWorker,
    ServerThread,
    SilentServer,
    master_alone,
    poll_for,
    worker_inside,
)

ASKED = encode_request(LookupRequest("getbyname", ("xander",)))


@pytest.fixture(autouse=True)
def _own_tokens(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of every role, of this test's own."""
    monkeypatch.setenv("ROLLCALL_TOKEN_FILE", str(tmp_path / "token"))
    ensure_token()
    for role in TokenRole:
        ensure_token(token_file(role))


@pytest.fixture
def closed() -> Iterator[Master]:
    """A master whose lookups need a token, with one worker."""
    with master_alone(require_token=True) as master, worker_inside(master):
        poll_for(lambda: [w.state for w in master.snapshot().workers] == ["up"])
        yield master


@contextmanager
def stranger(master: Master) -> Iterator[Any]:
    """A stock client's root object."""
    connection = rpyc.connect(*master.address, config={"sync_request_timeout": PATIENCE})
    try:
        yield connection.root
    finally:
        connection.close()


def ask(root: Any, verb: str, *args: object) -> dict[str, Any]:
    """What a stock client gets."""
    reply = json.loads(getattr(root, verb)(*args))
    assert isinstance(reply, dict)
    return reply


# -- roles -----------------------------------------------------------------------------

ASKING = [
    ("lookup", "getbyname", "xander"),
    ("lookup_many", "[]"),
    ("getbyname", "xander"),
    ("describe",),
    ("suggest", "name", "x"),
    ("members",),
]
WORKING = [("register", "{}"), ("renew",), ("leave",)]
LOOKING = [("snapshot",), ("events",), ("history",), ("recording",), ("log", "w1")]
STEERING = [("drain", "w9"), ("spawn", 1)]
DOORS: dict[TokenRole, list[Any]] = {
    TokenRole.CLIENT: ASKING,
    TokenRole.WORKER: WORKING,
    TokenRole.VIEWER: LOOKING,
    TokenRole.OPERATOR: STEERING,
}


def test_a_stranger_may_only_log_in_where_lookups_need_a_token(closed: Master) -> None:
    with stranger(closed) as root:
        for role, verbs in DOORS.items():
            for verb, *args in verbs:
                reply = ask(root, verb, *args)
                assert reply["code"] == "forbidden", verb
                assert f"needs the role {role}" in reply["error_message"]


@pytest.mark.parametrize("role", [None, *TokenRole])
def test_a_token_opens_the_doors_of_its_role(closed: Master, role: TokenRole | None) -> None:
    with stranger(closed) as root:
        given = ask(root, "login", read_token(token_file(role)))["result"]
        assert given == (role or TokenRole.OPERATOR)
        for needed, verbs in DOORS.items():
            for verb, *args in verbs:
                refused = ask(root, verb, *args).get("code") == "forbidden"
                assert refused is not TokenRole(given).covers(needed), verb
                if refused:
                    assert f"of the role {role}" in ask(root, verb, *args)["error_message"]


def token_is_read(master: Master) -> bool:
    """Whether a lookup reads the token that it could log in with."""
    reads: list[str] = []
    connection = MasterConnection(str(master.address), token=lambda: reads.append("read"))
    try:
        connection.call("lookup", "getbyname", "xander", timeout=PATIENCE)
    except Forbidden as error:
        assert "client" in str(error)
    finally:
        connection.close()
    return bool(reads)


def test_the_client_finds_its_token_and_sends_it_only_when_asked(closed: Master) -> None:
    with Client(str(closed.address)) as client:
        assert client.getbyname("xander")
        assert client.describe().records
        assert client.suggest("name", "xa")
    with Client(str(closed.address), token=read_token()) as client:
        assert client.getbyname("xander")
    with Client(str(closed.address), token="wrong") as client, pytest.raises(Forbidden):
        client.getbyname("xander")
    with AttachedCluster(str(closed.address)) as cluster:
        assert cluster.page("getbyname", "xander").count == 1
    assert token_is_read(closed)
    with master_alone() as master, worker_inside(master):
        assert not token_is_read(master)


def test_a_rotated_token_is_taken_up_by_a_master_that_runs(closed: Master) -> None:
    closed.authenticator.recheck_every_s = 0.0
    old = read_token(token_file(TokenRole.CLIENT))
    with stranger(closed) as root, Client(str(closed.address)) as client:
        assert ask(root, "login", old)["result"] == "client"
        assert client.getbyname("xander")
        rotate_token(token_file(TokenRole.CLIENT), grace=60.0)
        assert ask(root, "getbyname", "xander")["count"] == 1
        rotate_token(token_file(TokenRole.CLIENT), grace=0.0)
        # Who is in already is looked at again; who finds the new one by itself goes on.
        assert ask(root, "getbyname", "xander")["code"] == "forbidden"
        assert ask(root, "login", old)["code"] == "forbidden"
        assert client.getbyname("xander")
        # A worker stays registered.
        rotate_token(token_file(TokenRole.WORKER), grace=0.0)
        assert client.getbyname("xander")


# -- wrong tokens ------------------------------------------------------------------------


def test_each_wrong_token_of_an_address_waits_longer_up_to_a_bound() -> None:
    throttle = LoginThrottle()
    waits = [throttle.refused("a", 0.0) for _ in range(50)]
    assert waits[0] == LoginThrottle.FIRST_WAIT_S
    assert waits == sorted(waits)
    assert waits[-1] == LoginThrottle.LONGEST_WAIT_S
    assert throttle.refused("b", 0.0) == LoginThrottle.FIRST_WAIT_S
    assert LoginThrottle.FIRST_WAIT_S < throttle.refused("a", 120.0) < LoginThrottle.LONGEST_WAIT_S
    assert throttle.refused("a", 3600.0) == pytest.approx(LoginThrottle.FIRST_WAIT_S, rel=0.01)
    assert throttle.count == 53


def test_what_is_kept_of_addresses_is_bounded_and_the_busiest_stay() -> None:
    throttle = LoginThrottle()
    for number in range(5 * LoginThrottle.MAX_HOSTS):
        throttle.refused(f"host {number}", float(number))
        held = throttle.refused("busy", float(number))
    assert len(throttle._scores) <= LoginThrottle.MAX_HOSTS
    assert held == LoginThrottle.LONGEST_WAIT_S


def test_a_flood_is_told_of_a_few_times_a_minute_with_its_count() -> None:
    throttle = LoginThrottle()
    told: list[str] = []
    for number in range(600):
        throttle.refused("10.0.0.3", number / 10)
        text = throttle.report("10.0.0.3", number / 10)
        told += [text] if text is not None else []
    assert told == [
        "10.0.0.3 gave a wrong token",
        *["10.0.0.3 gave a wrong token; 199 more wrong tokens since the last report"] * 2,
    ]


def test_a_wrong_token_makes_nobody_else_wait() -> None:
    ended: list[str] = []

    def guess(address: str) -> None:
        link = MasterConnection(address, token=lambda: "wrong")
        try:
            link.call("snapshot", timeout=60.0, again=False)
        except RollcallError as error:
            ended.append(str(error))
        finally:
            link.close()

    with master_alone() as master:
        master.authenticator.throttle = LoginThrottle(first_wait_s=3600.0, longest_wait_s=3600.0)
        guesser = threading.Thread(target=guess, args=(str(master.address),))
        guesser.start()
        with AttachedCluster(str(master.address)) as cluster:
            poll_for(lambda: cluster.snapshot().refused_logins == 1)
            [event] = [one for one in cluster.events() if one.kind == "refused_login"]
            assert event.text == "127.0.0.1 gave a wrong token"
        assert not ended
    # The end of the master lets go of it.
    guesser.join(PATIENCE)
    assert len(ended) == 1


def test_a_session_checks_its_token_again_only_now_and_then() -> None:
    looks: list[None] = []

    def tokens() -> list[ValidToken]:
        looks.append(None)
        return [ValidToken("a", TokenRole.CLIENT)]

    session = Session(
        Authenticator(tokens=tokens, note=lambda *_: None, require_token=True), "here"
    )
    session.login("a")
    for _ in range(100):
        session.check(TokenRole.CLIENT)
    assert len(looks) == 1


# -- the worker's own port ------------------------------------------------------------------


def secret_of(worker: WorkerServer) -> str:
    """What only that worker and its master know."""
    return worker._access.instance


def test_a_worker_is_no_way_around_its_master() -> None:
    with master_alone(require_token=True) as master, worker_inside(master) as worker:
        batch = encode_batch(b'["getbyname", "xander"]', limit=10, most=1000, within=PATIENCE)
        asked: dict[str, tuple[Value, ...]] = {
            "ask": ("getbyname", "xander"),
            "lookup": (ASKED,),
            "lookup_many": (batch,),
            "suggest": ("name", "x"),
        }
        key = direct_key(secret_of(worker))
        for shown in ("", " ", "x", read_token() or "", key[:-1], secret_of(worker)):
            with Lane.dial(*worker.server.address) as lane:
                assert lane.call("login", shown, timeout=PATIENCE) is False
                for verb, args in asked.items():
                    assert lane.call(verb, *args, timeout=PATIENCE) == (
                        "forbidden",
                        "this worker answers its master only: ask the master",
                    )
        with Lane.dial(*worker.server.address) as lane:
            assert lane.call("login", key, timeout=PATIENCE) is True
            for verb, args in asked.items():
                answer = lane.call(verb, *args, timeout=PATIENCE)
                assert is_answer(answer) or is_batch_answer(answer, 1) or is_suggestion(answer, 10)


def test_a_worker_without_a_master_answers_nobody_and_an_open_one_anybody() -> None:
    catalog = open_catalog(ensure_catalog(shipped_data()).path)
    alone = WorkerServer(catalog=catalog, master=("127.0.0.1", 1), token=worker_token)
    alone.start()
    with Lane.dial(*alone.server.address) as lane:
        refused = lane.call("lookup", ASKED, timeout=PATIENCE)
    alone.stop()
    catalog.close()
    assert isinstance(refused, tuple)
    assert refused[0] == "forbidden"
    with master_alone() as master, worker_inside(master) as worker:
        with Lane.dial(*worker.server.address) as lane:
            assert is_answer(lane.call("lookup", ASKED, timeout=PATIENCE))


# -- workers that are not what they say -----------------------------------------------------


@pytest.mark.parametrize(
    ("claimed", "peer", "dialled"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.1", "127.0.0.2"),
        ("localhost", "::1", "localhost"),
        ("10.0.0.2", "10.0.0.2", "10.0.0.2"),
        ("0.0.0.0", "10.0.0.2", "10.0.0.2"),
        ("::", "fd00::2", "fd00::2"),
        ("127.0.0.1", "192.168.7.7", "127.0.0.1"),
        ("10.0.0.3", "10.0.0.2", None),
        ("127.0.0.1", "10.0.0.2", None),
        ("10.0.0.2", "127.0.0.1", None),
        ("localhost", "10.0.0.2", None),
        ("example.com", "10.0.0.2", None),
        ("", "10.0.0.2", None),
        ("0.0.0.0\n", "10.0.0.2", None),
    ],
)
def test_nobody_registers_another_machine(claimed: str, peer: str, dialled: str | None) -> None:
    if dialled is not None:
        assert registered_host(claimed, peer, "192.168.7.7") == dialled
        return
    with pytest.raises(BadRequest, match="--host"):
        registered_host(claimed, peer, "192.168.7.7")


def registration(master: Master, **changes: Any) -> Registration:
    """What a worker with the dataset of those there would say."""
    described = master.membership.description
    assert described is not None
    usual = {"instance": "0" * 32, "wanted_id": "", "host": "127.0.0.1", "port": 9, "pid": 1}
    return Registration(**{**usual, "catalog": described, **changes})


class NoConnection:
    """The connection of a worker that is in nobody's reach."""

    def __init__(self) -> None:
        self.requester = Requester(lambda _frame: None, 1 << 20)

    def abort(self) -> None:
        """There is nothing to end."""


def register(master: Master, said: Registration) -> Registered:
    """A worker registers."""
    connection: Any = NoConnection()
    return master.loop.call(master.membership.register, said, connection)


@pytest.fixture
def served() -> Iterator[Master]:
    """A master with one worker, `w1`."""
    with master_alone() as master, worker_inside(master):
        poll_for(lambda: [w.state for w in master.snapshot().workers] == ["up"])
        yield master


@pytest.mark.parametrize(
    "changes",
    [
        {"instance": ""},
        {"instance": "0" * 33},
        {"instance": "../" + "0" * 29},
        {"wanted_id": "../../etc/passwd"},
        {"wanted_id": "w1/x"},
        {"wanted_id": "w1\n"},
        {"wanted_id": "w\x1b[2J"},
        {"wanted_id": ".."},
        {"wanted_id": "w" * 65},
        {"host": "10.1.2.3"},
        {"host": "h" * 256},
        {"port": 0},
        {"port": 65536},
        {"pid": -1},
        {"pid": 1 << 70},
        {"catalog": {"version": "\x1b]0;x\x07"}},
        {"catalog": {"version": "v" * 65}},
        {"catalog": {"records": -1}},
        {"catalog": {"dataset": "d" * 101}},
        {"catalog": {"fields": ["f"] * 20_001}},
        {"catalog": {"fields": ["f" * 2_000_000]}},
        {"catalog": {"files": [["nested"]]}},
        {"catalog": {"lookups": [{"name": "Get\n", "fields": ["a"], "types": ["text"]}]}},
        {"catalog": {"lookups": [{"name": "get", "fields": ["a"], "types": ["shoe"]}]}},
        {"catalog": {"lookups": [{"name": "get", "fields": ["a"], "types": []}]}},
        {"catalog": {"lookups": [{"name": "get", "fields": [], "types": []}]}},
        {"catalog": {"lookups": [{"name": "g", "fields": ["a"], "types": ["text"]}] * 65}},
    ],
)
def test_a_registration_is_checked(served: Master, changes: dict[str, Any]) -> None:
    said = msgspec.to_builtins(registration(served))
    inner = changes.pop("catalog", {})
    said = {**said, **changes, "catalog": {**said["catalog"], **inner}}
    link = MasterConnection(str(served.address), token=worker_token)
    try:
        with pytest.raises(BadRequest):
            link.call("register", json.dumps(said), timeout=PATIENCE, again=False)
    finally:
        link.close()
    assert [worker.id for worker in served.membership.registry] == ["w1"]


def test_a_live_worker_s_place_cannot_be_taken(served: Master) -> None:
    [live] = served.membership.registry.live()
    with pytest.raises(Conflict, match="w1"):
        register(served, registration(served, port=live.address.port))
    with SilentServer() as silent:
        other = registration(served, port=silent.port, wanted_id="w1")
        assert register(served, other).id == "w2"
    assert live.live


def test_a_stale_registration_changes_nothing(served: Master) -> None:
    membership = served.membership
    said = registration(served, wanted_id="north")
    with FakeWorker(served.address, said) as first, FakeWorker(served.address, said) as second:
        old, new = (msgspec.convert(one.reply.result, Registered) for one in (first, second))
        poll_for(lambda: not first.connected)
        assert (second.connected, new.id) == (True, old.id)

        def forge() -> None:
            assert not membership.has(old.generation)
            assert membership.leave(old.generation) == 0
            membership.gone(old.generation, "it says so")
            membership.registry.probe_answered(
                old.generation, version="forged", cpu=0.0, memory=0, now=0.0
            )
            for _ in range(3):
                membership.registry.probe_missed(old.generation, "why", 0.0)

        served.loop.call(forge)
        worker = membership.registry.get("north")
        assert worker is not None
        assert (worker.generation, worker.live) == (new.generation, True)
        assert worker.version == said.catalog.version
        assert membership.has(new.generation)


def test_a_registration_outlives_its_token_and_its_connection_is_told_of_its_end(
    served: Master,
) -> None:
    served.authenticator.recheck_every_s = 0.0
    with ServerThread(lambda: Door("0" * 32)) as door, stranger(served) as root:
        assert ask(root, "login", read_token())["result"] == "operator"
        said = registration(served, port=door.address[1], wanted_id="north")
        text = msgspec.json.encode(said).decode()
        generation = ask(root, "register", text)["result"]["generation"]
        rotate_token(token_file(), grace=0.0)
        assert ask(root, "renew")["result"] is True
        # Whatever its token was good for, it is a worker's connection from then on.
        assert ask(root, "snapshot")["code"] == "forbidden"
        # As if the end of the connection were still on its way.
        served.membership._connections.pop(generation)
        served.loop.call(served.membership.gone, generation, "it says so")
        assert ask(root, "renew")["result"] is False
        assert ask(root, "leave")["result"] == 0


def test_what_a_launcher_serves_is_not_a_worker_s_to_change(served: Master) -> None:
    described = served.membership.description
    assert described is not None
    fleet = NoFleet()
    fleet.says_what_is_served = True
    served.led_by(fleet)
    with SilentServer() as silent:
        rogue = msgspec.structs.replace(described, lookups=(), version="rogue")
        register(served, registration(served, port=silent.port, catalog=rogue))
        assert served.membership.description == described
