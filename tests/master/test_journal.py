"""The journal on real files: kept, bounded, and never in anybody's way."""

from __future__ import annotations

import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes.client.attached import AttachedCluster
from nodes.errors import DataError
from nodes.master import journal_file as journal_file_module
from nodes.master.events import EventLog
from nodes.master.journal import MAX_WAITING_EVENTS, Journal, second_of
from nodes.master.journal_file import JournalFile, Noted, journal_file
from nodes.master.journal_reading import JournalReader, read_events, read_seconds
from nodes.master.master import Master
from nodes.support.event_kinds import EventKind
from nodes.wire import ClusterSnapshot, Event, Second
from tests.console.fakes import cluster_snapshot, worker_view
from tests.kit import Node, poll_for, run_nodes


def event(number: int, at: float | None = None, text: str = "something") -> Event:
    """An event of now, unless another time is given."""
    return Event(number, time.time() if at is None else at, "proved", "w1", text)


def snapshot() -> ClusterSnapshot:
    """One of now."""
    return cluster_snapshot(
        [worker_view(1), worker_view(2)], taken_at=time.time(), lookups_per_s=12.5, p50_ms=0.4
    )


@contextmanager
def journal(path: Path, *, keep_bytes: int = 50_000_000) -> Iterator[Journal]:
    """A journal that is being written."""
    made = Journal(path, snapshot, keep_bytes=keep_bytes, write_every_s=0.02)
    made.start()
    try:
        yield made
    finally:
        made.close()


def numbers(path: Path) -> list[int]:
    """The numbers of the events in it; none while it cannot be read."""
    try:
        return [one.number for one in read_events(path)]
    except DataError:
        return []


