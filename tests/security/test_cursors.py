"""Cursors: none is made up, none leads elsewhere, and replaced records are soon out of reach."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.catalog import Catalog, ensure_catalog, open_catalog
from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.errors import BadRequest, InternalError
from nodes.security.cursors import OLD_PAGES_S, Cursors, cursor_version
from nodes.security.tokens import cursor_key, ensure_token, rotate_token, token_file
from nodes.support.slices import finish
from nodes.worker.catalogs import CatalogVersions
from tests.kit import Node, hosted, kill_process, poll_for

KEY = bytes(range(32))
QUESTION = ("getbyyear", ("Oslo", 2001))
NONE = "not a cursor of a page; start again from the first page"
CHANGED = "the records changed since that page .*; start again from the first page"


def cursors(key: bytes = KEY, now: float = 1000.0) -> Cursors:
    """Those of a cluster, at that time."""
    return Cursors(key, lambda: now)


def made(position: int = 7, *, version: str = "ab12", now: float = 1000.0) -> str:
    """A cursor of a page of the present records."""
    return cursors(now=now).make(
        QUESTION, version=version, position=position, before=None, present=version
    )


def position(text: object, question: Any = QUESTION, *, present: str = "ab12", **how: Any) -> int:
    """Where that cursor leads, to whoever has the version `ab12`."""
    read = cursors(**how).read(text, question, version="ab12", present=present)
    return read.position


# -- decisions -----------------------------------------------------------------------


@given(st.integers(0, 10**18 - 1), st.text("0123456789abcdef", min_size=1, max_size=64))
def test_a_cursor_leads_on_from_where_its_page_ended(where: int, version: str) -> None:
    text = made(where, version=version)
    read = cursors().read(text, QUESTION, version=version, present=version)
    assert (read.version, read.position) == (cursor_version(text), where) == (version, where)


@given(st.data())
def test_any_change_to_it_is_refused(data: st.DataObject) -> None:
    text = made()
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(st.text("0123456789abcdef:\u0660 A", max_size=2))
    changed = text[:at] + put + text[at + data.draw(st.integers(0, 1)) :]
    if changed == text:
        assert position(changed) == 7
    else:
        with pytest.raises(BadRequest, match=NONE):
            position(changed)


@pytest.mark.parametrize("text", ["", "12", "ab12:0", "ab12:7", ":::", "ab12:7:1000:", 7, None])
def test_what_is_no_cursor_is_refused(text: object) -> None:
    with pytest.raises(BadRequest, match=NONE):
        position(text)
    assert not isinstance(text, str) or cursor_version(text) == ""


@pytest.mark.parametrize(
    "question",
    [
        ("getbyname", ("Oslo", 2001)),
        ("getbyyear", ("Oslo", 2002)),
        ("getbyyear", ("Oslo", "2001")),
        ("getbyyear", ("Oslo",)),
    ],
)
def test_it_is_of_no_other_question(question: Any) -> None:
    with pytest.raises(BadRequest, match=NONE):
        position(made(), question)


def test_it_is_of_no_other_cluster() -> None:
    with pytest.raises(BadRequest, match=NONE):
        position(made(), key=bytes(32))


def test_it_is_of_no_other_version() -> None:
    with pytest.raises(BadRequest, match=r"the records changed .*\(catalog cd34, now ab12\)"):
        position(made(version="cd34"))


def test_one_of_the_present_records_does_not_expire() -> None:
    assert position(made(), now=1000.0 + 10**8) == 7


def test_one_of_earlier_records_expires() -> None:
    text = made()
    assert position(text, present="cd34", now=1000.0 + OLD_PAGES_S) == 7
    with pytest.raises(BadRequest, match=CHANGED):
        position(text, present="cd34", now=1001.0 + OLD_PAGES_S)


# -- as a worker reads and makes them ------------------------------------------------


class PagedWorker:
    """A worker's records at a time that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self._folder = folder
        self._made: list[Catalog] = []
        self.served = CatalogVersions(self._catalog(2000))

    def _catalog(self, year: int) -> Catalog:
        people = [{"name": "ann", "location": "Oslo", "year": year}] * 9
        (self._folder / "people.json").write_text(json.dumps(people))
        made = open_catalog(ensure_catalog(self._folder, cache=self._folder / "cache").path)
        self._made.append(made)
        return made

    def sign(self) -> None:
        """The key has come."""
        self.served.cursors = Cursors(KEY, lambda: self.now)

    def replace(self) -> None:
        """Other records are served from now on."""
        self.served.switch(self._catalog(2001))

    def page(self, after: str | None = None) -> tuple[list[int], str]:
        """The years of the next two records, and the cursor of the page after them."""
        opened = finish(self.served.for_page(after))
        part = finish(opened.answer("getbyname", ("ann",), limit=2, after=after))
        page = json.loads(b"{%b}" % part)
        return [record["year"] for record in page["result"]], page["after"]

    def close(self) -> None:
        """Lets go of every catalog."""
        self.served.close()
        for catalog in self._made:
            catalog.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[PagedWorker]:
    made = PagedWorker(tmp_path)
    yield made
    made.close()


