"""Whatever happened to a journal or a recording: it is put aside or read as far as it goes, told
of, and written on; nothing of it ends a thread, a start or a command.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from nodes.cli import cli
from nodes.client.attached import AttachedCluster
from nodes.errors import DataError, NotPossible
from nodes.master.events import EVENTS_AT_ONCE, MAX_EVENT_CHARS, EventLog
from nodes.master.journal import Journal
from nodes.master.journal_file import journal_file
from nodes.master.journal_reading import find_journal, read_events, read_seconds
from nodes.master.master import Master
from nodes.master.recorder import Recorder
from nodes.master.recording import Recording, read_part
from nodes.support.event_kinds import EventKind
from nodes.support.files import MAX_DAMAGED, put_aside
from nodes.wire import ClusterSnapshot, Event
from tests.console.fakes import cluster_snapshot, worker_view
from tests.kit import Node, poll_for

FLIPS = int(os.environ.get("ROLLCALL_SEEDS", "24"))
"""Damages of the plain test; more are asked for as seeds of the simulation are."""


def snapshot(**changed: object) -> ClusterSnapshot:
    """One of now."""
    return cluster_snapshot([worker_view(1)], **{"taken_at": time.time(), **changed})


@contextmanager
def journal(path: Path, told: list[str] | None = None, **options: object) -> Iterator[Journal]:
    """A journal that is being written, with what it told."""
    said = [] if told is None else told
    take = options.pop("take", snapshot)
    made = Journal(path, take, report=said.append, write_every_s=0.02, **options)  # type: ignore[arg-type]
    made.start()
    try:
        yield made
    finally:
        made.close()
        assert not made._thread.is_alive()


def event(number: int, text: str = "something", at: float | None = None) -> Event:
    """One of now, unless another time is given."""
    return Event(number, time.time() if at is None else at, "proved", "w1", text)


def numbers(path: Path) -> list[int]:
    """Of the events in it; none while it cannot be read."""
    try:
        return [one.number for one in read_events(path)]
    except DataError:
        return []


def goes_on(path: Path) -> list[str]:
    """Writes to it, reads it, and returns what was told."""
    told: list[str] = []
    with journal(path, told) as made:
        made.note(event(777))
        poll_for(lambda: numbers(path)[-1:] == [777], what=f"{made.trouble} {told}")
        poll_for(lambda: made.trouble == "")
    assert read_seconds(path)
    return told


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal as a killed master leaves it, with what SQLite has beside it."""
    folder = tmp_path_factory.mktemp("whole")
    with journal(folder / "j.sqlite3") as made:
        made.note(event(1))
        poll_for(lambda: numbers(made.path) == [1])  # from here on, it is not cleaned
        for number in range(2, 400):
            made.note(event(number, text=f"naïve {number} " * 9))
        poll_for(lambda: numbers(made.path)[-1:] == [399])
        copy = folder / "copy"
        copy.mkdir()
        for file in folder.glob("j.sqlite3*"):
            shutil.copy(file, copy / file.name)
    assert (copy / "j.sqlite3-wal").stat().st_size > 0
    return copy


def damaged(whole: Path, folder: Path, seed: int) -> Path:
    """A copy in which something is not as it was: bits, bytes, or the length."""
    chance = random.Random(seed)
    for file in whole.iterdir():
        data = bytearray(file.read_bytes())
        if chance.random() < 0.3:
            data = data[: chance.randrange(len(data) + 1)]
        for _ in range(chance.choice((1, 1, 3, 40))):
            # Its header and its first pages have most to say.
            reach = chance.choice((100, 4096, len(data)))
            at = chance.randrange(max(1, min(reach, len(data))))
            data[at : at + 1] = bytes([chance.randrange(256)])
        (folder / file.name).write_bytes(data)
    if chance.random() < 0.3:
        (folder / "j.sqlite3-wal").unlink()
    return folder / "j.sqlite3"


