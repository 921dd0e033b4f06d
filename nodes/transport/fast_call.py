"""The fast path of a call: over a connection at rest, with texts, answered by one whole frame.

What nearly every lookup of a blocking client is. It does what `LanePool.take`, `Lane.call` and
`LanePool.give` do for all that there can be: in a process that has just been woken each function
costs about a microsecond, and those are fifteen.
"""

from __future__ import annotations

from socket import MSG_DONTWAIT
from typing import TYPE_CHECKING

from nodes.transport import brine, messages
from nodes.transport.errors import RemoteFailure
from nodes.transport.frames import HEADER, NEWLINE, TRAILER, MalformedError
from nodes.transport.messages import (
    LAST_SEQUENCE,
    NO_KEYWORDS,
    ONE_BYTE_SEQUENCES,
    TEXT_HEADS,
    TUPLES,
)

if TYPE_CHECKING:
    from nodes.transport.pool import LanePool
    from nodes.transport.values import Value

_NUMBERS = tuple(brine.dump(number) for number in range(ONE_BYTE_SEQUENCES))
_REQUESTS = tuple(messages.REQUEST + number for number in _NUMBERS)
"""How requests begin, by their numbers."""
_REPLIES = tuple(messages.REPLY + number + messages.BY_VALUE for number in _NUMBERS)
"""How the replies to them begin that are by value."""
_REST = NO_KEYWORDS + TRAILER
_VALUE_AT = HEADER.size + len(_REPLIES[0])
_TEXT: int = brine.TAG_UNICODE[0]
_SHORT: int = brine.TAG_STR_L1[0]
_LONG: int = brine.TAG_STR_L4[0]

pack_header, unpack_header = HEADER.pack, HEADER.unpack_from


def fast_call(
    pool: LanePool, verb: str, args: tuple[Value, ...], timeout: float, now: float
) -> Value:
    """Calls a verb over a lane at rest.

    Args:
        pool: of the lanes.
        verb, args, timeout: as for `Lane.call`.
        now: monotonic, seconds.

    Returns:
        The call's value; None, and nothing was sent, if this is no case for the fast path.

    Raises:
        CallTimeout, LinkLost, RemoteFailure: as `Lane.call`.
    """
    if len(args) >= len(TUPLES):
        return None
    parts = [b"", b"", TUPLES[len(args)]]
    for arg in args:
        if type(arg) is not str or len(text := arg.encode()) >= len(TEXT_HEADS):
            return None
        parts += (TEXT_HEADS[len(text)], text)
    parts.append(_REST)
    try:
        lane = pool.idle.pop()
    except IndexError:
        return None
    stream, head = lane.stream, lane.heads.get(verb)
    if (
        head is None
        or not pool.broke_at < lane.used_at > now - pool.fresh_s
        or not stream.shortest_s <= timeout <= stream.longest_s
    ):
        pool.idle.append(lane)
        return None
    lane.caller.seq = number = lane.caller.seq % LAST_SEQUENCE + 1
    parts[0], parts[1] = _REQUESTS[number], head
    payload = b"".join(parts)
    request = pack_header(len(payload) - len(TRAILER), 0) + payload
    lane.idle = False
    try:
        if lane.sock.send(request, MSG_DONTWAIT) < len(request):
            raise BrokenPipeError("a connection at rest takes no request")
        try:
            size = lane.sock.recv_into(lane.buffer)
            value: Value = _whole_value(lane.buffer, size, number)
        except BlockingIOError:  # the kernel's time may be up a little early
            size, value = 0, None
        if value is None:
            lane.caller.verb = verb
            data = bytes(lane.buffer[:size]) or stream.read(now + timeout)
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
        pool.give(lane, now)
    return value


def _whole_value(data: bytearray, size: int, number: int) -> bytes | str | None:
    """The value in a read of that many bytes that is one plain frame and nothing else, and in it a
    reply by value to the request of that number, with bytes or text. None if it is anything else.

    Raises:
        MalformedError: the value is none.
    """
    end = size - 1
    frame, squeezed = unpack_header(data)
    if (
        frame != end - HEADER.size
        or squeezed
        or data[end] != NEWLINE
        or not data.startswith(_REPLIES[number], HEADER.size)
    ):
        return None
    text = data[_VALUE_AT] == _TEXT
    at = _VALUE_AT + text
    if data[at] == _LONG:
        start = at + 5
        length = int.from_bytes(data[at + 1 : start])
    elif data[at] == _SHORT:
        start = at + 2
        length = data[at + 1]
    else:
        return None
    if length != end - start:
        return None
    if not text:
        return bytes(data[start:end])
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise MalformedError("not a message: no text") from error
