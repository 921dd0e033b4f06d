"""Moves through a recording, and what is drawn of a moment: without a screen, without threads."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from console.history import HISTORY_S, History
from console.recorded_file import RecordedFile
from console.recording_copy import ASK_AGAIN_S, FETCH_S, RecordingCopy
from console.replay import NEAR_S, Interrupted, Move, Replay, Way
from console.seen import Seen, alone
from console.text import UNICODE
from console.view import head_lines
from nodes.errors import DataError, MasterLost
from nodes.master.recording import Recording, read_part
from nodes.master.recording_blocks import encode_snapshot
from nodes.wire import ClusterSnapshot, Event, RecordingPart, verdict
from tests.console.fakes import NOON, cluster_snapshot, event, worker_view
from tests.console.recordings import blocks, snapshot_at, snapshots, write


class Made:
    """A recording of these snapshots; see `console.replay.Source`."""

    trouble = ""

    def __init__(self, taken: Sequence[ClusterSnapshot]) -> None:
        self.recording = Recording(io.BytesIO(blocks(taken)))

    def begin(self) -> float:
        return self.recording.span[0]

    def end(self) -> float:
        return self.recording.span[1]

    def cover(self, _first: float, _last: float) -> Recording:
        return self.recording


def come_to(replay: Replay, way: Way, to: float = 0.0) -> tuple[float | None, str]:
    """Where a move comes to in seconds after noon, None for nowhere; and what is said."""
    moved = replay.move(Move(way, NOON + to))
    return None if moved.snapshot is None else moved.snapshot.taken_at - NOON, moved.note


# -- moves -----------------------------------------------------------------------------

DAY = [*range(300), *range(1200, 1500)]
"""Seconds with snapshots: a quarter of an hour without any between them."""

BAD = [*range(100, 110), *range(200, 203), *range(1300, 1302)]


@pytest.mark.parametrize(
    ("at", "way", "comes_to"),
    [
        (250, Way.BACK, 249),
        (250, Way.FORTH, 251),
        (250, Way.REWIND, 190),
        (200, Way.FORWARD, 260),
        (1210, Way.REWIND, 299),  # over the gap
        (280, Way.FORWARD, 1200),
        (299, Way.FORTH, 1200),
        (1200, Way.BACK, 299),
        (0, Way.BACK, 0),
        (30, Way.REWIND, 0),
        (1499, Way.FORTH, None),
        (1450, Way.FORWARD, None),
        (250, Way.PREVIOUS_BAD, 200),
        (201, Way.PREVIOUS_BAD, 200),  # when this began
        (200, Way.PREVIOUS_BAD, 100),
        (100, Way.PREVIOUS_BAD, None),
        (0, Way.NEXT_BAD, 100),
        (105, Way.NEXT_BAD, 200),  # what is wrong already is not the next
        (250, Way.NEXT_BAD, 1300),
        (1301, Way.NEXT_BAD, None),
    ],
)
def test_a_move_comes_to(at: int, way: Way, comes_to: int | None) -> None:
    replay = Replay(Made(snapshots(DAY, BAD)))
    assert come_to(replay, Way.TO, at)[0] == at
    assert come_to(replay, way)[0] == comes_to
    assert replay.at == NOON + (at if comes_to is None else comes_to)


@pytest.mark.parametrize(
    ("to", "comes_to", "said"),
    [
        (250.7, 250, ""),
        (0, 0, ""),
        (-60, 0, "nothing is known before"),
        (700, 299, "nothing is recorded between"),
        (1499.5, None, ""),
    ],
)
def test_a_time_that_is_named(to: float, comes_to: int | None, said: str) -> None:
    replay = Replay(Made(snapshots(DAY)))
    found, note = come_to(replay, Way.TO, to)
    assert found == comes_to
    assert note.startswith(said) if said else note == ""


def test_the_first_step_back_is_from_the_end() -> None:
    assert come_to(Replay(Made(snapshots(DAY))), Way.BACK) == (1498, "")
    assert come_to(Replay(Made(snapshots(DAY, BAD))), Way.PREVIOUS_BAD) == (1300, "")


def test_what_is_not_there_is_said() -> None:
    replay = Replay(Made(snapshots(DAY)))
    assert "nothing was wrong before" in come_to(replay, Way.PREVIOUS_BAD)[1]
    come_to(replay, Way.TO, 299)
    assert "nothing is recorded between" in come_to(replay, Way.FORTH)[1]
    assert come_to(replay, Way.FORTH) == (1201, "")
    assert "nothing went wrong after" in come_to(replay, Way.NEXT_BAD)[1]
    assert replay.move(Move(Way.TO, NOON + 9999)).past_end


def test_a_search_gives_way_to_another_wish() -> None:
    wanted = False
    replay = Replay(Made(snapshots(DAY, BAD)), lambda: wanted)
    come_to(replay, Way.TO, 1250)
    wanted = True
    with pytest.raises(Interrupted):
        come_to(replay, Way.PREVIOUS_BAD)
    assert replay.at == NOON + 1250
    assert come_to(replay, Way.BACK) == (1249, "")


# -- what is seen ------------------------------------------------------------------------


def framed(replay: Replay, at: int, events: Sequence[Event] = ()) -> Seen:
    """What is seen of so many seconds after noon."""
    moved = replay.move(Move(Way.TO, NOON + at))
    assert moved.snapshot is not None
    return Seen(*replay.frame(moved.snapshot, events), replay_at=moved.snapshot.taken_at)


def test_all_that_is_seen_is_of_that_time() -> None:
    taken = snapshots(range(1000), bad=range(500, 520))
    events = [event(number) for number in range(0, 1000, 10)]  # a minute before noon, and later
    replay = Replay(Made(taken))
    for at in (700, 701, 640, 30, 505, 999):  # near to each other, and far
        seen = framed(replay, at, events)
        live = History()
        for one in taken[: at + 1]:
            live.add(one)
        assert seen.history.cluster == live.cluster
        assert seen.history.samples("w1") == live.samples("w1")
        assert [one.number for one in seen.events] == [
            n for n in range(0, 1000, 10) if n <= at + 60
        ]
        assert seen.verdict == verdict(taken[at])
        assert seen.history.cluster[0].at >= NOON + at - HISTORY_S


def test_a_worker_that_went_later_has_its_past() -> None:
    two, one = [worker_view(1), worker_view(2)], [worker_view(1)]
    taken = [cluster_snapshot(two if s < 50 else one, taken_at=NOON + s) for s in range(100)]
    replay = Replay(Made(taken))
    assert len(framed(replay, 49).history.samples("w2")) == 50
    assert framed(replay, 60).history.samples("w2") == []


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_head_says_replay_first_and_how_it_is_now(width: int) -> None:
    replay = Replay(Made(snapshots(range(100), bad=[50])))
    gone = verdict(cluster_snapshot(taken_at=NOON + 100, uptime_s=999.0))
    seen = framed(replay, 50)._replace(now=gone, read_only=True)
    text = "".join(run.text for run in head_lines(alone(seen), width, UNICODE)[0])
    assert text.split()[0] == "REPLAY"
    assert "DEGRADED" in text and "now OUTAGE" in text
    assert "hosting" not in text and "read-only" not in text and "restarts)" not in text
    assert len(text) == width


# -- where it comes from -----------------------------------------------------------------


class Master:
    """What a master's recording is asked for; `lost` is raised by it.

    Attributes:
        asked: after which times, in seconds after noon.
        clock: seconds, monotonic.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost: MasterLost | None = None
        self.asked: list[float] = []
        self.now = 0.0
        self.copies: list[RecordingCopy] = []

    def fetch(self, after: float) -> RecordingPart:
        self.asked.append(after - NOON)
        if self.lost is not None:
            raise self.lost
        return read_part(self.path, after, 3000)

    def copy(self) -> RecordingCopy:
        self.copies.append(RecordingCopy(self.fetch, lambda: self.now))
        return self.copies[-1]


