"""Everything from outside is text: in logs, in what commands print, in the names of files."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from nodes.catalog import ensure_catalog
from nodes.cli import cli
from nodes.errors import BadRequest, DataError, UnknownWorker
from nodes.fleet.logs import Logs
from nodes.master.events import EventLog
from nodes.master.journal import Journal
from nodes.master.journal_file import journal_file
from nodes.master.recorder import Recorder
from nodes.master.recording import recording_file
from nodes.support.background_stream import BackgroundStream
from nodes.support.event_kinds import EventKind
from nodes.support.log_lines import JsonLogFormatter, LogFormatter
from nodes.support.text import encodable_json, printable, printable_json
from nodes.transport import Service, Utf8
from nodes.wire import (
    ClusterSnapshot,
    Description,
    Event,
    LookupShape,
    Reloaded,
    WorkerView,
    answer_envelope,
    answer_part,
    error_envelope,
    result_envelope,
)
from tests.console.fakes import cluster_snapshot, worker_view
from tests.kit import ServerThread

EVIL = "a\x1b[2J\r\n2026-01-01 00:00:00,000 WARNING rollcall: forged\x9b31m\u202e\u2028\x00b"


def harmless(text: str) -> bool:
    """Whether it can do nothing to a terminal but fill it."""
    return all(line.isprintable() for line in text.split("\n"))


# -- logs ----------------------------------------------------------------------------


def logged(
    log: Callable[[logging.Logger], None], formatter: logging.Formatter | None = None
) -> str:
    """What a log has of it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter or LogFormatter())
    logger = logging.Logger("rollcall.test")
    logger.addHandler(handler)
    log(logger)
    return stream.getvalue()


@given(st.text())
def test_a_record_is_one_line(text: str) -> None:
    written = logged(lambda logger: logger.warning("said %s", text))
    assert written.count("\n") == 1
    assert harmless(written)
    time_said, said = written.split(" ", 1)
    assert said.startswith("WARNING rollcall.test: said ")
    assert datetime.fromisoformat(time_said).utcoffset() is not None


@given(st.text())
def test_a_record_is_one_line_of_json_as_well(text: str) -> None:
    def fail(logger: logging.Logger) -> None:
        try:
            raise ValueError(text)
        except ValueError:
            logger.exception("said %s", text, extra={"request_id": "0123456789ab"})

    written = logged(fail, JsonLogFormatter())
    assert written.count("\n") == 1
    assert harmless(written)
    entry = json.loads(written)
    said = entry["message"].removeprefix("said ")
    assert said == text
    assert "ValueError" in entry["traceback"]
    assert (entry["level"], entry["logger"]) == ("ERROR", "rollcall.test")
    assert entry["request_id"] == "0123456789ab"
    assert datetime.fromisoformat(entry["time"]).utcoffset() is not None


def test_events_are_lines_and_bad_ones_are_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rollcall.events")
    log = EventLog()
    log.note(EventKind.LOST, "w2", "its connection ended")
    log.note(EventKind.STARTED, "", "the master")
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("WARNING", "lost w2: its connection ended"),
        ("INFO", "started -: the master"),
    ]
    entry = json.loads(JsonLogFormatter().format(caplog.records[0]))
    assert (entry["event"], entry["worker"], entry["number"]) == ("lost", "w2", 1)


def test_a_traceback_is_no_second_record() -> None:
    def fail(logger: logging.Logger) -> None:
        try:
            raise ValueError(EVIL)
        except ValueError:
            logger.exception("a request failed")

    written = logged(fail)
    assert harmless(written)
    first, *rest = written.splitlines()
    assert first.endswith("ERROR rollcall.test: a request failed")
    assert "Traceback" in rest[0]
    assert all(line.startswith("    ") for line in rest)


def test_a_log_that_nobody_reads_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with open(read) as reading, open(write, "w") as writing:  # noqa: PTH123 - a pipe's ends
        stream = BackgroundStream(writing, most=10)
        logger = logging.getLogger("rollcall.log")
        handler = logging.StreamHandler(stream)
        monkeypatch.setattr(logger, "propagate", False)
        logger.addHandler(handler)
        try:
            for number in range(1000):
                logger.warning("%d %s", number, "x" * 1000)
            lines = iter(reading.readline, "")
            assert next(lines).startswith("0 x")
            assert next(line for line in lines if line.endswith("as nobody read it\n"))
            stream.finish()
        finally:
            logger.removeHandler(handler)


