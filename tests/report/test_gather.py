"""What a report is made of, where it lies on disk: whole, copied, damaged, or not there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from nodes.cli import cli
from nodes.errors import DataError
from nodes.master.journal_file import JournalFile, Noted, journal_file
from nodes.master.recording import SUFFIX
from nodes.master.recording_blocks import encode_block, encode_snapshot
from nodes.report.figures import build_report
from nodes.report.gather import end_of, material_in
from nodes.report.model import Report
from nodes.wire import ClusterSnapshot
from tests.console.fakes import NOON
from tests.report.kit import RATE, event, seconds_of, snapshot

MINUTE = [snapshot(n) for n in range(61)]


def write_journal(path: Path, snapshots: Iterable[ClusterSnapshot]) -> None:
    """The journal of a master that began at noon."""
    file = JournalFile(path, clock=lambda: NOON, steady=lambda: NOON, keep_bytes=10**9)
    noted = [Noted(event(0, "started", ""), NOON)]
    for second in seconds_of(snapshots):
        file.write(noted, second)
        noted = []
    file.close()


def write_recording(path: Path, snapshots: Iterable[ClusterSnapshot]) -> Path:
    """A recording of these."""
    path.write_bytes(encode_block([encode_snapshot(one) for one in snapshots]))
    return path


def report_in(recording: Path, first: float = 0.0, last: float = 60.0) -> Report:
    """The report of a file."""
    with material_in(recording, NOON + first, NOON + last) as found:
        return build_report(found, first=NOON + first, last=NOON + last, made_at=NOON + 3600)


def test_a_recording_that_was_copied_needs_no_journal_but_takes_the_one_beside_it(
    tmp_path: Path,
) -> None:
    recording = write_recording(tmp_path / f"1{SUFFIX}", MINUTE[:31])
    assert end_of(recording) == NOON + 30
    alone = report_in(recording)
    assert alone.totals.answered == 30 * RATE
    assert ["there is no journal" in note for note in alone.notes] == [True]
    write_journal(tmp_path / "1.sqlite3", MINUTE)
    both = report_in(recording)
    assert both.totals.answered == 60 * RATE, "of each second that was not recorded as well"
    assert both.events.counts == {"started": 1}
    assert ["of 30s only the totals are known" in note for note in both.notes] == [True]


def test_what_is_damaged_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / f"1{SUFFIX}", MINUTE)
    write_journal(tmp_path / "1.sqlite3", MINUTE)
    (tmp_path / "1.sqlite3").write_bytes(b"no journal at all" * 100)
    report = report_in(recording)
    assert report.totals.answered == 60 * RATE
    assert any("cannot be read" in note for note in report.notes)
    write_journal(tmp_path / "2.sqlite3", MINUTE)
    broken = tmp_path / f"2{SUFFIX}"
    broken.write_bytes(recording.read_bytes()[:-9] + b"otherwise")
    assert report_in(broken).totals.answered == 60 * RATE
    assert "a block of the recording is damaged" in report_in(broken).notes


def test_a_time_of_which_nothing_is_there_says_of_which_there_is(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / f"1{SUFFIX}", MINUTE)
    with pytest.raises(DataError, match="add --until 2025-12-31T12:01:00"):
        report_in(recording, 7200, 7260)
    with pytest.raises(DataError, match="there is no recording"):
        report_in(tmp_path / "none", 0, 60)


def test_the_journal_shows_each_second_s_verdict_and_each_worker_s_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROLLCALL_STATE", str(tmp_path))
    path = journal_file(1)
    write_journal(path, MINUTE)
    write_recording(path.with_suffix(SUFFIX), MINUTE)

    def shown(*args: str) -> list[str]:
        done = CliRunner().invoke(
            cli, ["journal", "--master", "127.0.0.1:1", "--since", "9999d", *args]
        )
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    head, *lines = shown("--figures", "--most", "5")
    assert head.split()[-1] == "VERDICT" and len(lines) == 5
    assert all(line.endswith("HEALTHY") for line in lines)
    head, *lines = shown("--worker", "w2", "--most", "5")
    assert len(lines) == 5 and lines[-1].split()[1:3] == ["w2", "up"]
    assert str(30 * RATE) in lines[-1].split()
    both = [json.loads(line) for line in shown("--worker", "w*", "--most", "4", "--json")]
    assert [one["id"] for one in both] == ["w1", "w2", "w1", "w2"]
    assert both[-1]["at"] == NOON + 60
    nothing = ["rollcall-nodes: nothing was recorded of w9 in that time"]
    assert shown("--worker", "w9") == shown("--worker", "w9", "--json") == nothing
