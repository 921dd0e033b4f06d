"""The side process: `python -m nodes.fleet.ray.side` speaks to Ray for a launcher.

It is a process of its own because Ray ends a process that joined it when its head is gone for
long, or is back without its memory. Nothing is lost with it: both ends of its way remember.
"""

from __future__ import annotations

import contextlib
import os
import queue
import resource
import socket
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

import msgspec

from nodes.fleet.keeper.messages import own_stdout, read_frame, write_frame
from nodes.fleet.ray.following import FollowedKeeper, Upward
from nodes.fleet.ray.joining import NotJoinedError, join
from nodes.fleet.ray.keeper import Keeper
from nodes.fleet.ray.messages import (
    NO_ANSWER,
    Follow,
    Join,
    Joined,
    Leave,
    NodesSeen,
    RayNode,
    Refused,
    Request,
    Send,
    decode_request,
)
from nodes.fleet.ray.node_table import ROOM_RESOURCE, alive_nodes
from nodes.support.addresses import Address, parse_address
from nodes.support.listening import is_wildcard

LOOK_EVERY_S = 0.5
"""Seconds between two looks at Ray's nodes."""

TELL_EVERY_S = 60.0
"""Seconds after which the launcher is told of the same nodes again: time passes for it."""

KEEPER_AGAIN_AFTER_S = 3.0
"""Seconds after which a node that lost its keeper, or could not have one, is given another."""

HELD_ROOM = 0.001
"""What a keeper holds of a room that its node declares, so that no autoscaler thinks it idle."""

JOIN_WITHIN_S = 30.0
"""Seconds to join Ray before this process gives up; its launcher starts another."""

END_WITHIN_S = 3.0
"""Seconds for the keepers to end."""


class Replies:
    """The pipe to the launcher, for many threads."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def __call__(self, message: msgspec.Struct) -> None:
        """Sends a message; that the launcher is gone, standard input tells."""
        with self._lock, contextlib.suppress(OSError):
            write_frame(self._pipe, message)


class Side:
    """The keepers of one launcher: found or made anew, one on each node.

    Args:
        ray: the module, joined.
        wanted: what the launcher asked for.
        reply: sends it a message.

    Attributes:
        here: the address of this machine's node.
    """

    def __init__(self, ray: Any, wanted: Join, reply: Upward) -> None:
        self._ray = ray
        self.here: str = ray.util.get_node_ip_address()
        self._wanted = wanted
        self._reply = reply
        self._lock = threading.Lock()
        self._keepers: dict[str, FollowedKeeper] = {}
        """Those that are there or to come, by Ray's id of their node."""
        self._not_before: dict[str, float] = {}
        """When a node that lost its keeper is to have another."""
        # With this machine's name: others may have a master at the same loopback address.
        self._prefix = f"keeper/{socket.gethostname()}/{wanted.master}/"
        host, port = parse_address(wanted.master)
        self._master = str(Address(self.here if is_wildcard(host) else host, port))

    def start(self) -> None:
        """Ends the keepers that an earlier launcher left, and begins to look after nodes."""
        for name in self._ray.util.list_named_actors():
            if name.startswith(self._prefix) and self._wanted.owner not in name:
                with contextlib.suppress(ValueError):  # it is gone by now
                    self._ray.kill(self._ray.get_actor(name))
        threading.Thread(target=self._look_after_nodes, name="nodes", daemon=True).start()

    def take(self, request: Follow | Send) -> None:
        """Does what concerns one keeper; nothing if it is gone."""
        with self._lock:
            keepers = {keeper.id: keeper for keeper in self._keepers.values()}
        keeper = keepers.get(request.keeper)
        if keeper is None:
            return
        if isinstance(request, Follow):
            keeper.follow(request.seen)
        else:
            keeper.send(request.order)

    def end(self) -> None:
        """Ends every keeper, as far as each can be reached."""
        with self._lock:
            ends = [keeper.end() for keeper in self._keepers.values()]
        if ends:
            self._ray.wait(ends, num_returns=len(ends), timeout=END_WITHIN_S)

    def _look_after_nodes(self) -> None:
        """The thread that looks after nodes. While Ray's head is gone, it waits for it."""
        told: tuple[RayNode, ...] | None = None
        told_at = 0.0
        while True:
            nodes = alive_nodes(self._ray.nodes())
            if nodes != told or time.monotonic() - told_at > TELL_EVERY_S:
                self._reply(NodesSeen(nodes))
                told, told_at = nodes, time.monotonic()
            self._place_keepers(nodes)
            time.sleep(LOOK_EVERY_S)

    def _place_keepers(self, nodes: tuple[RayNode, ...]) -> None:
        now = time.monotonic()
        with self._lock:
            for node_id, keeper in list(self._keepers.items()):
                if keeper.gone:
                    del self._keepers[node_id]
                    self._not_before[node_id] = now + KEEPER_AGAIN_AFTER_S
        for node in nodes:
            if node.id not in self._keepers and self._not_before.get(node.id, 0.0) <= now:
                keeper = self._place_keeper(node)
                with self._lock:
                    self._keepers[node.id] = keeper

    def _place_keeper(self, node: RayNode) -> FollowedKeeper:
        """The keeper of that node, the one that is there or else a new one."""
        affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        handle = (
            self._ray.remote(Keeper)
            .options(
                name=f"{self._prefix}{self._wanted.owner}/{node.id}",
                get_if_exists=True,
                lifetime="detached",
                max_restarts=0,
                num_cpus=0,
                resources={ROOM_RESOURCE: HELD_ROOM} if node.declares_room else None,
                # Hard: a soft one is passed over by Ray for what needs no resources.
                scheduling_strategy=affinity(node.id, soft=False),
            )
            .remote(self._master)
        )
        return FollowedKeeper(self._ray, handle, node.id, self._reply)


