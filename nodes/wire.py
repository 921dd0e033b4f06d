"""What crosses the wire: the reply envelope and the message types.

A reply is one JSON text, the envelope:

    {"error": false, "result": [...], "count": 2, "truncated": false, "after": null,
     "worker": "w3", "attempts": 1, "catalog": "5f2c91d0a3b4", "files": ["data-am.json"],
     "elapsed_ms": 0.41}
    {"error": true, "code": "no_workers", "error_message": "no worker is registered: ..."}

Operator verbs answer in the same envelope with what they did as `result`. The codes are
listed in `nodes.errors`.

Between master and worker, an answer is the worker's part of that text, as bytes; what else
crosses there are plain tuples (`WorkerRefusal`, `ProbeAnswer`), which RPyC passes by value.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec

from nodes.errors import CODES, InternalError, LookupFailed

DEADLINE = 2.0
"""Seconds for a lookup, unless its client says otherwise."""

PAGE = 1000
"""Records of a page, unless its client says otherwise."""

WorkerAnswer = bytes
"""The part of the envelope that a worker knows: `answer_part` of its page. One value on the
wire: the master adds its own part, and decodes nothing."""

WorkerRefusal = tuple[str, str]
"""`(code, message)`: the worker's own verdict on a request, or its own failure."""

ProbeAnswer = tuple[int, int, int, str, float, int]
"""`(served, in flight, errors, catalog version, CPU percent, bytes of its own)`."""


def is_answer(values: object) -> TypeGuard[WorkerAnswer]:
    """Whether a worker's reply has the form of an answer. What is in it is not looked at."""
    return type(values) is bytes and values.startswith(_RESULT)


def is_batch_answer(values: object, count: int) -> TypeGuard[WorkerAnswer]:
    """Whether a worker's reply has the form of the answers to `count` lookups of a batch."""
    return type(values) is bytes and values.startswith(b"%d[" % count) and values.endswith(b"]")


def is_refusal(values: object) -> TypeGuard[WorkerRefusal]:
    """Whether a worker's reply names an error and says something of it."""
    match values:
        case (str() as status, str()):
            return status in CODES
    return False


def is_probe_answer(values: object) -> TypeGuard[ProbeAnswer]:
    """Whether a worker's reply has the form of a probe's answer."""
    match values:
        case (int(), int(), int(), str(), float() | int(), int()):
            return True
    return False


class LookupShape(msgspec.Struct, frozen=True):
    """A lookup as clients see it: `types` holds "text", "integer" or "number" per field."""

    name: str
    fields: tuple[str, ...]
    types: tuple[str, ...]


class LookupRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A lookup as the master sends it to a worker, in MessagePack: one value on the wire."""

    name: str
    args: tuple[str | int | float, ...]
    limit: int = PAGE
    after: str | None = None
    within: float = DEADLINE
    """Seconds from its arrival within which an answer is of use."""


class BatchRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A part of a batch as the master sends it to a worker, in JSON: the clients' own words."""

    limit: int
    most: int
    """Bytes that the answers may have together."""
    within: float
    lookups: list[Any]
    """Each an array of a lookup's name and its arguments; looked at one by one."""


class Description(msgspec.Struct, frozen=True):
    """The catalog a worker serves. A master fills `versions` in: all that are served now."""

    dataset: str
    version: str
    records: int
    fields: tuple[str, ...]
    files: tuple[str, ...]
    lookups: tuple[LookupShape, ...]
    versions: tuple[str, ...] = ()


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker tells the master. `instance` is a secret of that process's own: whoever
    knows it (the master, no one else) may tell the worker to retire.
    """

    instance: str
    wanted_id: str
    host: str
    port: int
    pid: int
    catalog: Description


class Registered(msgspec.Struct, frozen=True):
    """The master's answer to a `Registration`."""

    id: str
    generation: int


class Event(msgspec.Struct, frozen=True):
    """Something that happened. `at` is Unix time in seconds; `worker` is "" for the cluster."""

    number: int
    at: float
    kind: str
    worker: str
    text: str


class LogPart(msgspec.Struct, frozen=True):
    """A part of a worker's log; `end` is the place to ask for the next one from."""

    end: int
    text: str


class WorkerView(msgspec.Struct, frozen=True):
    """One worker in a snapshot. Times in seconds or milliseconds as named, memory in bytes;
    latencies are of the last 10 s, None when nothing was answered in them.
    """

    id: str
    generation: int
    address: str
    pid: int
    state: str
    why: str
    state_since: float
    served: int
    in_flight: int
    errors: int
    lookups_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    cpu_percent: float
    memory_bytes: int
    catalog: str
    uptime_s: float
    restarts: int
    local: bool
    frozen: bool
    breaker_open: bool