def test_pages_of_replaced_records_end_however_they_are_asked_for(worker: PagedWorker) -> None:
    worker.sign()
    worker.now += 5000.0
    _, after = worker.page()
    worker.replace()
    years = []
    for _ in range(2):
        worker.now += OLD_PAGES_S / 2
        found, after = worker.page(after)
        years += found
    assert years == [2000] * 4
    worker.now += 1.0
    with pytest.raises(BadRequest, match=CHANGED):
        worker.page(after)
    assert worker.page()[0] == [2001] * 2


def test_a_slow_reader_of_present_records_is_at_peace(worker: PagedWorker) -> None:
    worker.sign()
    _, after = worker.page()
    worker.now += 10**6
    _, after = worker.page(after)
    worker.replace()
    assert worker.page(after)[0] == [2000] * 2


def test_a_page_before_there_is_a_key_says_so(worker: PagedWorker) -> None:
    with pytest.raises(InternalError, match="not registered yet"):
        worker.page()
    worker.sign()
    assert worker.page()[1]


# -- the key -------------------------------------------------------------------------


def test_the_key_lasts_and_is_of_one_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_STATE", str(tmp_path / "state"))
    ensure_token()
    key = cursor_key(23000)
    rotate_token(token_file(), grace=0.0)
    assert key == cursor_key(23000) != cursor_key(23001)
    assert len(bytes.fromhex(key)) == 32
    file = tmp_path / "state" / "cursors"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() not in (key, token_file().read_text().strip())
    file.unlink()
    assert cursor_key(23000) != key
    file.write_text("")
    assert cursor_key(23000) != cursor_key(23000), "without the file, it is new each time"


# -- clusters ------------------------------------------------------------------------


@contextmanager
def cluster_of(folder: Path, name: str) -> Iterator[Client]:
    """A client of a cluster whose dataset is called `people`, as all are here."""
    data = folder / name / "people"
    data.mkdir(parents=True)
    people = [{"name": name, "location": "Oslo", "year": year} for year in range(2000, 2009)]
    (data / "people.json").write_text(json.dumps(people))
    with hosted(1, data=data) as cluster, Client(cluster.address) as client:
        yield client


def test_a_cluster_s_records_are_out_of_reach_of_another_s_clients(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "ann") as anns, cluster_of(tmp_path, "bob") as bobs:
        first = anns.page("getbyname", "ann", limit=4)
        for after in (f"{first.catalog}:0", first.after):
            with pytest.raises(BadRequest, match=NONE):
                bobs.page("getbyname", "ann", after=after)
        assert anns.page("getbyname", "ann", after=first.after).count == 5


def test_a_page_goes_on_through_a_restart_of_the_master_and_whoever_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_STATE", str(tmp_path / "state"))
    with Node("master", "0", "--json") as first:
        address = first.ready["master"]
        port = address.rpartition(":")[2]
    with Node("master", port, "--json") as second, Client(address, timeout=5.0) as client:
        with Node("worker", "--master", address, "--json"):
            whole = client.page("getbylocation", "New York City")
            page = client.page("getbylocation", "New York City", limit=2)
            rotate_token(token_file(), grace=60.0)
            kill_process(second.process.pid)
            second.wait()
            with (
                Node("master", port, "--json"),
                Node("worker", "--master", address, "--json"),
                Client(address, direct=True) as direct,
                AttachedCluster(address) as cluster,
            ):
                poll_for(lambda: [one.state for one in cluster.snapshot().workers] == ["up"] * 2)
                found: list[Any] = []
                workers = set()
                for asked in [client, direct] * 6:
                    rest = asked.page("getbylocation", "New York City", after=page.after)
                    workers.add(rest.worker)
                    found.append(page.result + rest.result)
                assert found == [whole.result] * 12
                assert len(workers) == 2
