"""What a launcher, its side process and the keepers on Ray's nodes say to each other.

A launcher's orders to a keeper are numbered, and so are a keeper's reports: each side keeps what
the other has not confirmed, and passes over what it had. So neither is lost nor done twice, however
often the side process between them is started anew.
"""

from __future__ import annotations

import msgspec

from nodes.fleet.keeper.messages import Signal, Start, Tell, WorkerReport
from nodes.support.structs import ready

NO_ANSWER = "Ray does not answer: is its head there, and this machine's node?"

Action = Start | Signal | Tell


@ready
class Order(msgspec.Struct, frozen=True):
    """What a keeper is to do."""

    number: int
    action: Action


@ready
class Report(msgspec.Struct, frozen=True):
    """What a keeper tells."""

    number: int
    what: WorkerReport


@ready
class Join(msgspec.Struct, frozen=True, tag="join"):
    """Join the Ray cluster, end what an earlier launcher left there, keep a keeper on each node.

    Attributes:
        address: HOST:PORT of Ray's head; "auto" for that of this machine's node.
        master: the master's address; keepers of one master are named by it. Where it listens on
            all of its machine's, workers are told that of this machine's node.
        owner: this launcher, as no other is called.
        node: address of the node to join by, where several run on this machine; "" for any.
        open_allowed: whether a Ray cluster may be used that asks nobody for a token.
    """

    address: str
    node: str
    master: str
    owner: str
    open_allowed: bool


@ready
class Follow(msgspec.Struct, frozen=True, tag="follow"):
    """Have that keeper report what comes after the report of that number."""

    keeper: str
    seen: int


@ready
class Send(msgspec.Struct, frozen=True, tag="send"):
    """Give that keeper an order."""

    keeper: str
    order: Order


@ready
class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """End all keepers, and then this process."""


@ready
class Joined(msgspec.Struct, frozen=True, tag="joined"):
    """The Ray cluster can be asked; `here` is the address of this machine's node."""

    here: str


@ready
class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The Ray cluster cannot be asked, and why; the side process ends."""

    why: str


@ready
class RayNode(msgspec.Struct, frozen=True):
    """A node of a Ray cluster.

    Attributes:
        id: Ray's own; one that is started anew has another.
        name: what people call it, the same when it is started anew.
        address: where it is reached.
        room: workers that it takes at most.
        declares_room: whether that is what it says itself, and not its number of CPUs.
    """

    id: str
    name: str
    address: str
    room: int
    declares_room: bool = False


@ready
class NodesSeen(msgspec.Struct, frozen=True, tag="nodes"):
    """All nodes that are alive now."""

    nodes: tuple[RayNode, ...]


@ready
class KeeperFound(msgspec.Struct, frozen=True, tag="found"):
    """A keeper is on that node."""

    keeper: str
    node: str


@ready
class KeeperMissing(msgspec.Struct, frozen=True, tag="missing"):
    """No keeper can be had on that node for now, and why."""

    node: str
    why: str


@ready
class KeeperGone(msgspec.Struct, frozen=True, tag="gone"):
    """A keeper is no more, or cannot be reached: so are its workers, as far as can be told."""

    keeper: str
    why: str


@ready
class Obeyed(msgspec.Struct, frozen=True, tag="obeyed"):
    """A keeper did what it was ordered, up to that number."""

    keeper: str
    number: int


@ready
class Reported(msgspec.Struct, frozen=True, tag="reported"):
    """What a keeper told."""

    keeper: str
    reports: tuple[Report, ...]


Request = Join | Follow | Send | Leave
"""From the launcher to the side process."""

Reply = Joined | Refused | NodesSeen | KeeperFound | KeeperMissing | KeeperGone | Obeyed | Reported
"""From the side process to the launcher."""


encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
decode_orders = msgspec.msgpack.Decoder(tuple[Order, ...]).decode
decode_reports = msgspec.msgpack.Decoder(tuple[Report, ...]).decode