@pytest.fixture(scope="module")
def hour() -> list[ClusterSnapshot]:
    """An hour, with little that is wrong."""
    return snapshots(range(3600), bad=[1000, 1001, 1002, 2500])


@pytest.fixture(scope="module")
def written(hour: Sequence[ClusterSnapshot]) -> bytes:
    """What a master has written of it: the last minute is not there yet."""
    return blocks(hour[:3540])


@pytest.fixture
def master(written: bytes, tmp_path: Path) -> Iterator[Master]:
    """A master that recorded it."""
    (tmp_path / "r.recording").write_bytes(written)
    found = Master(tmp_path / "r.recording")
    yield found
    for copy in found.copies:
        copy.close()


def test_a_copy_replays_as_the_whole_does(hour: Sequence[ClusterSnapshot], master: Master) -> None:
    copy = master.copy()
    copy.remember([encode_snapshot(one) for one in hour[-200:]])
    replay, whole = Replay(copy), Replay(Made(hour))
    random = Random(15)
    for _ in range(40):
        move = Move(random.choice(list(Way)), NOON + random.randrange(-100, 3700))
        moved = replay.move(move)
        assert moved == whole.move(move)
        if moved.snapshot is not None:
            there = replay.frame(moved.snapshot, ())
            assert there.history.cluster == whole.frame(moved.snapshot, ()).history.cluster