def test_what_is_noted_is_there_after_the_end_and_goes_on_after_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "j.sqlite3"
    with journal(path) as first:
        first.note(event(1))
        first.note(event(2, text="naïve \x1b[31m"))
    with journal(path) as again:
        again.note(event(3))
    assert numbers(path) == [1, 2, 3]
    assert read_events(path)[1].text == "naïve \x1b[31m"
    assert [one.number for one in read_events(path, most=2)] == [2, 3]
    figures = read_seconds(path)
    assert (figures[-1].lookups_per_s, figures[-1].p99_ms, figures[-1].up) == (12.5, None, 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_does_not_grow_beyond_its_bounds(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    with journal(path, keep_bytes=10**9) as made:
        for number in range(1, 3001):
            made.note(event(number, text="x" * 300))
    full = path.stat().st_size
    assert full > 1_000_000
    with journal(path, keep_bytes=300_000):
        poll_for(lambda: path.stat().st_size < 400_000)
    left = numbers(path)
    assert left and left[-1] == 3000
    assert left == sorted(left)


def test_a_lock_delays_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    with journal(path) as made:
        made.note(event(1))
        poll_for(lambda: numbers(path) == [1])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            made.note(event(2))
            poll_for(lambda: "another program holds it" in made.trouble)
            made.note(event(3))
            other.execute("ROLLBACK")
        poll_for(lambda: numbers(path) == [1, 2, 3])
        poll_for(lambda: made.trouble == "")


def test_a_full_disk_is_told_and_waited_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j.sqlite3"
    # The file may be no larger than it is: what a full disk says, SQLite says for this.
    write: Callable[..., None] = JournalFile.write

    def on_a_full_disk(self: JournalFile, *args: Any) -> None:
        self._db.execute("PRAGMA max_page_count = 1")
        write(self, *args)

    with monkeypatch.context() as full:
        full.setattr(JournalFile, "write", on_a_full_disk)
        made = Journal(path, snapshot, write_every_s=0.02)
        made.start()
        for number in range(1, 501):
            made.note(event(number, text="x" * 500))
        poll_for(lambda: "full" in made.trouble)
    poll_for(lambda: numbers(path)[-1:] == [500])
    made.close()
    assert made.trouble == ""
    assert made.dropped == 0


def test_a_folder_that_cannot_be_made_is_trouble_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with journal(tmp_path / "file" / "j.sqlite3") as made:
        poll_for(lambda: made.trouble != "")
        began = time.monotonic()
        # Twice as many as may wait: those that a write has taken up are not in the queue.
        for number in range(2 * MAX_WAITING_EVENTS + 1000):
            made.note(event(number))
        assert made.dropped > 0
        assert "cannot be written" in made.losses
        assert f"; {made.dropped} event(s) are missing" in made.losses
    assert time.monotonic() - began < 10


def test_a_snapshot_tells_of_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    master = Master(tokens=list)
    master.keep_journal(tmp_path / "file" / "j.sqlite3", remember=False)
    master.start()
    try:
        poll_for(lambda: "cannot be written" in master.snapshot().journal_trouble)
    finally:
        master.stop()


def test_events_of_an_earlier_master_are_taken_up() -> None:
    log = EventLog()
    log.remember([event(4), event(5)])
    log.note(EventKind.STARTED, "", "again")
    assert [one.number for one in log.after(0)] == [4, 5, 6]


def test_no_journal_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no journal"):
        read_events(tmp_path / "none")
    (tmp_path / "odd").write_text("odd" * 1000)
    with pytest.raises(DataError, match="cannot be read"):
        read_seconds(tmp_path / "odd")


def test_a_master_that_ended_can_be_read_by_command() -> None:
    with Node("master", "0", "--json") as node:
        address = node.ready["master"]
    port = int(str(address).rpartition(":")[2])
    assert journal_file(port).exists()
    kinds = [one.kind for one in read_events(journal_file(port))]
    assert (kinds[0], kinds[-1]) == ("started", "stopped")
    shown = run_nodes("journal", "--master", f"127.0.0.1:{port}")
    assert shown.returncode == 0
    assert "started" in shown.stdout
    figures = run_nodes("journal", "--master", f"127.0.0.1:{port}", "--figures", "--json")
    assert figures.returncode == 0 and '"lookups_per_s"' in figures.stdout
    missing = run_nodes("journal", "--master", "127.0.0.1:1")
    assert missing.returncode != 0
    assert "no journal" in missing.stderr


def test_an_operator_is_told_what_the_journal_has_of_the_last_minutes() -> None:
    with Node("up", "--workers", "1", "--port", "0", "--json") as node:
        with AttachedCluster(node.ready["master"]) as cluster:
            poll_for(lambda: len(cluster.history(60)) >= 2)
            poll_for(lambda: cluster.history(60)[-1].up == 1)
            assert cluster.history(0) == []


# -- clocks ------------------------------------------------------------------------------

HOUR, DAY = 3600.0, 86400.0
NOW = 1.8e9


class Clocks:
    """One of the wall, which may be set, and a steady one."""

    def __init__(self) -> None:
        self.wall, self.steady = NOW, 50.0

    def later(self, seconds: float, *, set_by: float = 0.0, asleep: float = 0.0) -> None:
        """Time passes; the wall's is set meanwhile, or the machine sleeps."""
        self.wall += seconds + set_by + asleep
        self.steady += seconds + asleep


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([{}] * 3, id="no step"),
        pytest.param([{"set_by": -2 * HOUR}], id="back by two hours"),
        pytest.param([{"set_by": 400 * DAY}, {"set_by": -400 * DAY}], id="400 days and back"),
        pytest.param([{"asleep": 30.0}], id="asleep for 30 s"),
        pytest.param([{"set_by": -2 * HOUR}, {"set_by": 3 * HOUR}], id="back and forth"),
    ],
)
@pytest.mark.parametrize("restarted", [False, True])
def test_no_step_of_the_clock_wipes_or_shuffles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, float]], restarted: bool
) -> None:
    path, clocks, number = tmp_path / "j.sqlite3", Clocks(), 0

    def opened() -> JournalFile:
        return JournalFile(
            path, clock=lambda: clocks.wall, steady=lambda: clocks.steady, keep_bytes=10**9
        )

    file = opened()
    for step in [{}, *steps, {}]:
        clocks.later(1.0, **step)
        if restarted:
            file.close()
            clocks.steady = 7.0  # the machine was started anew
            file = opened()
        for _ in range(10):
            clocks.later(1.0)
            number += 1
            noted = Noted(event(number, at=clocks.wall), clocks.steady)
            file.write([noted], second_of(snapshot_at(clocks.wall, number)))
            file.clean()
    file.close()
    monkeypatch.setattr(time, "time", lambda: clocks.wall)
    assert numbers(path) == list(range(1, number + 1))
    assert [one.answered for one in read_seconds(path)] == list(range(1, number + 1))
    # The last 10 s are the last 10 s, whatever the wall's clock said then.
    recent = [one.answered for one in read_seconds(path, last_s=10.5)]
    assert recent == list(range(number - 9, number + 1))[-len(recent) :] and len(recent) >= 10


