"""How long single steps hold up an event loop: the largest pages, batches and requests there are.

Run by `.venv/bin/python -m tests.bench.steps`.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from nodes.catalog import ensure_catalog, open_catalog
from nodes.catalog.questions import MAX_PAGE_BYTES, MAX_PAGE_RECORDS
from nodes.dispatch.batches import MAX_BATCH_LOOKUPS, MAX_PART_BYTES, MAX_REPLY_BYTES, PART_LOOKUPS
from nodes.dispatch.replies import is_answer, is_batch_answer
from nodes.security.cursors import Cursors
from nodes.support.nesting import MAX_NESTING
from nodes.support.slices import Sliced
from nodes.transport import messages
from nodes.wire import (
    answer_envelope,
    answer_part,
    batch_answer,
    batch_envelope,
    item_envelope,
)
from nodes.worker.catalogs import CatalogVersions

ROUNDS = 5


def longest_step(work: Callable[[], Iterator[object]]) -> float:
    """Milliseconds of CPU that the longest step of some work took, in its best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        longest, steps, done = 0.0, work(), False
        while not done:
            began = time.thread_time()
            done = next(steps, True) is True
            longest = max(longest, time.thread_time() - began)
        best = min(best, longest)
    return best * 1000


def sliced(make: Callable[[], Sliced[object]]) -> Callable[[], Iterator[object]]:
    """Each slice is a step."""

    def work() -> Iterator[object]:
        yield from make()

    return work


def whole(function: Callable[[], object]) -> Callable[[], Iterator[object]]:
    """All of it is one step."""

    def work() -> Iterator[object]:
        function()
        yield from ()

    return work


def worker_steps(folder: Path) -> dict[str, Callable[[], Iterator[object]]]:
    """What a worker does with its largest answers."""
    small = [{"name": "many", "location": "Rome", "year": one} for one in range(MAX_PAGE_RECORDS)]
    large = [{"name": "big", "location": "Oslo", "year": 1, "text": "x" * 5000}] * 200
    data = folder / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, small + large)))
    versions = CatalogVersions(open_catalog(ensure_catalog(data).path))
    versions.cursors = Cursors(bytes(32))
    present = versions.present

    def page(name: str) -> Sliced[object]:
        return present.answer("getbyname", (name,), limit=MAX_PAGE_RECORDS, after=None)

    def part() -> Sliced[object]:
        for _ in range(PART_LOOKUPS):
            yield from present.answer_item(["getbyname", "nobody"], limit=10, room=True)
        return None

    return {
        f"worker: a page of {MAX_PAGE_RECORDS:,} records": sliced(lambda: page("many")),
        "worker: a page of records of 5 KB": sliced(lambda: page("big")),
        f"worker: {PART_LOOKUPS} lookups of a batch": sliced(part),
    }


def largest_part(record: bytes, max_bytes: int) -> tuple[bytes, int]:
    """An array of so many equal records as fit, and how many."""
    count = min(MAX_PAGE_RECORDS, max_bytes // (len(record) + 1))
    return b"[%b]" % b",".join([record] * count), count


def master_steps() -> dict[str, Callable[[], Iterator[object]]]:
    """What a master does with the largest answers and batches."""
    flat = json.dumps({"name": "x" * 20, "location": "y" * 20, "year": 2000}).encode()
    half = MAX_NESTING // 2
    nested = json.dumps({"a": [json.loads("[" * half + "]" * half)] * 10}).encode()
    steps: dict[str, Callable[[], Iterator[object]]] = {}
    for what, record in (("flat", flat), ("nested", nested)):
        body, count = largest_part(record, MAX_PAGE_BYTES)
        part = answer_part(body, count=count, after=None, catalog="v", files=("f",))

        def pass_on(part: bytes = part) -> None:
            assert is_answer(part)
            messages.text_reply(
                b"\x51", answer_envelope(part, worker="w1", attempts=1, elapsed_ms=1.0)
            )

        steps[f"master: the largest page of {what} records"] = whole(pass_on)
    one = answer_part(b"[%b]" % flat, count=1, after=None, catalog="v", files=("f",))
    count = min(PART_LOOKUPS, MAX_PART_BYTES // len(one))
    answers = batch_answer([item_envelope(one)] * count)
    steps["master: the answers to a part of a batch"] = whole(
        lambda: is_batch_answer(answers, count)
    )
    bodies = [b"x" * (MAX_REPLY_BYTES // 40)] * 40

    def put_together() -> None:
        body = b"[%b]" % b",".join(bodies)
        messages.text_reply(b"\x51", batch_envelope(body, count=1, elapsed_ms=1.0))

    steps["master: the largest answer to a batch"] = whole(put_together)
    asked = json.dumps([["getbyname", f"name-{one}"] for one in range(MAX_BATCH_LOOKUPS)])
    decode = msgspec.json.Decoder(list[msgspec.Raw]).decode

    def cut() -> None:
        lookups = decode(asked)
        for start in range(0, len(lookups), PART_LOOKUPS):
            b",".join(lookups[start : start + PART_LOOKUPS])

    steps[f"master: a batch of {MAX_BATCH_LOOKUPS:,} lookups is cut"] = whole(cut)
    return steps


def main() -> None:
    """Prints the longest step of each."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_CACHE"] = folder
        for what, work in {**worker_steps(Path(folder)), **master_steps()}.items():
            print(f"{longest_step(work):6.2f} ms  {what}")


if __name__ == "__main__":
    main()
