"""The reply envelope.

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

import functools
from typing import Any

import msgspec

from nodes.errors import CODES, InternalError, LookupFailed
from nodes.support.structs import ready
from nodes.wire.messages import MAX_MESSAGE_CHARS, Count, ShortText, WorkerAnswer


@ready
class Envelope(msgspec.Struct, frozen=True):
    """A decoded reply envelope."""

    error: bool
    result: Any = None
    count: Count = 0
    truncated: bool = False
    after: str | None = None
    worker: str = ""
    attempts: Count = 0
    catalog: str = ""
    files: tuple[str, ...] = ()
    elapsed_ms: float = 0.0
    code: str = ""
    error_message: str = ""
    retry_after_ms: Count | None = None
    request_id: ShortText = ""

    def checked(self) -> Envelope:
        """Itself when it is a success; raises the error that its code names otherwise."""
        if self.error:
            kind = CODES.get(self.code, InternalError)
            said = self.error_message[:MAX_MESSAGE_CHARS]
            raise kind(said, retry_after_ms=self.retry_after_ms, request_id=self.request_id)
        return self


@ready
class Page(Envelope, frozen=True):
    """The envelope of a lookup: its result are records, None with an error."""

    result: list[dict[str, Any]] | None = None


_encode = msgspec.json.Encoder().encode


def batch_answer(envelopes: list[bytes]) -> WorkerAnswer:
    """A worker's answers to a part of a batch."""
    return b"%d[%b]" % (len(envelopes), b",".join(envelopes))


def batch_body(answer: WorkerAnswer) -> bytes:
    """The envelopes in a `batch_answer`, separated by commas."""
    return answer[answer.index(b"[") + 1 : -1]


def batch_size(answer: WorkerAnswer) -> int:
    """How many envelopes there are in a `batch_answer`."""
    return int(answer[: answer.index(b"[")])


decode_envelope = msgspec.json.Decoder(Envelope).decode
"""Decodes a reply. Raises `msgspec.ValidationError` or `DecodeError` if it is none."""


decode_page = msgspec.json.Decoder(Page).decode
"""As `decode_envelope`, of a reply to a lookup."""


decode_pages = msgspec.json.Decoder(list[Page]).decode


_RESULT = b'"result":'
NOTHING_FOUND = _RESULT + b"[]"
"""How a worker's part begins when its lookup has found nothing."""


MAX_KEPT_SOURCES = 256
"""Of which the encoding is kept; a worker with so many files begins anew with some of them."""


def answer_part(
    body: bytes, *, count: int, after: str | None, catalog: str, files: tuple[str, ...]
) -> WorkerAnswer:
    """A worker's part of the envelope, around finished JSON: `body` is an array of `count`."""
    source = _encode_source(catalog, files)
    if after is None:
        return b'%b%b,"count":%d,"truncated":false,"after":null,%b' % (_RESULT, body, count, source)
    return b'%b%b,"count":%d,"truncated":true,"after":%b,%b' % (
        _RESULT,
        body,
        count,
        _encode(after),
        source,
    )


@functools.lru_cache(MAX_KEPT_SOURCES)
def _encode_source(catalog: str, files: tuple[str, ...]) -> bytes:
    """Which catalog, and which of its files, an answer is from: the same again and again."""
    return b'"catalog":%b,"files":%b' % (_encode(catalog), _encode(files))


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
    if error.request_id:
        reply["request_id"] = error.request_id
    return _encode(reply)
