"""The fast path of a call: over a connection at rest, with texts, answered by one whole frame.

What nearly every lookup of a blocking client is. It does what `LanePool.take`, `Lane.call` and
`LanePool.give` do for all that there can be: in a process that has just been woken each function
costs about a microsecond, and those are fifteen.
"""

from __future__ import annotations

import time
from socket import MSG_DONTWAIT
from typing import TYPE_CHECKING

from nodes.transport import brine, messages
from nodes.transport.errors import RemoteFailure
from nodes.transport.frames import HEADER, TRAILER, MalformedError
from nodes.transport.messages import (
    BY_VALUE,
    LAST_SEQUENCE,
    NO_KEYWORDS,
    REPLY,
    REQUEST,
    TEXT_HEADS,
    TUPLES,
)
from nodes.transport.stream import CHUNK_BYTES

if TYPE_CHECKING:
    from nodes.transport.pool import LanePool
    from nodes.transport.values import Value

_ONE_BYTE = messages.NUMBERS[0][0]
"""How 0 is encoded; sequence numbers follow it."""

_REQUEST_BYTES = len(messages.REQUEST) + 1
_NUMBER_AT = HEADER.size + len(messages.REPLY)
_VALUE_AT = _NUMBER_AT + 1 + len(messages.BY_VALUE)
_TEXT: int = brine.TAG_UNICODE[0]
_SIZE_BYTES: dict[int, int] = {brine.TAG_STR_L1[0]: 1, brine.TAG_STR_L4[0]: 4}
_END: int = TRAILER[0]


def fast_call(pool: LanePool, verb: str, args: tuple[Value, ...], timeout: float) -> Value:
    """Calls a verb over a lane at rest.

    Args:
        pool: of the lanes.
        verb, args, timeout: as for `Lane.call`.

    Returns:
        The call's value; None, and nothing was sent, if this is no case for the fast path.

    Raises:
        CallTimeout, LinkLost, RemoteFailure: as `Lane.call`.
    """
    if len(args) >= len(TUPLES):
        return None
    parts = [b"", TUPLES[len(args)]]
    for arg in args:
        if type(arg) is not str or len(text := arg.encode()) >= len(TEXT_HEADS):
            return None
        parts += (TEXT_HEADS[len(text)], text)
    parts.append(NO_KEYWORDS)
    try:
        lane = pool.idle.pop()
    except IndexError:
        return None
    caller, stream, now = lane.caller, lane.stream, time.monotonic()
    parts[0] = caller.heads.get(verb, b"")
    body = b"".join(parts)
    if not (
        parts[0]
        and pool.broke_at < lane.used_at > now - pool.fresh_s
        and stream.shortest_s <= timeout <= stream.longest_s
        and len(body) <= caller.max_arguments_bytes
        and not lane.encrypted
    ):
        pool.idle.append(lane)
        return None
    caller.seq = number = caller.seq % LAST_SEQUENCE + 1
    header = HEADER.pack(_REQUEST_BYTES + len(body), 0)
    request = b"%b%b%c%b\n" % (header, REQUEST, _ONE_BYTE + number, body)
    lane.idle = False
    try:
        if lane.sock.send(request, MSG_DONTWAIT) < len(request):
            raise BrokenPipeError("a connection at rest takes no request")
        try:
            data = lane.sock.recv(CHUNK_BYTES)
        except BlockingIOError:  # the kernel's time may be up a little early
            data = stream.read(now + timeout)
        value: Value = _whole_value(data, number) if len(data) <= lane.max_reply_bytes else None
        if value is None:
            caller.verb = verb
            value = lane.receive(data, now + timeout)
        lane.idle = not lane.closed
    except RemoteFailure:
        lane.idle = not lane.closed
        raise
    except (TimeoutError, MalformedError, EOFError, OSError) as error:
        raise lane.ended(error, timeout) from error
    except BaseException:
        lane.close()
        raise
    finally:
        pool.give(lane)
    return value


def _whole_value(data: bytes, number: int) -> bytes | str | None:
    """The value in a read that is one plain frame and nothing else, and in it a reply by value
    to the request of that number, with bytes or text. None if it is anything else.

    Raises:
        MalformedError: the value is none.
    """
    end = len(data) - 1
    if (
        end <= _VALUE_AT + 1
        or data[_NUMBER_AT] != _ONE_BYTE + number
        or not data.startswith(REPLY, HEADER.size)
        or not data.startswith(BY_VALUE, _NUMBER_AT + 1)
    ):
        return None
    text = data[_VALUE_AT] == _TEXT
    at = _VALUE_AT + text
    size_bytes = _SIZE_BYTES.get(data[at])
    if size_bytes is None or data[4] or data[end] != _END:
        return None
    start = at + 1 + size_bytes
    if (
        int.from_bytes(data[:4]) != end - HEADER.size
        or int.from_bytes(data[at + 1 : start]) != end - start
    ):
        return None
    if not text:
        return data[start:end]
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise MalformedError("not a message: no text") from error