class _Requests:
    """Standard input, read by a thread of its own: its end is the launcher's, whatever this
    process is busy with.

    Args:
        joined: set once there are keepers to end before this process ends.
    """

    def __init__(self, joined: threading.Event) -> None:
        self._joined = joined
        self._queue: queue.SimpleQueue[Request] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def next(self) -> Request:
        """The next, when it comes."""
        return self._queue.get()

    def _read(self) -> None:
        while frame := read_frame(sys.stdin.buffer):
            request = decode_request(frame)
            if isinstance(request, Leave):
                break
            self._queue.put(request)
        if not self._joined.is_set():
            os._exit(0)
        self._queue.put(Leave())


def _give_up(reply: Upward, joined: threading.Event) -> None:
    """Ends this process if it cannot join: Ray itself would wait for its head for ever."""
    if not joined.wait(JOIN_WITHIN_S):
        reply(Refused(NO_ANSWER))
        os._exit(1)


def _end_with(uncaught: threading.ExceptHookArgs) -> None:
    """Ends this process where one of its threads ended: its launcher starts another."""
    traceback.print_exception(uncaught.exc_type, uncaught.exc_value, uncaught.exc_traceback)
    sys.stderr.flush()
    os._exit(1)


def main() -> None:
    """Runs until the launcher says so, or is gone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # Ray aborts where others raise
    threading.excepthook = _end_with
    reply = Replies(own_stdout())
    joined = threading.Event()
    requests = _Requests(joined)
    first = requests.next()
    assert isinstance(first, Join)  # noqa: S101 - its launcher is our own code
    threading.Thread(target=_give_up, args=(reply, joined), daemon=True).start()
    try:
        side = Side(join(first), first, reply)
    except NotJoinedError as error:
        reply(Refused(str(error)))
        return
    joined.set()
    reply(Joined(side.here))
    side.start()
    while not isinstance(request := requests.next(), Leave):
        if isinstance(request, Follow | Send):
            side.take(request)
    side.end()
    os._exit(0)  # Ray's own end waits for its head, which may be gone


if __name__ == "__main__":
    main()
