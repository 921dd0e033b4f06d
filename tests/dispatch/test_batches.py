"""Many lookups in one question: in order, each by itself, whatever happens to a worker."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import rpyc
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.dispatch.batches import MAX_BATCHES, Answers, Batches
from nodes.errors import BadRequest, NoWorkers
from nodes.master.master import Master
from nodes.support.turns import whose_turn
from nodes.wire import PAGE_RECORDS, Envelope, batch_answer, decode_pages
from tests.dispatch.harness import dispatching
from tests.kit import (
    Node,
    hosted,
    kill_storm,
    master_alone,
    poll_for,
    same_records,
    scan,
    shipped_records,
)

RECORDS = shipped_records()
NOTHING = (
    b'{"error":false,"result":[],"count":0,"truncated":false,"after":null,"catalog":"v","files":[]}'
)
NAMES = sorted({record["name"] for record in RECORDS})


@pytest.fixture(scope="module")
def cluster() -> Iterator[AttachedCluster]:
    """Two workers on the shipped records, and their master, in processes of their own."""
    with (
        Node("up", "--port", "0", "--workers", "2", "--json") as node,
        AttachedCluster(node.ready["master"]) as made,
    ):
        made.snapshot()
        yield made


@pytest.fixture(scope="module")
def client(cluster: AttachedCluster) -> Iterator[Client]:
    """A client of it."""
    with Client(cluster.address) as made:
        made.getbyname("xander")
        yield made


QUESTIONS = st.one_of(
    st.tuples(st.just("getbyname"), st.sampled_from([*NAMES, "nobody"])),
    st.tuples(st.just("getbyyear"), st.just("Kansas City"), st.integers(1990, 2010)),
    st.tuples(st.just("nosuch"), st.text(max_size=3)),
    st.tuples(st.just("getbyname")),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(QUESTIONS, max_size=40))
def test_a_batch_says_what_its_lookups_say_one_by_one(
    client: Client, questions: list[tuple[Any, ...]]
) -> None:
    answers = client.lookup_many(questions)
    assert len(answers) == len(questions)
    for question, answer in zip(questions, answers, strict=True):
        name, *args = question
        if name == "nosuch" or not args:
            assert isinstance(answer, BadRequest)
        else:
            assert not isinstance(answer, Exception)
            fields = {"getbyname": ("name",), "getbyyear": ("location", "year")}[name]
            assert same_records(answer, scan(RECORDS, **dict(zip(fields, args, strict=True))))


def test_a_long_one_is_split_over_the_workers_and_counted(
    client: Client, cluster: AttachedCluster
) -> None:
    before = cluster.snapshot()
    names = [NAMES[n % len(NAMES)] for n in range(2500)]
    answers = client.lookup_many([("getbyname", name) for name in names])
    for name, answer in zip(names, answers, strict=True):
        assert not isinstance(answer, Exception)
        assert same_records(answer, scan(RECORDS, name=name))
    after = cluster.snapshot()
    assert after.answered - before.answered == 2500
    served = [w.served - b.served for w, b in zip(after.workers, before.workers, strict=True)]
    assert sum(served) == 2500
    assert min(served) > 0
    assert (after.in_flight, after.errors) == (0, before.errors)


def test_a_stock_client_sends_and_gets_text(cluster: AttachedCluster) -> None:
    host, _, port = cluster.address.rpartition(":")
    connection = rpyc.connect(host, int(port))
    try:
        ask = connection.root.lookup_many
        reply = json.loads(ask(json.dumps([["getbyname", "xander"], ["oops"], 7])))
        assert reply["error"] is False
        assert reply["count"] == 3
        good, bad, worse = reply["result"]
        assert same_records(good["result"], scan(RECORDS, name="xander"))
        assert good["catalog"] == cluster.snapshot().catalogs[0]
        assert (bad["code"], worse["code"]) == ("bad_request", "bad_request")
        assert json.loads(ask("[]"))["result"] == []
        for wrong in ("", "{}", "[1", '"text"', 7, json.dumps([["getbyname", "x"]] * 10_001)):
            assert json.loads(ask(wrong))["code"] == "bad_request", wrong
    finally:
        connection.close()


class LimitedClient(Client):
    """Its batches may have answers of 5000 bytes together."""

    master: Master

    def first_pages(
        self, lookups: Sequence[Sequence[str | float]], *, limit: int = PAGE_RECORDS
    ) -> list[Envelope]:
        answers: Future[Answers] = Future()
        batches = Batches(self.master.membership.dispatcher, reply_bytes=5000)

        def ask() -> None:
            text = json.dumps(lookups)
            batches.ask(
                text,
                limit=limit,
                timeout_s=self.timeout,
                done=answers.set_result,
                failed=answers.set_exception,
            )

        self.master.loop.call(ask)
        return [*decode_pages(answers.result().body)]


def test_answers_too_large_together_are_paged_and_none_is_cut(tmp_path: Path) -> None:
    people = [{"name": f"p{n}", "location": "Oslo", "year": 2000} for n in range(30)]
    (tmp_path / "people.json").write_text(json.dumps(people))
    asked = [("getbylocation", "Oslo")] * 5
    with hosted(1, data=tmp_path) as small, LimitedClient(small.address) as client:
        client.master = small.master
        pages = client.first_pages(asked)
        counts = [page.count for page in pages]
        assert set(counts) == {30, 0}
        assert counts == sorted(counts, reverse=True)
        assert [page.truncated for page in pages] == [count == 0 for count in counts]
        for answer in client.lookup_many(asked):
            assert not isinstance(answer, Exception)
            assert same_records(answer, people)


@pytest.mark.parametrize("how", ["client", "direct", "stock"])
def test_a_thousand_long_names_are_refused_in_words(cluster: AttachedCluster, how: str) -> None:
    """Those that are more than a request may have as a whole, else one by one; the rest of what
    the same client asks is answered.
    """
    asked = [["getbyname", "x" * 5000]] * 1000
    if how == "stock":
        host, _, port = cluster.address.rpartition(":")
        with closing(rpyc.connect(host, int(port))) as connection:
            with pytest.raises(ValueError, match="a request has at most 4194304 bytes"):
                connection.root.lookup_many(json.dumps(asked))
            reply = connection.root.lookup_many(json.dumps(asked[:800]))
            said = {page["error_message"] for page in json.loads(reply)["result"]}
    else:
        with Client(cluster.address, direct=how == "direct") as client:
            with pytest.raises(BadRequest, match="too many; ask for less at once"):
                client.lookup_many(asked)
            answers = client.lookup_many(asked[:800])
            assert {type(answer) for answer in answers} == {BadRequest}
            said = {answer.message for answer in answers if isinstance(answer, BadRequest)}
            assert client.getbyname("xander")
    assert said == {"getbyname(name): name has 5000 characters, at most 4096 are allowed"}


def test_batches_of_who_asks_many_keep_no_other_waiting() -> None:
    ended: list[str] = []

    def ask(who: str) -> None:
        batches.ask(
            '[["getbyname", "x"]]',
            limit=10,
            timeout_s=60.0,
            done=lambda _answers: ended.append(who),
            failed=lambda error: ended.append(str(error)),
        )

    with dispatching() as s:
        s.worker("only", lambda *_args: batch_answer([NOTHING]))
        batches = Batches(s.dispatcher)
        for who, count in (("bulk", 60), ("single", 1)):
            context = contextvars.copy_context()
            context.run(whose_turn.set, who)
            for _ in range(count):
                context.run(ask, who)
        assert s.time.run(lambda: len(ended) == 61, 60.0)
        assert "single" in ended[: MAX_BATCHES + 2]
        assert set(ended) == {"bulk", "single"}


def test_a_worker_that_dies_costs_no_answer_of_a_batch() -> None:
    asked = [("getbyname", name) for name in NAMES * 4]
    with hosted(2) as cluster, Client(cluster.address, timeout=5.0) as client:
        with kill_storm(cluster, workers=2, every=0.3) as killed:
            while len(killed) < 4:
                for (_, name), answer in zip(asked, client.lookup_many(asked), strict=True):
                    assert not isinstance(answer, Exception), answer
                    assert same_records(answer, scan(RECORDS, name=name))
        poll_for(lambda: cluster.snapshot().in_flight == 0)


def test_without_workers_each_lookup_says_so() -> None:
    with master_alone() as master, Client(str(master.address)) as client:
        answers = client.lookup_many([("getbyname", "xander")] * 3)
        assert [type(answer) for answer in answers] == [NoWorkers] * 3
        assert master.snapshot().errors == 3