class ClusterSnapshot(msgspec.Struct, frozen=True):
    """The whole cluster at one moment: all that a screen or a script needs to show it.

    `hedges_left` and `retries_left` are what the budgets hold; `panic` says that breakers
    are not honoured, as too many are open; `activity` is how far a reload is, "" when there is
    none; `lag_ms` is how late the master itself runs, and
    `patience` by how many times more missed probes it therefore allows.
    """

    taken_at: float
    address: str
    balance: str
    uptime_s: float
    dataset: str
    catalogs: tuple[str, ...]
    records: int
    wanted_workers: int | None
    lookups_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    answered: int
    errors: int
    reroutes: int
    hedges: int
    hedges_left: float
    retries_left: float
    hedge_after_ms: float
    panic: bool
    activity: str
    lag_ms: float
    patience: float
    in_flight: int
    last_event: int
    workers: tuple[WorkerView, ...]


class Envelope(msgspec.Struct, frozen=True):
    """A decoded reply envelope."""

    error: bool
    result: Any = None
    count: int = 0
    truncated: bool = False
    after: str | None = None
    worker: str = ""
    attempts: int = 0
    catalog: str = ""
    files: tuple[str, ...] = ()
    elapsed_ms: float = 0.0
    code: str = ""
    error_message: str = ""
    retry_after_ms: int | None = None

    def checked(self) -> Envelope:
        """Itself when it is a success; raises the error that its code names otherwise."""
        if self.error:
            kind = CODES.get(self.code, InternalError)
            raise kind(self.error_message, retry_after_ms=self.retry_after_ms)
        return self


_encode = msgspec.json.Encoder().encode
_decode_envelope = msgspec.json.Decoder(Envelope).decode


encode_request = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(LookupRequest).decode


decode_batch = msgspec.json.Decoder(BatchRequest).decode


def encode_batch(lookups: bytes, *, limit: int, most: int, within: float) -> bytes:
    """A `BatchRequest`; `lookups` are the elements of its array, as they came."""
    return b"[%d,%d,%.6f,[%b]]" % (limit, most, within, lookups)


def batch_answer(envelopes: list[bytes]) -> WorkerAnswer:
    """A worker's answers to a part of a batch."""
    return b"%d[%b]" % (len(envelopes), b",".join(envelopes))


def batch_body(answer: WorkerAnswer) -> bytes:
    """The envelopes in a `batch_answer`, separated by commas."""
    return answer[answer.index(b"[") + 1 : -1]


def decode_envelope(text: str | bytes) -> Envelope:
    """Decodes a reply. Raises `msgspec.ValidationError` or `DecodeError` if it is none."""
    return _decode_envelope(text)


_RESULT = b'"result":'


def answer_part(
    body: bytes, *, count: int, after: str | None, catalog: str, files: tuple[str, ...]
) -> WorkerAnswer:
    """A worker's part of the envelope, around finished JSON: `body` is an array of `count`."""
    return b'%b%b,"count":%d,"truncated":%b,"after":%b,"catalog":%b,"files":%b' % (
        _RESULT,
        body,
        count,
        b"false" if after is None else b"true",
        _encode(after),
        _encode(catalog),
        _encode(files),
    )


def answer_envelope(part: WorkerAnswer, *, worker: str, attempts: int, elapsed_ms: float) -> bytes:
    """The envelope of an answered lookup: the worker's part and the master's."""
    return b'{"error":false,%b,"worker":%b,"attempts":%d,"elapsed_ms":%.3f}' % (
        part,
        _encode(worker),
        attempts,
        elapsed_ms,
    )


def item_envelope(part: WorkerAnswer) -> bytes:
    """The envelope of one lookup of a batch, as far as a worker knows it."""
    return b'{"error":false,%b}' % part


def batch_envelope(body: bytes, *, count: int, elapsed_ms: float) -> bytes:
    """The envelope of a batch; `body` is an array of `count` envelopes."""
    return b'{"error":false,"result":%b,"count":%d,"elapsed_ms":%.3f}' % (body, count, elapsed_ms)


def result_envelope(result: object) -> bytes:
    """The envelope of a verb that did something other than a lookup."""
    return b'{"error":false,"result":%b}' % _encode(result)


def error_envelope(error: LookupFailed) -> bytes:
    """The envelope of a failure."""
    reply: dict[str, object] = {
        "error": True,
        "code": error.code,
        "error_message": error.message,
    }
    if error.retry_after_ms is not None:
        reply["retry_after_ms"] = error.retry_after_ms
    return _encode(reply)
