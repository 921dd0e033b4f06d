"""What there is of Ray without Ray: addresses, the table of nodes, the pipe's frames."""

from __future__ import annotations

import io
from typing import Any

import pytest

from nodes.errors import BadRequest
from nodes.fleet.keeper.messages import (
    MAX_FRAME_BYTES,
    BadFrameError,
    Start,
    read_frame,
    write_frame,
)
from nodes.fleet.ray.engine import Engine, parse_engine
from nodes.fleet.ray.messages import (
    Join,
    NodesSeen,
    Order,
    RayNode,
    Send,
    decode_reply,
    decode_request,
)
from nodes.fleet.ray.node_table import alive_nodes


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        ("ray://10.0.0.1:6379", Engine("10.0.0.1:6379")),
        ("ray://head:7000/", Engine("head:7000")),
        ("ray://[::1]:6379", Engine("[::1]:6379")),
        ("ray://auto", Engine("auto")),
        ("ray://auto?tls=/etc/tls", Engine("auto", "", "/etc/tls")),
        ("ray://127.0.0.2:6379?node=127.0.0.3", Engine("127.0.0.2:6379", "127.0.0.3")),
    ],
)
def test_an_engine_is_named_by_its_head(text: str, engine: Engine) -> None:
    assert parse_engine(text) == engine


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.0.0.1:6379", "ray://HOST:PORT"),
        ("ray://", "ray://HOST:PORT"),
        ("dask://10.0.0.1:6379", "ray://HOST:PORT"),
        ("ray://head:6379/some/path", "ray://HOST:PORT"),
        ("ray://head:10001", "Ray's client"),
        ("ray://head:port", "HOST:PORT"),
        ("ray://head:6379?token=1", "there are"),
    ],
)
def test_what_is_no_engine_is_refused_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        parse_engine(text)


AT = "10.0.0.1"


def node(node_id: str, *, alive: bool = True, name: str = "", **resources: float) -> dict[str, Any]:
    return {
        "NodeID": node_id,
        "Alive": alive,
        "NodeName": name,
        "NodeManagerAddress": AT,
        "Resources": resources,
    }


@pytest.mark.parametrize(
    ("table", "seen"),
    [
        ([], ()),
        ([node("a", CPU=4.0)], (RayNode("a", "10.0.0.1", AT, 4),)),
        (
            [node("a", name="big", CPU=4.0, rollcall=9.0)],
            (RayNode("a", "big", AT, 9, declares_room=True),),
        ),
        ([node("a", CPU=4.0, rollcall=0.0), node("b", memory=1.0), node("c")], ()),
        ([node("a", CPU=4.0, alive=False)], ()),
        (
            [node("b2345678", name="n", CPU=1.0), node("a2345678", name="n", CPU=2.0)],
            (RayNode("a2345678", "n", AT, 2), RayNode("b2345678", "n", AT, 1)),
        ),
        (
            [node("old", name="n", CPU=1.0, alive=False), node("new", name="n", CPU=1.0)],
            (RayNode("new", "n", AT, 1),),
        ),
    ],
    ids=["none", "CPUs", "declared", "no room", "dead", "same name", "started anew"],
)
def test_nodes_that_are_alive_and_have_room_are_machines(
    table: list[dict[str, Any]], seen: tuple[RayNode, ...]
) -> None:
    assert alive_nodes(table) == seen


def test_messages_cross_the_pipe_one_by_one() -> None:
    pipe = io.BytesIO()
    requests = [
        Join("head:6379", "", "127.0.0.1:23000", "owner", open_allowed=False),
        Send("k1", Order(1, Start(1, ("worker", "--id", "w1"), b"\x00secret"))),
    ]
    for request in requests:
        write_frame(pipe, request)
    write_frame(pipe, NodesSeen((RayNode("a", "n", AT, 1),)))
    pipe.seek(0)
    assert [decode_request(read_frame(pipe)) for _ in requests] == requests
    assert decode_reply(read_frame(pipe)) == NodesSeen((RayNode("a", "n", AT, 1),))
    assert read_frame(pipe) == b""


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_message_that_is_cut_off_is_none(cut: int) -> None:
    pipe = io.BytesIO()
    write_frame(pipe, NodesSeen((RayNode("a", "n", AT, 1),)))
    assert read_frame(io.BytesIO(pipe.getvalue()[:-cut])) == b""


@pytest.mark.parametrize("length", [0, MAX_FRAME_BYTES + 1, 0xFFFFFFFF])
def test_what_is_no_message_is_not_read(length: int) -> None:
    with pytest.raises(BadFrameError):
        read_frame(io.BytesIO(length.to_bytes(4, "big") + b"x"))


def test_a_message_that_nobody_would_read_is_not_written() -> None:
    pipe = io.BytesIO()
    with pytest.raises(ValueError, match="too large"):
        write_frame(pipe, Send("k", Order(1, Start(1, (), bytes(MAX_FRAME_BYTES)))))
    assert pipe.getvalue() == b""