def test_the_log_of_a_command_is_such_a_log_and_has_what_threads_did_not_catch() -> None:
    code = f"""
import logging, threading
from nodes.cli.log_options import log_to_stderr
log_to_stderr("info")
logging.getLogger("rollcall.events").warning("not asked for")
logging.getLogger("rollcall.worker").info("not registered: %s", {EVIL!r})
def fail():
    raise ValueError({EVIL!r})
thread = threading.Thread(target=fail, name="t")
thread.start()
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert harmless(done.stderr)
    records = [line for line in done.stderr.splitlines() if not line.startswith("    ")]
    assert len(records) == 2
    assert records[1].endswith("CRITICAL rollcall.cli: the thread t ended")


# -- what commands print -----------------------------------------------------------------


@given(st.text())
def test_json_of_the_same_meaning(text: str) -> None:
    line = printable_json(json.dumps({text: text}, ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == {text: text}


def test_plain_text_stays_as_it_is() -> None:
    for text in ("", "São Paulo", "東京", "a  b", "\N{PILE OF POO}"):
        assert printable(text) == printable_json(text) == text


class Evil(Service):
    """A master that puts the worst into every text there is."""

    def verb(self, name: str) -> Callable[..., object] | None:
        replies = {
            "snapshot": result_envelope(snapshot()),
            "events": result_envelope([Event(1, 0.0, EVIL, EVIL, EVIL)]),
            "spawn": result_envelope([EVIL]),
            "reload": result_envelope(Reloaded(EVIL, {EVIL: EVIL})),
            "describe": result_envelope(
                Description("d", "v", 1, (EVIL,), (EVIL,), (LookupShape("g", (EVIL,), ("text",)),))
            ),
            "suggest": result_envelope([EVIL, "fine"]),
            "lookup": answer_envelope(
                answer_part(
                    json.dumps([{EVIL: EVIL}], ensure_ascii=False).encode(),
                    count=1,
                    after=EVIL,
                    catalog=EVIL,
                    files=(EVIL,),
                ),
                worker=EVIL,
                attempts=1,
                elapsed_ms=1.0,
            ),
            "kill": error_envelope(BadRequest(EVIL)),
        }
        reply = replies.get(name, result_envelope(EVIL))
        return lambda *_args, **_named: Utf8(reply)


def snapshot() -> ClusterSnapshot:
    """One in which every text is the worst."""
    worker: WorkerView = worker_view(1, id=EVIL, address=EVIL, state=EVIL, why=EVIL, catalog=EVIL)
    return cluster_snapshot(
        [worker],
        taken_at=time.time(),
        address=EVIL,
        balance=EVIL,
        dataset=EVIL,
        catalogs=(EVIL,),
        activity=EVIL,
    )


@pytest.fixture
def evil() -> Iterator[str]:
    """Its address."""
    server = ServerThread(Evil)
    yield f"127.0.0.1:{server.address[1]}"
    server.stop()


@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize(
    "command",
    [
        ("ps",),
        ("events",),
        ("spawn",),
        ("scale", "2"),
        ("drain", "w1"),
        ("kill", "w1"),
        ("restart", "w1"),
        ("again", "w1"),
        ("clear",),
        ("reload",),
        ("lookup", "getbyname", "x"),
        ("lookup", "getbyname", EVIL),
    ],
)
def test_what_a_master_says_is_text(
    evil: str, command: tuple[str, ...], as_json: tuple[str, ...]
) -> None:
    done = CliRunner().invoke(cli, [*command, "--master", evil, *as_json])
    assert done.exit_code in (0, 2, 3), done.exception
    assert done.output
    assert harmless(done.output)
    for line in done.stdout.splitlines() if as_json else ():
        json.loads(line)


def test_what_is_offered_to_complete_is_text(evil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_MASTER", evil)
    for words, offered in (("lookup g ", ["fine"]), ("kill ", [])):
        environment = {
            "_ROLLCALL_NODES_COMPLETE": "bash_complete",
            "COMP_WORDS": f"rollcall-nodes {words}",
            "COMP_CWORD": str(len(words.split(" "))),
        }
        done = CliRunner().invoke(cli, [], prog_name="rollcall-nodes", env=environment)
        assert done.stdout.split() == [f"plain,{word}" for word in offered]


def test_what_a_journal_holds_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_STATE", str(tmp_path))
    path = journal_file(7)
    journal = Journal(path, snapshot, recorder=Recorder(recording_file(7)))
    journal.note(Event(1, time.time(), EVIL, EVIL, EVIL))
    journal.start()
    journal.close()
    for options in ((), ("--json",)):
        shown = CliRunner().invoke(
            cli, ["recording", "--master", "127.0.0.1:7", "--last", *options]
        )
        assert "forged" in shown.output
        assert harmless(shown.output)
        done = CliRunner().invoke(cli, ["journal", "--master", "127.0.0.1:7", *options])
        assert "forged" in done.output
        assert harmless(done.output)


# -- names of files --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/x", "w\0", "w\n", "-w", "é"])
def test_no_id_is_a_path(tmp_path: Path, name: str) -> None:
    logs = Logs(tmp_path / "logs")
    for use in (logs.file, logs.begin, logs.part):
        with pytest.raises(UnknownWorker):
            use(name)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../a.json", "/etc/a.json", "x/../../a.json", "..\\\\a.json"])
def test_a_dataset_names_no_file_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.json").write_text('[{"name": "ann"}]')
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "dataset.toml").write_text(f'files = ["{name}"]\n[lookups]\ngetbyname = ["name"]\n')
    with pytest.raises(DataError, match="not inside the folder"):
        ensure_catalog(folder)


def test_a_log_that_is_asked_for_by_a_path_is_none(tmp_path: Path) -> None:
    (tmp_path / "secret.log").write_text("secret")
    logs = Logs(tmp_path / "logs")
    logs.begin("w1").close()
    with pytest.raises(UnknownWorker):
        logs.part("../secret")
    end, text = logs.part("w1")
    assert text.endswith(" started ---\n")
    assert end == len(text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_json_text_can_be_sent_to_a_terminal_of_any_encoding(encoding: str) -> None:
    text = json.dumps({"é": "😀名\\"}, ensure_ascii=False)
    sent = encodable_json(text, encoding).encode(encoding)
    assert json.loads(sent.decode(encoding)) == json.loads(text)
    assert encodable_json(text, "utf-8") == text
