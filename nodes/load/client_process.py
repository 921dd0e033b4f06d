"""A client process: some of a load's clients, each in a thread.

`python -m nodes.load.client_process` is one.

It reads its `ClientJob` from standard input, a line of JSON, connects, says "ready", and begins
with the next line. Its reports are lines of JSON on standard output. It stops early when its
standard input ends: so with its parent, whatever ends that one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Any

import msgspec

from nodes.client.blocking import Client
from nodes.load.runner import MakeCall, run_schedule
from nodes.load.schedule import LoadPlan
from nodes.load.workload import LookupCall, make_caller
from nodes.support.structs import ready


@ready
class ClientJob(msgspec.Struct, frozen=True):
    """The clients from number `first` on, `count` of them, and what they do."""

    plan: LoadPlan
    first: int
    count: int
    work: Any


@ready
class BenchWork(msgspec.Struct, frozen=True):
    """The work of `rollcall-nodes bench`."""

    master: str
    tls: str | None
    batch: int
    direct: bool
    questions: tuple[LookupCall, ...]


Connect = Callable[[Any, int], AbstractContextManager[MakeCall]]
"""Connects the client of a number, given the job's `work`."""


@contextmanager
def connect(work: Any, number: int) -> Iterator[MakeCall]:
    """Connects a `Client`, for `BenchWork`."""
    lookups = msgspec.convert(work, BenchWork)
    questions = list(lookups.questions)
    Random(number).shuffle(questions)  # noqa: S311 - an order, to each client its own
    with Client(lookups.master, tls=lookups.tls, direct=lookups.direct) as client:
        ask = make_caller(client, questions, batch=lookups.batch)
        ask()  # connected before it counts; if that fails now, the load itself will tell
        yield ask


def run_clients(connect: Connect) -> None:
    """Does the job that stands on standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=ClientJob)
    stopping = threading.Event()
    connected = threading.Semaphore(0)
    go = threading.Event()
    writing = threading.Lock()
    began = 0.0

    def one(client: int) -> None:
        with connect(job.work, client) as ask:
            connected.release()
            go.wait()
            schedule = job.plan.schedule(client, began)
            for stats in run_schedule(ask, schedule, stopping=stopping, every=0.5):
                with writing:
                    sys.stdout.buffer.write(msgspec.json.encode(stats) + b"\n")
                    sys.stdout.buffer.flush()

    def one_or_none(client: int) -> None:
        try:
            one(client)
        except BrokenPipeError:
            os._exit(1)  # nobody listens any more
        except BaseException:  # noqa: BLE001 - whatever it is, it is told, and ends it
            traceback.print_exc()
            os._exit(1)  # the load would not be what was asked for

    threads = [
        threading.Thread(target=one_or_none, args=(client,), name=f"client-{client}", daemon=True)
        for client in range(job.first, job.first + job.count)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        connected.acquire()
    sys.stdout.buffer.write(b"ready\n")
    sys.stdout.buffer.flush()
    if not sys.stdin.buffer.readline():
        stopping.set()
    began = time.monotonic()
    go.set()
    threading.Thread(target=_stop_with_stdin, args=(stopping,), daemon=True).start()
    for thread in threads:
        thread.join()


def _stop_with_stdin(stopping: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    stopping.set()


if __name__ == "__main__":
    run_clients(connect)