def test_no_more_is_fetched_than_is_looked_at(
    hour: Sequence[ClusterSnapshot], master: Master
) -> None:
    copy = master.copy()
    copy.remember([encode_snapshot(one) for one in hour[-70:]])
    replay = Replay(copy)
    come_to(replay, Way.BACK)
    assert min(master.asked) >= 3600 - NEAR_S - FETCH_S
    asked = len(master.asked)
    for _ in range(20):
        come_to(replay, Way.BACK)
    assert len(master.asked) <= asked + 1  # all of it is there
    assert come_to(replay, Way.TO, 1500)[0] == 1500
    assert min(master.asked[asked:]) >= 1500 - NEAR_S - FETCH_S


def test_what_was_seen_here_is_there_when_the_master_is_lost(
    hour: Sequence[ClusterSnapshot], master: Master
) -> None:
    copy = master.copy()
    copy.remember([encode_snapshot(one) for one in hour[-70:]])
    replay = Replay(copy)
    assert come_to(replay, Way.TO, 3300)[0] == 3300
    master.lost = MasterLost("connection refused")
    asked = len(master.asked)
    assert come_to(replay, Way.TO, 3598)[0] == 3598
    assert come_to(replay, Way.TO, 3350)[0] == 3350
    assert come_to(replay, Way.TO, 20)[0] != 20  # it was not read in time
    assert "connection refused" in copy.trouble
    assert len(master.asked) == asked + 1  # and the others did not wait for an answer
    master.now, master.lost = ASK_AGAIN_S, None
    assert come_to(replay, Way.TO, 20)[0] == 20
    assert copy.trouble == ""


def test_what_is_written_later_is_fetched_later(
    hour: Sequence[ClusterSnapshot], master: Master
) -> None:
    copy = master.copy()
    copy.remember([encode_snapshot(hour[3539])])
    replay = Replay(copy)
    assert come_to(replay, Way.TO, 3530)[0] == 3530
    write(master.path, hour)
    copy.remember([encode_snapshot(hour[-1])])
    master.now = ASK_AGAIN_S
    assert come_to(replay, Way.FORWARD)[0] == 3590


def test_what_a_master_took_with_it_is_shown_as_it_was_seen_here(
    hour: Sequence[ClusterSnapshot], master: Master
) -> None:
    write(master.path, [*hour[:3300], *hour[3380:3540]])  # it was killed, and came back
    copy = master.copy()
    copy.remember([encode_snapshot(one) for one in hour[-250:]])
    replay = Replay(copy)
    times = [NOON + 3370.0]
    assert come_to(replay, Way.TO, 3370)[0] == 3370
    for _ in range(40):
        moved = replay.move(Move(Way.FORTH))
        assert moved.snapshot is not None
        times.append(moved.snapshot.taken_at)
    assert times == sorted(times) and 3405 <= times[-1] - NOON <= 3412
    assert come_to(replay, Way.TO, 3345)[1].startswith("nothing is recorded between")


def test_of_nothing_there_is_nothing_to_show(master: Master) -> None:
    master.path.unlink()
    copy = master.copy()
    with pytest.raises(DataError, match="nothing is recorded yet"):
        Replay(copy).move(Move(Way.BACK))
    copy.remember([encode_snapshot(snapshot_at(second)) for second in range(5)])
    assert come_to(Replay(copy), Way.BACK) == (3, "")


def damaged(data: bytes) -> bytes:
    return data[:-40] + bytes(40)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _data: None, "there is no file"),
        (lambda _data: b"", "nothing is recorded in"),
        (lambda _data: b"some text", "nothing is recorded in"),
        (damaged, "damaged"),
        (lambda data: data[:-1], "nothing is recorded in"),  # cut off within its only block
    ],
)
def test_why_a_file_cannot_be_replayed(
    change: Callable[[bytes], bytes | None], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.recording"
    data = change(blocks(snapshots(range(30))))
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError, match=said):
        RecordedFile(str(path))


def test_a_port_on_which_no_master_ran() -> None:
    with pytest.raises(DataError, match="no master has run on that port"):
        RecordedFile("1")
