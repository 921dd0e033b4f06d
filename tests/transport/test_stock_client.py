"""The real library's client works against our server, unchanged."""

from __future__ import annotations

import logging
import pydoc
import rlcompleter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import rpyc
from hypothesis import given, settings
from hypothesis import strategies as st
from rpyc.core import brine, consts

from nodes.transport import Limits, Utf8, introspection
from nodes.transport.frames import HEADER
from nodes.transport.responder import OLD_CLIENT
from tests.kit import poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import (
    Gate,
    RawPeer,
    RecordingService,
    RunningServer,
    defect,
    serves,
    values,
)

Connects = Callable[[RunningServer], Any]


def test_a_verb_is_called_in_one_line(start_server: StartServer, connect: Connects) -> None:
    assert connect(start_server()).root.echo(1, "two", b"three") == (1, "two", b"three")


def test_a_kept_verb_is_called_again_and_again(
    start_server: StartServer, connect: Connects
) -> None:
    kept = connect(start_server()).root.echo
    assert [kept(n) for n in range(50)] == [(n,) for n in range(50)]


def test_values_come_back_as_they_went(start_server: StartServer, connect: Connects) -> None:
    kept = connect(start_server()).root.echo

    @settings(max_examples=50)
    @given(st.lists(values, max_size=4).map(tuple))
    def check(sent: tuple[object, ...]) -> None:
        assert kept(*sent) == sent

    check()


def test_arguments_by_name(start_server: StartServer, connect: Connects) -> None:
    root = connect(start_server()).root
    assert root.named(1, second="é") == (1, "é")
    assert root.named(first=2) == (2, None)


def test_finished_text_arrives_as_str(start_server: StartServer, connect: Connects) -> None:
    root = connect(start_server({"text": lambda: Utf8('{"é": 1}'.encode())})).root
    assert root.text() == '{"é": 1}'
    assert type(root.text()) is str


def test_a_large_request_is_compressed_on_its_way(
    start_server: StartServer, connect: Connects
) -> None:
    text = "abc" * 300_000
    assert connect(start_server()).root.echo(text) == (text,)


def test_calls_without_waiting(start_server: StartServer, connect: Connects) -> None:
    later = rpyc.async_(connect(start_server()).root.echo)
    asked = [later(n) for n in range(20)]
    assert [answer.value for answer in reversed(asked)] == [(n,) for n in reversed(range(20))]


def test_calls_inside_calls(start_server: StartServer, connect: Connects) -> None:
    root = connect(start_server()).root
    assert root.echo(root.echo(root.echo(1))) == (((1,),),)


def test_threads_share_one_connection(start_server: StartServer, connect: Connects) -> None:
    kept = connect(start_server()).root.echo
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(kept, range(200))) == [(n,) for n in range(200)]


def test_connections_do_not_wait_for_each_other(
    start_server: StartServer, connect: Connects
) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait})
    waiting = rpyc.async_(connect(running).root.wait)()
    assert connect(running).root.echo("meanwhile") == ("meanwhile",)
    gate.open(running)
    assert waiting.value == 1


def test_ping(start_server: StartServer, connect: Connects) -> None:
    connection = connect(start_server())
    connection.ping()
    connection.ping("x" * 10_000)
    assert not connection.closed


def test_goodbye_is_heard_once(start_server: StartServer, connect: Connects) -> None:
    running = start_server()
    connection = connect(running)
    connection.root.echo()
    host, port = connection._channel.stream.sock.getsockname()
    connection.close()
    poll_for(lambda: running.server.connections == 0)
    (service,) = running.services
    assert [(peer.host, peer.port) for peer in service.opened] == [(host, port)]
    assert service.closed == 1


# -- what a person does at a prompt --------------------------------------------------------


def test_the_root_names_the_verbs(start_server: StartServer, connect: Connects) -> None:
    root = connect(start_server()).root
    assert dir(root) == ["echo", "named", "shapes"]
    assert repr(root) == str(root) == f"{root}" == introspection.ROOT_TEXT
    assert root.__doc__ == introspection.ROOT_DOC


def test_a_verb_tells_its_name(start_server: StartServer, connect: Connects) -> None:
    verb = connect(start_server()).root.echo
    assert dir(verb) == []
    assert repr(verb) == str(verb) == "<the server's verb echo>"
    assert (verb.__name__, verb.__qualname__) == ("echo", "echo")
    assert verb.__doc__ == introspection.VERB_DOC


def test_verbs_are_equal_to_themselves(start_server: StartServer, connect: Connects) -> None:
    running = start_server()
    root = connect(running).root
    echo, twin, named = root.echo, root.echo, root.named
    assert echo == twin
    assert echo != named
    assert (echo == 1, root == echo, echo != root, echo != twin) == (False, False, True, False)
    assert {echo: 1, named: 2, root: 3}[twin] == 1
    assert echo in [root, named, twin]
    assert echo != connect(running).root.echo


def test_help(start_server: StartServer, connect: Connects) -> None:
    root = connect(start_server()).root
    told = pydoc.plain(pydoc.render_doc(root.echo))
    assert "echo(...)" in told
    assert pydoc.render_doc(root)


def test_completion(start_server: StartServer, connect: Connects) -> None:
    connection = connect(start_server())
    completer = rlcompleter.Completer({"conn": connection})
    found = [completer.complete("conn.root.", number) for number in range(4)]
    assert found == ["conn.root.echo(", "conn.root.named(", "conn.root.shapes(", None]
    assert completer.complete("conn.root.na", 0) == "conn.root.named("


