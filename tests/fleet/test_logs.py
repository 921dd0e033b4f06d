"""The output of workers: run after run, each between the lines that tell of its start and end."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

import pytest

from nodes.fleet import log_file
from nodes.fleet import logs as module
from nodes.fleet.logs import MARK, STARTED, Logs
from tests.catalog.test_keeping import full_disk


def run_of(logs: Logs, said: bytes, ended: str) -> None:
    logs.begin("w1").write(said)
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
    logs.begin("w1").write(b"two\n\nthree\nfour\nfive\n")
    assert logs.last_words("w1") == "three | four | five"
    logs.forget("w1")
    assert logs.last_words("w2") == ""


def test_what_was_put_aside_stands_before_a_log_that_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "MAX_LOG_BYTES", 100_000)
    logs = Logs(tmp_path)
    lines = [b"line %d\n" % number for number in range(20_000)]
    log = logs.begin("w1")
    for line in lines:
        log.write(line)
    logs.note_end("w1", "killed by SIGSEGV")
    run_of(logs, b"new\n", "killed by SIGKILL")
    sizes = [(tmp_path / name).stat().st_size for name in ("w1.log.1", "w1.log")]
    assert all(0 < size <= 100_000 for size in sizes)
    end, text = logs.part("w1")
    assert end == (tmp_path / "w1.log").stat().st_size
    assert 60_000 < len(text) <= module.PART
    said = text.splitlines()
    assert said[0].startswith("line ")
    assert said[-5] == "line 19999"
    assert said[-4].endswith("killed by SIGSEGV ---")
    assert logs.part("w1", end) == (end, "")


class Clock:
    """Seconds, as a test has them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("trouble", ["no folder", "full disk"])
def test_what_cannot_be_written_is_dropped_and_counted_until_it_can(
    tmp_path: Path, trouble: str
) -> None:
    clock, heard = Clock(), list[str]()
    folder = tmp_path / "logs"
    log = log_file.LogFile(folder / "w1.log", heard.append, clock)
    with contextlib.ExitStack() as stack:
        if trouble == "no folder":
            folder.write_text("a file where the folder should be")
            stack.callback(folder.unlink)
        else:
            stack.enter_context(full_disk(0))
        for _ in range(3):
            log.write(b"lost\n")
        clock.now += log_file.RETRY_EVERY_S
        log.write(b"lost\n")
        assert log.dropped == 20
        assert len(heard) == 1, "said once"
    log.write(b"too soon\n")
    clock.now += log_file.RETRY_EVERY_S
    log.look()
    assert heard[1:] == [""]
    log.write(b"kept\n")
    log.close()
    assert (folder / "w1.log").read_text() == "(29 bytes were dropped here)\nkept\n"
    assert log.dropped == 29


def test_a_log_that_is_removed_is_made_anew(tmp_path: Path) -> None:
    log = log_file.LogFile(tmp_path / "logs" / "w1.log")
    log.write(b"one\n")
    shutil.rmtree(tmp_path / "logs")
    log.write(b"two\n")
    assert (tmp_path / "logs" / "w1.log").read_bytes() == b"two\n"
    assert log.dropped == 0
    log.close()


def test_one_event_tells_that_output_is_dropped_and_one_that_it_is_kept_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "RETRY_EVERY_S", 0.0)
    noted: list[tuple[str, str]] = []
    folder = tmp_path / "logs"
    folder.write_text("a file where the folder should be")
    logs = Logs(folder, lambda kind, text: noted.append((kind, text)))
    for worker_id in ("w1", "w2", "w3"):
        logs.begin(worker_id).write(b"lost\n")
    assert [kind for kind, _ in noted] == ["output_dropped"]
    assert logs.trouble == "what workers print is dropped: file exists"
    logs.forget("w3")
    folder.unlink()
    logs.look()
    assert logs.trouble == ""
    assert [kind for kind, _ in noted] == ["output_dropped", "output_kept"]
    assert re.search(r"[1-9]\d* bytes were dropped", noted[1][1])
    logs.forget("w1")
    logs.forget("w2")
