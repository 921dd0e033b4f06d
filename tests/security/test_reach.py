"""What can be reached through a port, by whom: everything is tried, and held to a list.

The lists are `HANDLERS`, `MASTER` and `WORKER`. A verb that is added has to be written there,
with who may call it; a name or a request that answers and is not there fails this module.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import keyword
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rpyc
from rpyc.core import brine, consts

import nodes
from nodes.master.master import Master
from nodes.master.service import MasterService
from nodes.security.tokens import TokenRole, ensure_token, token_file
from nodes.transport import Lane, RemoteFailure, introspection, messages
from nodes.transport.frames import FrameReader, frame
from nodes.transport.responder import ROOT
from nodes.transport.stream import CHUNK_BYTES
from nodes.wire import decode_envelope
from nodes.worker.server import WorkerServer
from nodes.worker.service import DirectService
from tests.kit import PATIENCE, master_alone, worker_inside
from tests.transport.kit import FIRST_VERB, RawPeer

# -- the lists ---------------------------------------------------------------------------

LOOKING_AROUND = {"CMP", "DIR", "HASH", "INSPECT", "REPR", "STR"}
"""The requests of RPyC that are answered with the names of verbs, and constants."""

HANDLERS = {"PING", "CLOSE", "GETROOT", "GETATTR", "CALL", "CALLATTR", "DEL"} | LOOKING_AROUND
"""The requests of RPyC that are served; GETATTR and CALLATTR know verbs, and nothing else."""

ANYONE = "stranger client worker operator"
WORKERS = "worker operator"
MAY_OPERATE = "operator"

MASTER = {
    "describe": ANYONE,
    "getbylocation": ANYONE,
    "getbyname": ANYONE,
    "getbyyear": ANYONE,
    "login": ANYONE,
    "lookup": ANYONE,
    "lookup_many": ANYONE,
    "members": ANYONE,
    "suggest": ANYONE,
    "catalog_offer": WORKERS,
    "catalog_part": WORKERS,
    "leave": WORKERS,
    "register": WORKERS,
    "renew": WORKERS,
    "again": MAY_OPERATE,
    "clear": MAY_OPERATE,
    "drain": MAY_OPERATE,
    "events": MAY_OPERATE,
    "history": MAY_OPERATE,
    "freeze": MAY_OPERATE,
    "kill": MAY_OPERATE,
    "log": MAY_OPERATE,
    "recording": MAY_OPERATE,
    "reload": MAY_OPERATE,
    "restart": MAY_OPERATE,
    "scale": MAY_OPERATE,
    "snapshot": MAY_OPERATE,
    "spawn": MAY_OPERATE,
    "thaw": MAY_OPERATE,
}
"""The verbs of a master, and who is not answered with `forbidden`."""

WORKER = dict.fromkeys(("ask", "identify", "login", "lookup", "lookup_many", "suggest"), ANYONE)
"""The verbs of a worker's own port. What its master orders comes on another connection."""


# -- who is who --------------------------------------------------------------------------


def become(role: str, lane: Lane) -> None:
    """What a peer of that role does first on a connection to a master."""
    if role == "stranger":
        return
    assert envelope(lane, "login", ensure_token(token_file(TokenRole(role))))["error"] is False


ROLES = ANYONE.split()


def envelope(lane: Lane, verb: str, *args: Any) -> dict[str, Any]:
    """The answer of a master's verb."""
    reply = lane.call(verb, *args, timeout=PATIENCE)
    assert type(reply) is str
    return msgspec.structs.asdict(decode_envelope(reply))


# -- everything that has a name ------------------------------------------------------------


@functools.cache
def words(module: Any) -> frozenset[str]:
    """Every name in the source of a package: what is defined, called, read or written."""
    return frozenset(_words(module))