def test_a_client_of_rpyc_5_is_told_why(
    start_server: StartServer, ended: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """Up to RPyC 5, a message is one triple; in RPyC 6 its kind is apart."""
    caplog.set_level(logging.DEBUG, "rollcall.transport")
    peer = RawPeer(start_server().address)
    ended.callback(peer.sock.close)
    get_root = (consts.HANDLE_GETROOT, (consts.LABEL_TUPLE, ()))
    peer.ask(brine.dump((consts.MSG_REQUEST, 7, get_root)))
    told = peer.rest()
    kind, seq, error = brine.load(told[HEADER.size : -1])
    assert (kind, seq) == (consts.MSG_EXCEPTION, 7)
    assert error[:2] == (("rollcall", "VersionMismatch"), (OLD_CLIENT,))
    poll_for(lambda: "dropped: the peer uses RPyC 5 or older" in caplog.text)


@pytest.mark.parametrize(
    "said",
    [(consts.MSG_REPLY, 1, ()), (consts.MSG_REQUEST, "1", ()), (consts.MSG_REQUEST, True, ())],
)
def test_what_only_looks_like_rpyc_5_is_not_answered(
    start_server: StartServer, ended: ExitStack, said: tuple[object, ...]
) -> None:
    running = start_server()
    peer = RawPeer(running.address)
    ended.callback(peer.sock.close)
    peer.ask(brine.dump(said))
    assert peer.rest() == b""
    assert serves(running)


# -- what goes wrong -----------------------------------------------------------------------


def test_what_a_verb_raises_is_not_told(
    start_server: StartServer, connect: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("a secret of ours")

    connection = connect(start_server({"fail": fail}))
    told = defect(connection.root.fail)
    assert told == "ValueError; the log of the process that answered has more"
    assert "a secret of ours" in caplog.text
    assert connection.root.echo(1) == (1,)


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration])
def test_a_verb_ends_neither_process(
    start_server: StartServer, connect: Connects, end: type[BaseException]
) -> None:
    def leave() -> None:
        raise end

    root = connect(start_server({"leave": leave})).root
    assert end.__name__ in defect(root.leave)
    assert root.echo(1) == (1,)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param(10**4300, id="a huge integer"),
        pytest.param([1], id="a list"),
        pytest.param(Utf8, id="a class"),
    ],
)
def test_a_reply_that_cannot_cross_costs_one_call(
    start_server: StartServer, connect: Connects, answer: object
) -> None:
    root = connect(start_server({"odd": lambda: answer})).root
    assert "Error" in defect(root.odd)
    assert root.echo(1) == (1,)


def test_a_reply_too_large_costs_one_call(start_server: StartServer, connect: Connects) -> None:
    running = start_server({"big": lambda: bytes(1001)}, limits=Limits(frame_reply=1000))
    root = connect(running).root
    assert "OverflowError" in defect(root.big)
    assert root.echo(1) == (1,)


def test_arguments_that_do_not_fit_are_the_callers_mistake(
    start_server: StartServer, connect: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect(start_server())
    root = connection.root
    for ask in (
        root.named,
        lambda: root.named(1, 2),
        lambda: root.named(1, third=3),
        lambda: connection.sync_request(consts.HANDLE_CALL, root.echo, "text", ()),
        lambda: connection.sync_request(consts.HANDLE_CALL, root.echo, (), "text"),
        lambda: connection.sync_request(consts.HANDLE_CALL, root.echo),
        lambda: connection.sync_request(consts.HANDLE_PING),
    ):
        with pytest.raises(TypeError):
            ask()
    assert root.echo(1) == (1,)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_hanging_up_ends_one_connection(start_server: StartServer, connect: Connects) -> None:
    running = start_server()
    first = connect(running)
    first.root.echo()  # so that its service is the first, however busy the machine
    second = connect(running)
    second.root.echo()
    service = running.services[0]
    service.connection.abort()
    service.connection.abort()
    poll_for(lambda: running.server.connections == 1)
    with pytest.raises(EOFError):
        first.root.echo()
    assert service.closed == 1
    third = connect(running)  # it may well have the descriptor of the first
    assert third.root.echo(3) == (3,)
    service.connection.abort()
    assert third.root.echo(3) == (3,)
    assert second.root.echo(2) == (2,)


class RefusingService(RecordingService):
    def on_open(self, peer: object) -> None:
        self.connection.abort()


def test_hanging_up_at_once(start_server: StartServer, connect: Connects) -> None:
    running = start_server(kind=RefusingService)
    with pytest.raises(EOFError):
        connect(running).root.echo()
    poll_for(lambda: running.server.connections == 0)
    assert running.services[0].closed == 1


class FailingService(RecordingService):
    def on_open(self, peer: object) -> None:
        raise RuntimeError("cannot open")

    def on_close(self) -> None:
        super().on_close()
        raise RuntimeError("cannot close")


def test_a_service_that_fails_is_logged_and_ends(
    start_server: StartServer, connect: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    running = start_server(kind=FailingService)
    with pytest.raises(EOFError):
        connect(running).root.echo()
    poll_for(lambda: running.server.connections == 0)
    assert running.services[0].closed == 1
    assert "cannot open" in caplog.text
    assert "cannot close" in caplog.text