def snapshot_at(wall: float, answered: int) -> ClusterSnapshot:
    """One of that time."""
    return cluster_snapshot([worker_view(1)], taken_at=wall, answered=answered)


def test_what_is_kept_is_counted_in_seconds_that_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clocks = tmp_path / "j.sqlite3", Clocks()
    monkeypatch.setattr(journal_file_module, "KEEP_SECONDS", 20)
    file = JournalFile(
        path, clock=lambda: clocks.wall, steady=lambda: clocks.steady, keep_bytes=10**9
    )
    for number in range(1, 51):
        clocks.later(1.0)
        file.write([Noted(event(number), clocks.steady)], second_of(snapshot_at(NOW, number)))
    file.clean()
    file.close()
    assert [one.answered for one in read_seconds(path)] == list(range(31, 51))
    assert numbers(path) == list(range(31, 51))


# -- verdicts, and stretches of time -----------------------------------------------------


def written_at(path: Path, times: Iterable[int]) -> None:
    """A journal with an event and figures of each of these seconds; w1 is slow in some of them."""
    file = JournalFile(path, clock=lambda: 100.0, steady=lambda: 100.0, keep_bytes=10**9)
    for at in times:
        taken = cluster_snapshot([worker_view(1, slow=at % 5 == 0)], taken_at=float(at))
        file.write([Noted(event(at, float(at)), float(at))], second_of(taken))
    file.close()


def test_each_second_has_its_verdict_and_a_stretch_of_time_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    written_at(path, range(100, 110))
    with JournalReader(path) as reader:
        seconds = list(reader.between(Second, 103.0, 106.0))
        events = list(reader.between(Event, 108.0, 1e9))
    assert [one.at for one in seconds] == [103.0, 104.0, 105.0, 106.0]
    assert [one.level for one in seconds] == ["HEALTHY", "HEALTHY", "DEGRADED", "HEALTHY"]
    assert seconds[2].verdict == "w1 slow"
    assert [one.number for one in events] == [108, 109]
    with pytest.raises(DataError, match="there is no journal"):
        JournalReader(tmp_path / "none")


def test_what_is_read_of_a_journal_fits_together_whatever_is_written_meanwhile(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.sqlite3"
    written_at(path, [1])
    with JournalReader(path) as reader:
        assert [one.number for one in reader.between(Event, 0, 9)] == [1]
        written_at(path, [2])
        assert [one.at for one in reader.between(Second, 0, 9)] == [1]
    assert [one.at for one in read_seconds(path)] == [1, 2]


def test_a_journal_of_an_older_version_is_read_and_written_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    written_at(path, range(1, 4))
    with closing(sqlite3.connect(path)) as db:
        for column in ("level", "verdict"):
            db.execute(f"ALTER TABLE figures DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 2")
        db.commit()
    assert [(one.at, one.level) for one in read_seconds(path)] == [(1, ""), (2, ""), (3, "")]
    written_at(path, [4])
    seconds = read_seconds(path)
    assert [one.level for one in seconds] == ["", "", "", "HEALTHY"]
    assert [one.up for one in seconds] == [1, 1, 1, 1]