def _words(module: Any) -> Iterator[str]:
    for path in Path(inspect.getfile(module)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                    yield name
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    yield name
                case ast.Constant(value=str() as name) if name.isidentifier():
                    yield name


def all_names(*objects: object) -> list[str]:
    """Names that a stranger can think of, and many more."""
    found = {*words(nodes), *words(rpyc.core.protocol), *dir(builtins), *keyword.kwlist}
    found |= {
        attribute for kind in (object, type, rpyc.Service, str, int) for attribute in dir(kind)
    }
    for one in objects:
        found |= set(dir(one)) | {name for part in vars(one).values() for name in dir(part)}
    found |= {"", " ", "\x00", "é", "lookup ", "Lookup", "a.b", "../lookup", "x" * 1000}
    return sorted(found | {f"exposed_{name}" for name in found})


def replies(peer: RawPeer, frames: list[bytes]) -> list[messages.Message]:
    """The answer to each frame, in batches that no buffer is too small for."""
    reader = FrameReader(1 << 20)
    found: list[messages.Message] = []
    for start in range(0, len(frames), 100):
        batch = frames[start : start + 100]
        peer.send(b"".join(batch))
        while len(found) < start + len(batch):
            while (payload := reader.next()) is None:
                data = peer.sock.recv(CHUNK_BYTES)
                assert data, f"hung up on one of {batch}"
                reader.feed(data)
            found.append(messages.load(payload, messages.MAX_REPLY_READS))
    return found


Place = tuple[str, int]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Master, WorkerServer]]:
    """A master with a worker, and a token for each role."""
    monkeypatch.setenv("ROLLCALL_STATE", str(tmp_path))
    ensure_token()
    with master_alone() as master, worker_inside(master) as worker:
        yield master, worker


@pytest.fixture
def places(pair: tuple[Master, WorkerServer]) -> dict[str, Place]:
    """Where both are found."""
    master, worker = pair
    address = master.address
    return {"master": (address.host, address.port), "worker": worker.server.address}


@pytest.fixture
def peer(places: dict[str, Place], node: str) -> Iterator[RawPeer]:
    """A peer at the port of `node` that may write what it likes."""
    raw = RawPeer(places[node])
    yield raw
    raw.sock.close()


both = pytest.mark.parametrize(("node", "verbs"), [("master", MASTER), ("worker", WORKER)])


# -- requests ------------------------------------------------------------------------------


@both
def test_requests_that_are_served(peer: RawPeer, verbs: dict[str, str]) -> None:
    """Every number RPyC knows and many that it does not, about every thing one can name."""
    known = {v: k[len("HANDLE_") :] for k, v in vars(consts).items() if k.startswith("HANDLE_")}
    assert set(known.values()) > HANDLERS
    numbers = sorted({*known, *range(-3, 300), 2**31, 2**63, -(2**70)} - {consts.HANDLE_CLOSE})
    verb = next(iter(verbs))
    local, value = consts.LABEL_LOCAL_REF, consts.LABEL_VALUE
    targets = [
        (local, ROOT),
        (local, FIRST_VERB),
        (local, ("builtins.type", 1, 2)),
        (value, "text"),
        (value, ROOT),
        (consts.LABEL_REMOTE_REF, ROOT),
    ]
    frames = [messages.root_request(1), messages.verb_request(2, ROOT, verb)]
    asked: list[int] = []
    for number in numbers:
        for target in targets:
            for rest in ((), (verb,), (verb, ()), ((), ()), ("__class__", (), ())):
                boxed = (consts.LABEL_TUPLE, (target, *((value, one) for one in rest)))
                body = (len(asked), (number, boxed))
                frames.append(frame(brine.I1.pack(consts.MSG_REQUEST), brine.dump(body)))
                asked.append(number)
    # Some verbs of a master take a while, and others are answered meanwhile.
    answers = sorted(replies(peer, frames)[2:], key=lambda answer: answer.seq)
    assert [answer.seq for answer in answers] == list(range(len(asked)))
    served = set()
    for number, answer in zip(asked, answers, strict=True):
        text = str(answer.body)
        assert "InternalError" not in text
        if answer.kind == consts.MSG_REPLY:
            assert_harmless(answer.body)
        if f"request {number} is not served here" not in text:
            served.add(known.get(number, str(number)))
    assert served == HANDLERS - {"CLOSE"}


def assert_harmless(body: object) -> None:
    """A reply is a value, the root, or a verb: nothing else is ever referred to."""
    match body:
        case (consts.LABEL_VALUE, _):
            return
        case (consts.LABEL_REMOTE_REF, (str() as kind, int() as cls, int())):
            assert (kind, cls) in {ROOT[:2], FIRST_VERB[:2]}
            return
    pytest.fail(f"something else was given out: {body}")


@both
def test_goodbye_is_served(peer: RawPeer, verbs: dict[str, str]) -> None:
    body = (1, (consts.HANDLE_CLOSE, (consts.LABEL_VALUE, ())))
    peer.ask(brine.I1.pack(consts.MSG_REQUEST) + brine.dump(body))
    assert peer.rest() == b""


# -- names -----------------------------------------------------------------------------------


