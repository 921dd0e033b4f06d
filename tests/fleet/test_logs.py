"""The output of workers: run after run, each between the lines that tell of its start and end."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.fleet import logs as module
from nodes.fleet.logs import MARK, STARTED, Logs


def run_of(logs: Logs, said: bytes, ended: str) -> None:
    with logs.open("w1") as log:
        log.write(said)
    logs.note_end("w1", ended)


def test_each_run_is_told_from_the_one_before(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    run_of(logs, b"one\n", "exited with status 0")
    run_of(logs, b"two\nthree\n\nfour\nfive\n", "killed by SIGKILL")
    end, text = logs.part("w1")
    assert end == len(text)
    lines = text.splitlines()
    marks = [found[2] for line in lines if (found := MARK.fullmatch(line))]
    assert marks == [STARTED, "exited with status 0", STARTED, "killed by SIGKILL"]
    assert logs.part("w1", end) == (end, "")
    assert logs.last_words("w1") == "", "the run is over, and the next has said nothing"


def test_last_words_are_of_the_last_run(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    run_of(logs, b"one\n", "exited with status 0")
    with logs.open("w1") as log:
        log.write(b"two\n\nthree\nfour\nfive\n")
    assert logs.last_words("w1") == "three | four | five"
    assert logs.last_words("w2") == ""


def test_what_was_put_aside_stands_before_a_log_that_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LOG_BYTES", 1000)
    logs = Logs(tmp_path)
    old = b"".join(b"line %d\n" % number for number in range(20_000))
    run_of(logs, old, "killed by SIGSEGV")
    run_of(logs, b"new\n", "killed by SIGKILL")
    assert (tmp_path / "w1.log.1").read_bytes().count(b"\n") == 20_002
    end, text = logs.part("w1")
    assert end == (tmp_path / "w1.log").stat().st_size
    assert 60_000 < len(text) <= module.PART
    lines = text.splitlines()
    assert lines[0].startswith("line ")
    assert lines[-5] == "line 19999"
    assert lines[-4].endswith("killed by SIGSEGV ---")
    assert logs.part("w1", end) == (end, "")


def test_where_nothing_can_be_written_nothing_is_lost_by_it(tmp_path: Path) -> None:
    Logs(tmp_path / "none").note_end("w1", "killed by SIGKILL")
    assert not (tmp_path / "none").exists()
