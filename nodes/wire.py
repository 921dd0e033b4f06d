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

import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from nodes.errors import CODES, InternalError, LookupFailed
from nodes.support.structs import ready

if TYPE_CHECKING:
    from nodes.catalog import CatalogInfo

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
"""`(served, in flight, errors, catalog version, CPU percent, bytes of its own)`; the first two
are of lookups that did not come from the master: what did, the master counts itself."""


MOST_REGISTRATION = 2_000_000
MOST_MESSAGE = 10_000
"""Characters of a registration, and of a worker's words."""

MOST_VERDICT = 1000
"""Characters of a worker's words that a client hears: they say what is wrong with its lookup."""

WHOLE = (1 << 63) - 1
"""The largest count that is shown: what fits into 63 bits."""

Count = Annotated[int, msgspec.Meta(ge=0, le=WHOLE)]
WORKER_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What a worker may be called, as a pattern: a file may bear that name."""

WantedId = Annotated[str, msgspec.Meta(pattern=rf"\A({WORKER_ID})?\Z")]

Version = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9]{1,64}\Z")]
Verb = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_]{0,63}\Z")]
Type = Annotated[str, msgspec.Meta(pattern=r"\A(text|integer|number)\Z")]
Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=20_000)]


INSTANCE_VARIABLE = "ROLLCALL_INSTANCE"
"""The variable of its environment by which a launcher gives a worker its instance."""


def new_instance() -> str:
    """The secret by which one worker process is known: 32 hex digits. A pid would not do, as
    another machine or namespace may have the same.
    """
    return secrets.token_hex(16)


def secret_verb(verb: str, instance: str) -> str:
    """What a worker's master calls `lookup` and `suggest`. Whoever knows the secret in that
    name is answered, whether lookups need a token or not: there is no moment at which worker
    and master disagree on it, and no question more on the way of a lookup.
    """
    return f"{verb} {instance}" if instance else verb


def direct_key(instance: str) -> str:
    """What a client that asks a worker itself shows in the place of the secret, where lookups
    need a token: it opens lookups and nothing else, and does not tell the secret.
    """
    return blake2b(instance.encode(), digest_size=16, person=b"direct").hexdigest()


class LookupShape(msgspec.Struct, frozen=True):
    """A lookup as clients see it: `types` holds "text", "integer" or "number" per field."""

    name: Verb
    fields: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]
    types: tuple[Type, ...]

    def __post_init__(self) -> None:
        if len(self.types) != len(self.fields):
            raise ValueError("there must be one type for each field")


@ready
class LookupRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A lookup as the master sends it to a worker, in MessagePack: one value on the wire."""

    name: str
    args: tuple[str | int | float, ...]
    limit: int = PAGE
    after: str | None = None
    within: float = DEADLINE
    """Seconds from its arrival within which an answer is of use."""


@ready
class BatchRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A part of a batch as the master sends it to a worker, in JSON: the clients' own words."""

    limit: int
    most: int
    """Bytes that the answers may have together."""
    within: float
    lookups: list[Any]
    """Each an array of a lookup's name and its arguments; looked at one by one."""


@ready
class Description(msgspec.Struct, frozen=True):
    """The catalog a worker serves. A master fills `versions` in: all that are served now."""

    dataset: Annotated[str, msgspec.Meta(max_length=100)]
    version: Version
    records: Count
    fields: Names
    files: Names
    lookups: Annotated[tuple[LookupShape, ...], msgspec.Meta(max_length=64)]
    versions: tuple[str, ...] = ()


def describe(info: CatalogInfo) -> Description:
    """What a catalog serves, as registrations say it."""
    return Description(
        dataset=info.name,
        version=info.version,
        records=info.records,
        fields=info.fields,
        files=info.files,
        lookups=tuple(LookupShape(one.name, one.fields, one.types) for one in info.lookups),
    )


@ready
class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker tells the master. `instance` is a secret of that process's own, from its
    launcher if it has one: whoever knows it (master and launcher, no one else) may tell the
    worker to retire, and ask it lookups where those need a token. `pid` is for people only.
    """

    instance: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    wanted_id: WantedId
    host: Annotated[str, msgspec.Meta(max_length=255)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    pid: Count
    catalog: Description


@ready
class Registered(msgspec.Struct, frozen=True):
    """The master's answer to a `Registration`. With `require_token`, the worker answers lookups
    to nobody but that master; `unready` says why it is sent no lookups, "" if it is; `cursor_key`
    is what the cluster signs its cursors with, in hex.
    """

    id: str
    generation: int
    require_token: bool = False
    unready: str = ""
    cursor_key: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")] = ""


class Member(msgspec.Struct, frozen=True):
    """A live worker, for clients that ask it themselves. `proofs` counts the probes that it
    answered; `key` is what it wants to be shown, "" where it answers everybody.
    """

    id: str
    generation: int
    host: str
    port: int
    state: str
    version: str
    probes_answered: int
    key: str


@ready
class Members(msgspec.Struct, frozen=True):
    """All of them. `master` is another for each master that there is in turn: generations
    count anew. `expecting` says whether a worker is about to register; `died` are the generations
    of those whose processes ended by themselves of late.
    """

    master: str
    balance: str
    expecting: bool
    members: tuple[Member, ...]
    died: tuple[int, ...] = ()


@ready
class Event(msgspec.Struct, frozen=True):
    """Something that happened. `at` is Unix time in seconds; `worker` is "" for the cluster."""

    number: int
    at: float
    kind: str
    worker: str
    text: str


@ready
class Reloaded(msgspec.Struct, frozen=True):
    """What a reload has done, in words. `behind` are the workers that did not follow, by their
    ids, each with why: they are sent no lookups.
    """

    text: str
    behind: dict[str, str]


@ready
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


@ready
class ClusterSnapshot(msgspec.Struct, frozen=True):
    """The whole cluster at one moment: all that a screen or a script needs to show it.

    `refused_logins` counts wrong tokens; `hedges_left` and `retries_left` are what the budgets
    hold; `panic` says that breakers are not honoured, as too many are open; `activity` is how
    far a reload is, "" when there is none; `lag_ms` is how late the master itself runs, and
    `patience` by how many times more missed probes it therefore allows; `tls_expires_at` is
    the Unix time at which the first certificate in use expires, None without TLS;
    `journal_trouble` is why the journal cannot be written, and how much it lost, "" for neither.
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
    refused_logins: int
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
    tls_expires_at: float | None = None
    journal_trouble: str = ""


@ready
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


decode_envelope = msgspec.json.Decoder(Envelope).decode
"""Decodes a reply. Raises `msgspec.ValidationError` or `DecodeError` if it is none."""

decode_envelopes = msgspec.json.Decoder(list[Envelope]).decode

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
