"""The real library's client works against our server, unchanged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import rpyc
from hypothesis import given, settings
from hypothesis import strategies as st
from rpyc.core import consts

from nodes.transport import Limits, Utf8
from tests.kit import poll_for
from tests.transport.conftest import Opens
from tests.transport.kit import Desk, Office, defect, values

Connects = Callable[[Office], Any]


def test_a_verb_is_called_in_one_line(open_office: Opens, connect: Connects) -> None:
    assert connect(open_office()).root.echo(1, "two", b"three") == (1, "two", b"three")


def test_a_kept_verb_is_called_again_and_again(open_office: Opens, connect: Connects) -> None:
    kept = connect(open_office()).root.echo
    assert [kept(n) for n in range(50)] == [(n,) for n in range(50)]


def test_values_come_back_as_they_went(open_office: Opens, connect: Connects) -> None:
    kept = connect(open_office()).root.echo

    @settings(max_examples=50)
    @given(st.lists(values, max_size=4).map(tuple))
    def check(sent: tuple[object, ...]) -> None:
        assert kept(*sent) == sent

    check()


def test_arguments_by_name(open_office: Opens, connect: Connects) -> None:
    root = connect(open_office()).root
    assert root.named(1, second="é") == (1, "é")
    assert root.named(first=2) == (2, None)


def test_finished_text_arrives_as_str(open_office: Opens, connect: Connects) -> None:
    root = connect(open_office({"text": lambda: Utf8('{"é": 1}'.encode())})).root
    assert root.text() == '{"é": 1}'
    assert type(root.text()) is str


def test_a_large_request_is_compressed_on_its_way(open_office: Opens, connect: Connects) -> None:
    text = "abc" * 300_000
    assert connect(open_office()).root.echo(text) == (text,)


def test_calls_without_waiting(open_office: Opens, connect: Connects) -> None:
    later = rpyc.async_(connect(open_office()).root.echo)
    asked = [later(n) for n in range(20)]
    assert [answer.value for answer in reversed(asked)] == [(n,) for n in reversed(range(20))]


def test_calls_inside_calls(open_office: Opens, connect: Connects) -> None:
    root = connect(open_office()).root
    assert root.echo(root.echo(root.echo(1))) == (((1,),),)


def test_threads_share_one_connection(open_office: Opens, connect: Connects) -> None:
    kept = connect(open_office()).root.echo
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(kept, range(200))) == [(n,) for n in range(200)]


def test_connections_do_not_wait_for_each_other(open_office: Opens, connect: Connects) -> None:
    go = threading.Event()
    office = open_office({"wait": lambda: go.wait(10)})
    waiting = rpyc.async_(connect(office).root.wait)()
    assert connect(office).root.echo("meanwhile") == ("meanwhile",)
    go.set()
    assert waiting.value is True


def test_ping(open_office: Opens, connect: Connects) -> None:
    connection = connect(open_office())
    connection.ping()
    connection.ping("x" * 10_000)
    assert not connection.closed


def test_goodbye_is_heard_once(open_office: Opens, connect: Connects) -> None:
    office = open_office()
    connection = connect(office)
    connection.root.echo()
    host, port = connection._channel.stream.sock.getsockname()
    connection.close()
    poll_for(lambda: office.server.connections == 0)
    (desk,) = office.desks
    assert [(peer.host, peer.port) for peer in desk.opened] == [(host, port)]
    assert desk.closed == 1


def test_what_a_verb_raises_is_not_told(
    open_office: Opens, connect: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("a secret of ours")

    connection = connect(open_office({"fail": fail}))
    told = defect(connection.root.fail)
    assert told == "ValueError; the log of the process that answered has more"
    assert "a secret of ours" in caplog.text
    assert connection.root.echo(1) == (1,)


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration])
def test_a_verb_ends_neither_process(
    open_office: Opens, connect: Connects, end: type[BaseException]
) -> None:
    def leave() -> None:
        raise end

    root = connect(open_office({"leave": leave})).root
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
    open_office: Opens, connect: Connects, answer: object
) -> None:
    root = connect(open_office({"odd": lambda: answer})).root
    assert "Error" in defect(root.odd)
    assert root.echo(1) == (1,)


def test_a_reply_too_large_costs_one_call(open_office: Opens, connect: Connects) -> None:
    office = open_office({"big": lambda: bytes(1001)}, limits=Limits(frame_reply=1000))
    root = connect(office).root
    assert "OverflowError" in defect(root.big)
    assert root.echo(1) == (1,)


def test_arguments_that_do_not_fit_are_the_callers_mistake(
    open_office: Opens, connect: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect(open_office())
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


def test_hanging_up_ends_one_connection(open_office: Opens, connect: Connects) -> None:
    office = open_office()
    first = connect(office)
    first.root.echo()  # so that its desk is the first, however busy the machine
    second = connect(office)
    second.root.echo()
    desk = office.desks[0]
    desk.hang_up()
    desk.hang_up()
    poll_for(lambda: office.server.connections == 1)
    with pytest.raises(EOFError):
        first.root.echo()
    assert desk.closed == 1
    third = connect(office)  # it may well have the descriptor of the first
    assert third.root.echo(3) == (3,)
    desk.hang_up()
    assert third.root.echo(3) == (3,)
    assert second.root.echo(2) == (2,)


class Unwilling(Desk):
    def on_open(self, peer: object) -> None:
        self.hang_up()


def test_hanging_up_at_once(open_office: Opens, connect: Connects) -> None:
    office = open_office(kind=Unwilling)
    with pytest.raises(EOFError):
        connect(office).root.echo()
    poll_for(lambda: office.server.connections == 0)
    assert office.desks[0].closed == 1


class MalformedError(Desk):
    def on_open(self, peer: object) -> None:
        raise RuntimeError("cannot open")

    def on_close(self) -> None:
        super().on_close()
        raise RuntimeError("cannot close")


def test_a_desk_that_fails_is_logged_and_ends(
    open_office: Opens, connect: Connects, caplog: pytest.LogCaptureFixture
) -> None:
    office = open_office(kind=MalformedError)
    with pytest.raises(EOFError):
        connect(office).root.echo()
    poll_for(lambda: office.server.connections == 0)
    assert office.desks[0].closed == 1
    assert "cannot open" in caplog.text
    assert "cannot close" in caplog.text
