"""The side process as its launcher sees it; small programs in its place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from nodes.fleet.ray.messages import Follow, Join, Joined, KeeperFound, Reply
from nodes.fleet.ray.side_process import SideProcess
from tests.kit import poll_for

FIRST = Join("head:6379", "", "127.0.0.1:23000", "owner", open_allowed=False)

PRELUDE = """
import os, sys
from nodes.fleet.keeper.messages import *
from nodes.fleet.ray.messages import *
say = lambda message: write_frame(sys.stdout.buffer, message)
first = decode_request(read_frame(sys.stdin.buffer))
"""
JOINS = (
    PRELUDE
    + """
say(Joined("10.0.0.1"))
say(KeeperFound(str(os.getpid()), first.owner))
while frame := read_frame(sys.stdin.buffer):
    request = decode_request(frame)
    if isinstance(request, Leave): break
    say(KeeperGone(request.keeper, str(request.seen)))
"""
)
REFUSES = PRELUDE + "say(Refused('there is no token'))"
CRASHES = PRELUDE + "os.write(2, b'oh no'); os.abort()"
BABBLES = PRELUDE + "sys.stdout.write('hello, world'); sys.stdout.flush(); sys.stdin.read()"
GARBLES = PRELUDE + "os.write(1, bytes([0, 0, 0, 1, 0xC1])); sys.stdin.read()"
DEAF = PRELUDE + "import time; time.sleep(600)"


class Heard:
    """What a side process said, and the process."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.ended = 0

    def take(self, reply: Reply) -> None:
        self.replies.append(reply)

    def note_end(self) -> None:
        self.ended += 1

    def pids(self) -> list[int]:
        return [int(one.keeper) for one in self.replies if isinstance(one, KeeperFound)]


@contextmanager
def side(program: str, tmp_path: Path) -> Iterator[tuple[SideProcess, Heard]]:
    heard = Heard()
    command = (sys.executable, "-c", program)
    log = tmp_path / "ray.log"
    process = SideProcess(
        FIRST,
        heard.take,
        ended=heard.note_end,
        log=log,
        command=command,
        leave_within_s=2.0,
    )
    process.start()
    try:
        yield process, heard
    finally:
        process.close()
    assert not psutil.Process().children()


def test_it_is_told_and_says(tmp_path: Path) -> None:
    with side(JOINS, tmp_path) as (process, heard):
        assert process.settled.wait(20)
        assert process.unreachable == process.refusal == ""
        poll_for(lambda: len(heard.replies) == 2)
        process.send(Follow("k", 7))
        poll_for(lambda: len(heard.replies) == 3)
        joined, found, answered = heard.replies
        assert isinstance(joined, Joined)
        assert isinstance(found, KeeperFound)
        assert found.node == "owner"
        assert "7" in repr(answered)


def test_one_that_ends_is_followed_by_another_and_nobody_need_know(tmp_path: Path) -> None:
    with side(JOINS, tmp_path) as (process, heard):
        poll_for(lambda: len(heard.pids()) == 1)
        psutil.Process(heard.pids()[0]).kill()
        poll_for(lambda: len(heard.pids()) == 2)
        assert heard.ended == 1
        assert process.unreachable == ""


def test_a_refusal_is_told(tmp_path: Path) -> None:
    with side(REFUSES, tmp_path) as (process, _):
        assert process.settled.wait(20)
        assert process.refusal == "there is no token"


def test_one_that_crashes_or_babbles_is_told_of_and_leaves_its_words(tmp_path: Path) -> None:
    for program in (CRASHES, BABBLES, GARBLES):
        with side(program, tmp_path) as (process, _):
            assert process.settled.wait(20)
            assert "its log says why" in process.refusal
    assert b"oh no" in (tmp_path / "ray.log").read_bytes()


def test_one_that_does_not_listen_is_ended(tmp_path: Path) -> None:
    with side(DEAF, tmp_path) as (process, _):
        assert process.unreachable == ""