@pytest.mark.parametrize("part", range(3))
def test_no_byte_of_it_stops_a_reader_or_a_writer(whole: Path, tmp_path: Path, part: int) -> None:
    for seed in range(part, FLIPS, 3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        path = damaged(whole, folder, seed)
        for read in (read_events, read_seconds):
            with suppress(DataError):
                read(path)
        goes_on(path)
        shutil.rmtree(folder)


def text_file(path: Path) -> None:
    """Something that was written by hand."""
    path.write_text("this is no database\n" * 1000)


def other_database(path: Path) -> None:
    """Another program's."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('x');")


def named_alike(path: Path) -> None:
    """Another program's, which has such tables by chance."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE events (x TEXT); CREATE TABLE seconds (y TEXT);")


FOREIGN: list[Callable[[Path], None]] = [
    text_file,
    other_database,
    named_alike,
    Path.mkdir,
    os.mkfifo,
    lambda path: Path(f"{path}-wal").mkdir(),
]


@pytest.mark.parametrize("make", FOREIGN)
def test_what_is_no_journal_is_put_aside_with_a_word(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "j.sqlite3"
    make(path)
    if path.exists():
        with pytest.raises(DataError, match="cannot be read"):
            read_events(path)
    told = goes_on(path)
    assert [one for one in tmp_path.iterdir() if ".damaged-" in one.name]
    assert "another is begun" in told[0] and str(path) in told[0]


EXPOSED: list[Callable[[Path], None]] = [
    lambda path: path.chmod(0o620),
    lambda path: path.chmod(0o602),
    *([lambda path: os.chown(path, 12345, -1)] if os.geteuid() == 0 else []),
]
"""What makes a file one that others can write."""


@pytest.mark.parametrize("expose", EXPOSED)
@pytest.mark.parametrize("tail", ["", "-wal"])
def test_what_others_can_write_is_put_aside_and_believed_in_nothing(
    whole: Path, tmp_path: Path, expose: Callable[[Path], None], tail: str
) -> None:
    folder = tmp_path / "state"
    shutil.copytree(whole, folder)
    path = folder / "j.sqlite3"
    assert numbers(path)
    if not tail:
        path.chmod(0o666)
        assert read_events(path, own=False)
        path.chmod(0o600)
    expose(Path(f"{path}{tail}"))
    with pytest.raises(DataError, match=r"(chmod go-w it|make it yours with chown)"):
        read_events(path)
    told = goes_on(path)
    assert numbers(path) == [777]
    assert "another is begun" in told[0] and ("by others" in told[0] or "belongs to" in told[0])
    assert any(".damaged-" in one.name for one in folder.iterdir())


def test_a_master_starts_whoever_can_write_its_journal_and_its_recording(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    for file in (path, path.with_suffix(".recording")):
        file.touch()
        file.chmod(0o666)
    master = Master(tokens=list)
    master.keep_journal(path, remember=True)
    master.start()
    try:
        poll_for(lambda: "another is begun" in str(master.events.after(0)))
        poll_for(lambda: bool(numbers(path)))
        poll_for(lambda: sum(".damaged-" in one.name for one in tmp_path.iterdir()) >= 2)
        poll_for(lambda: master.snapshot().journal_trouble == "")
    finally:
        master.stop()


def test_what_was_put_aside_does_not_fill_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    for _ in range(15):
        text_file(path)
        put_aside(path)
    assert len(list(tmp_path.iterdir())) == MAX_DAMAGED


@pytest.mark.parametrize("replaced", [False, True])
def test_one_that_is_taken_away_while_it_is_written_is_begun_anew(
    tmp_path: Path, replaced: bool
) -> None:
    path, told = tmp_path / "j.sqlite3", list[str]()
    with journal(path, told) as made:
        made.note(event(1))
        poll_for(lambda: numbers(path) == [1])
        for file in tmp_path.glob("j.sqlite3*"):
            file.unlink()
        if replaced:
            text_file(path)
        made.note(event(2))
        poll_for(lambda: numbers(path) == [2])
    assert "taken away" in told[0]


def test_a_folder_that_is_removed_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal" / "j.sqlite3"
    with journal(path) as made:
        poll_for(path.exists)
        shutil.rmtree(tmp_path / "state")
        made.note(event(2))
        poll_for(lambda: numbers(path) == [2])


def test_counts_beyond_what_a_file_can_hold_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    large = snapshot(answered=2**70, errors=-(2**70), lookups_per_s=float("nan"), p50_ms=1e999)
    with journal(path, take=lambda: large) as made:
        made.note(event(2**70))
        made.note(event(5, at=float("inf")))
        made.note(event(6))
        poll_for(lambda: 6 in numbers(path), what=made.trouble)
    assert read_seconds(path)[-1].answered == 2**63 - 1


def test_a_text_that_cannot_be_encoded_costs_at_most_itself(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    with journal(path) as made:
        made.note(event(1, text="\udcff"))
        poll_for(lambda: made.dropped == 1)
        made.note(event(2))
        poll_for(lambda: numbers(path) == [2])


def test_an_older_journal_is_read_and_written_on(tmp_path: Path) -> None:
    path, now = tmp_path / "j.sqlite3", time.time()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(OLDER)
        db.execute("INSERT INTO events VALUES (?, 7, 'proved', 'w1', 'x')", (now,))
        db.execute("INSERT INTO seconds VALUES (?, 1.5, NULL, 2.0, 1, 2, 3, 4, 5, 6)", (now,))
        db.commit()
    assert numbers(path) == [7]
    assert [(one.lookups_per_s, one.up) for one in read_seconds(path, last_s=60)] == [(1.5, 6)]
    assert goes_on(path) == []
    assert numbers(path) == [7, 777]
    assert next(one.up for one in read_seconds(path)) == 6


OLDER = """
CREATE TABLE events (at REAL NOT NULL, number INTEGER NOT NULL,
    kind TEXT NOT NULL, worker TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX events_at ON events (at);
CREATE TABLE seconds (at REAL PRIMARY KEY, lookups_per_s REAL NOT NULL,
    p50_ms REAL, p99_ms REAL, in_flight INTEGER NOT NULL, answered INTEGER NOT NULL,
    errors INTEGER NOT NULL, reroutes INTEGER NOT NULL, hedges INTEGER NOT NULL,
    up INTEGER NOT NULL) WITHOUT ROWID;
"""


# -- recordings --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [text_file, Path.mkdir, os.mkfifo])
def test_what_is_no_recording_is_put_aside(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "r.recording"
    make(path)
    with pytest.raises(DataError):
        Recording.open(path)
    told: list[str] = []
    recorder = Recorder(path, report=told.append)
    recorder.add(snapshot())
    recorder.close()
    assert recorder.trouble == ""
    assert "another is begun" in told[0]
    with Recording.open(path) as opened:
        assert opened.count == 1
    assert read_part(path, 0.0).blocks


@pytest.mark.parametrize("expose", EXPOSED)
def test_a_recording_that_others_can_write_is_put_aside(
    tmp_path: Path, expose: Callable[[Path], None]
) -> None:
    path, told = tmp_path / "r.recording", list[str]()
    for _ in range(2):
        recorder = Recorder(path, report=told.append)
        recorder.add(snapshot())
        recorder.close()
        assert recorder.trouble == ""
    assert not told
    expose(path)
    for read in (Recording.open, lambda path: read_part(path, 0.0)):
        with pytest.raises(DataError, match=r"(chmod go-w it|make it yours with chown)"):
            read(path)
    with Recording.open(path, own=False) as opened:
        assert opened.count == 2
    recorder = Recorder(path, report=told.append)
    recorder.add(snapshot())
    recorder.close()
    assert "another is begun" in told[0] and ("by others" in told[0] or "belongs to" in told[0])
    with Recording.open(path) as opened:
        assert opened.count == 1


@pytest.mark.parametrize("seed", range(5))
def test_no_byte_of_a_recording_stops_a_reader_or_a_writer(tmp_path: Path, seed: int) -> None:
    path, chance = tmp_path / "r.recording", random.Random(seed)
    recorder = Recorder(path, block_s=1.0)
    for second in range(20):
        recorder.add(snapshot(taken_at=1000.0 + second))
    recorder.close()
    whole = path.read_bytes()
    for _ in range(20):
        data = bytearray(whole[: chance.randrange(len(whole)) if chance.random() < 0.3 else None])
        for _ in range(chance.choice((1, 5, 100))):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        with suppress(DataError), Recording.open(path) as opened:
            list(opened.between(0.0, 2e9))
            opened.at(1010.0)
        read_part(path, 0.0)
        again = Recorder(path)
        again.add(snapshot(taken_at=2000.0))
        again.close()
        assert again.trouble == ""
        with Recording.open(path) as opened:
            assert opened.span[1] == 2000.0


# -- what is noted ------------------------------------------------------------------------


def test_a_name_that_is_no_utf_8_is_harmless_where_an_event_or_an_error_is_made() -> None:
    log = EventLog()
    log.note(EventKind.PROVED, "w\udcff", "in \udcff")
    (noted,) = log.after(0)
    assert (noted.worker, noted.text) == ("w\\udcff", "in \\udcff")
    str(DataError("in \udcff")).encode()


def test_events_are_bounded_as_they_are_noted() -> None:
    now = [0.0]
    log = EventLog(steady=lambda: now[0])
    seen: list[Event] = []
    log.listener = seen.append
    log.note(EventKind.PROVED, "w1", "x" * 10_000_000)
    assert len(seen[0].text) == MAX_EVENT_CHARS
    for _ in range(EVENTS_AT_ONCE + 999):
        log.note(EventKind.PROVED, "w1", "x")
    assert len(seen) == EVENTS_AT_ONCE
    log.catch_up()
    assert len(seen) == EVENTS_AT_ONCE
    now[0] = 1.0
    log.catch_up()
    assert (seen[-1].kind, seen[-1].text[:12]) == (EventKind.LEFT_OUT, "1,000 events")
    log.note(EventKind.PROVED, "w1", "x")
    assert [one.number for one in seen[-2:]] == [len(seen) - 1, len(seen)]


def test_the_size_is_bounded_at_the_moment_of_writing(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    most = 300_000
    with journal(path, keep_bytes=most) as made:
        made.note(event(1))
        poll_for(lambda: numbers(path) == [1])
        for number in range(1, 8001):
            made.note(event(number, text="x" * 500))
        poll_for(lambda: numbers(path)[-1:] == [8000])
        assert path.stat().st_size < 3 * most
    assert path.stat().st_size < 2 * most


# -- real processes ------------------------------------------------------------------------


def test_no_two_masters_share_a_file() -> None:
    stems = [
        journal_file(23000, host).name
        for host in ("127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", "::", "10.0.0.5")
    ]
    assert stems[0] == "23000.sqlite3"
    assert len(set(stems)) == len(stems)


def test_one_on_all_addresses_is_found_by_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_STATE", str(tmp_path))
    assert find_journal(5) == journal_file(5)
    everywhere = journal_file(5, "0.0.0.0")
    everywhere.parent.mkdir()
    everywhere.touch()
    assert find_journal(5) == find_journal(5, "example.org") == everywhere
    journal_file(5).touch()
    assert find_journal(5) == journal_file(5)


def test_a_state_folder_whose_name_is_no_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its journal cannot be written, as something is in the way: the path is in snapshot and event.
    state = Path(os.fsdecode(os.fsencode(tmp_path) + b"/st\xffte"))
    (state / "journal").mkdir(parents=True)
    with monkeypatch.context() as changed:
        changed.setenv("ROLLCALL_STATE", str(state))
        with Node("master", "0", "--json") as node:
            address = str(node.ready["master"])
            port = address.rpartition(":")[2]
            poll_for((state / "journal" / f"{port}.sqlite3").exists)
            (state / "journal").rename(state / "moved")  # at once: it is written meanwhile
            (state / "journal").write_text("in the way")
            with AttachedCluster(address) as cluster:
                poll_for(lambda: "cannot be written" in cluster.snapshot().journal_trouble)
                assert any("cannot be written" not in one.text for one in cluster.events())
                with pytest.raises(NotPossible):
                    cluster.reload()
        done = CliRunner().invoke(cli, ["journal", "--master", address])
        assert isinstance(done.exception, SystemExit)
        assert "no journal" in done.output