@both
def test_names_that_are_verbs(
    peer: RawPeer, verbs: dict[str, str], pair: tuple[Master, WorkerServer]
) -> None:
    master, worker = pair
    names = all_names(
        master,
        worker,
        MasterService(master),
        worker.server,
        worker._lookups,
        master.membership,
        master.lookups,
        worker._versions.present,
    )
    assert len(names) > 3000
    assert set(names) > {*verbs, "_master", "__reduce_ex__", "on_open", "exposed_lookup"}
    root, *answers = replies(
        peer,
        [messages.root_request(0), *(messages.verb_request(1, ROOT, name) for name in names)],
    )
    assert_harmless(root.body)
    found, told = answered(names, answers)
    assert found == set(verbs)
    assert told == {"__doc__": introspection.ROOT_DOC}


@both
def test_names_that_are_told(places: dict[str, Place], node: str, verbs: dict[str, str]) -> None:
    connection = rpyc.connect(*places[node])
    try:
        assert dir(connection.root) == sorted(verbs)
    finally:
        connection.close()


def answered(
    names: list[str], answers: list[messages.Message]
) -> tuple[set[str], dict[str, object]]:
    """Which names lead to an object, and which to a value: that, too."""
    objects, told = set(), {}
    for name, answer in zip(names, answers, strict=True):
        match answer:
            case (consts.MSG_REPLY, _, (consts.LABEL_VALUE, value)):
                told[name] = value
            case (consts.MSG_REPLY, _, _):
                objects.add(name)
    return objects, told


@both
def test_what_a_verb_is_called_is_all_that_it_has(peer: RawPeer, verbs: dict[str, str]) -> None:
    """Verbs are the only objects, and they cannot be looked into."""
    first = next(iter(verbs))
    names = all_names()
    looked_up = [messages.root_request(0), messages.verb_request(1, ROOT, first)]
    of_verb = [messages.verb_request(2, FIRST_VERB, name) for name in names]
    answers = replies(peer, looked_up + of_verb)
    assert [answer.kind for answer in answers[:2]] == [consts.MSG_REPLY] * 2
    assert answered(names, answers[2:]) == (
        set(),
        {"__doc__": introspection.VERB_DOC, "__name__": first, "__qualname__": first},
    )


# -- roles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_may_ask_of_a_master(role: str, places: dict[str, Place]) -> None:
    """Each verb on a connection of its own, with no arguments: most are then a bad request,
    and who may not even ask is told so first.
    """
    allowed = set()
    for verb in MASTER:
        with Lane.dial(*places["master"]) as lane:
            become(role, lane)
            if envelope(lane, verb)["code"] != "forbidden":
                allowed.add(verb)
    assert allowed == {verb for verb, roles in MASTER.items() if role in roles.split()}


def test_what_anyone_may_ask_of_a_worker(places: dict[str, Place]) -> None:
    """A key that is wrong opens nothing, of whatever type it is."""
    answered = set()
    with Lane.dial(*places["worker"]) as lane:
        calls = {
            "ask": ("getbyname", "x"),
            "lookup": (b"",),
            "lookup_many": (b"",),
            "identify": ("x",),
            "suggest": ("name", ""),
        }
        for verb, args in calls.items():
            reply = lane.call(verb, *args, timeout=PATIENCE)
            if not (type(reply) is tuple and reply[0] == "forbidden"):
                answered.add(verb)
            said = str(call_misfit(lane, verb))
            assert "fit" in said or verb == "ask", "which takes any number"
        for key in ("", "x" * 32, 0, None, b"", True, ("",)):
            assert lane.call("login", key, timeout=PATIENCE) is False
        for verb in ("retire", "prepare", "switch", "register", "catalog_part"):
            with pytest.raises(RemoteFailure, match="no such verb"):
                lane.call(verb, timeout=PATIENCE)
    assert answered == set(WORKER) - {"login"}


def call_misfit(lane: Lane, verb: str) -> object:
    """What is said of arguments that do not fit; never that it is a defect."""
    try:
        return lane.call(verb, 1, 2, 3, 4, 5, timeout=PATIENCE)
    except RemoteFailure as error:
        assert error.kind == "TypeError"
        return error


def test_the_lists_hold_every_verb_there_is(pair: tuple[Master, WorkerServer]) -> None:
    """Those that the services know by themselves, without a peer."""
    master, worker = pair
    verbs = {*MasterService(master)._verbs, "lookup", *master.membership.served.lookups}
    assert verbs == set(MASTER)
    assert set(DirectService(worker._lookups, worker._access)._verbs) == set(WORKER)
