"""Every shell line and every Python snippet of the README and of docs/ is run, or this fails."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import click
import pytest

from console.__main__ import rollcall
from nodes.catalog import ensure_catalog
from nodes.cli import cli
from nodes.errors import CODES, DataError
from nodes.master.recording import Recording, recording_file
from nodes.support.addresses import parse_address
from nodes.wire import decode_envelope
from tests.kit import PATIENCE, Node, poll_for

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
}
BIN = Path(sys.executable).parent
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", "\n".join(PAGES.values()), re.M | re.S)

STORE_PAGE = "docs/store.md"
"""Its lines need a server: `tests/store/test_page.py` runs them."""

SET_UP = "python3 -m venv"
ACTIVATE = ". .venv/bin/activate"
BEFORE_COMMIT = ".venv/bin/ruff check"
LINES = [
    line
    for line in dict.fromkeys(
        line
        for kind, text in BLOCKS
        if kind == "sh" and text not in PAGES[STORE_PAGE]
        for line in text.strip().splitlines()
    )
    if not line.startswith((SET_UP, ACTIVATE, BEFORE_COMMIT))
]
SCREEN = [line for line in LINES if line.split()[0] == "rollcall"]
LAUNCH = [line for line in LINES if re.match(r"rollcall-nodes (up|master|worker)\b", line)]
SHELL = [line for line in LINES if line not in SCREEN + LAUNCH]
CHANGES = re.compile(r"rollcall-nodes (scale|spawn|drain|kill|restart|again|clear|reload|token)\b")
LINK = re.compile(r"\]\(([^)]+)\)")
PYTHON = [text for kind, text in BLOCKS if kind == "python"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster for the lines that talk to one, of which a first moment is recorded."""
    with Node("up", "--port", "0", "--json") as node:
        port = parse_address(node.ready["master"])[1]
        poll_for(lambda: is_recorded(port))
        yield node.ready["master"]


def is_recorded(port: int) -> bool:
    """Whether there is anything in the recording of the master on that port."""
    try:
        with Recording.open(recording_file(port)):
            return True
    except DataError:
        return False


def environment(address: str) -> dict[str, str]:
    """As after the README's installation, with the commands on the path."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "ROLLCALL_MASTER": address, "TERM": "xterm-256color"}


def test_every_block_is_of_a_kind_that_is_run_or_parsed() -> None:
    assert {kind for kind, _ in BLOCKS} == {"sh", "python", "toml", "json"}


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    readme = PAGES["README.md"]
    assert len(readme.splitlines()) <= 170
    for page in PAGES:
        assert page == "README.md" or f"]({page})" in readme


def test_the_readme_says_how_to_find_the_commands_before_it_uses_them() -> None:
    readme = PAGES["README.md"]
    assert 0 < readme.index(f"\n{ACTIVATE}\n") < readme.index("\nrollcall\n")


def test_the_two_commands_do_their_own_set_up() -> None:
    run, test = [line for line in PAGES["README.md"].splitlines() if line.startswith(SET_UP)]
    start = f"{SET_UP} .venv && .venv/bin/pip install -q -c constraints.txt "
    assert run == f"{start}. && .venv/bin/rollcall"
    assert test == f"{start}-e '.[test]' && .venv/bin/python -m pytest"
    tail = shlex.split(test.rpartition(".venv/bin/python ")[2])
    # The tests, from within the tests: only collected.
    collected = subprocess.run(
        [sys.executable, *tail, __file__, "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert collected.returncode == 0, collected.stdout
    assert "test_docs.py" in collected.stdout


def test_the_readme_shown_elsewhere_has_nothing_that_is_only_here() -> None:
    shown = metadata("rollcall-console").json["description"]
    assert isinstance(shown, str)
    assert "## Two commands" in shown
    assert all(link.startswith("https://") for link in LINK.findall(shown))


def test_what_is_run_before_a_commit_is_what_has_to_pass() -> None:
    [line] = [one for one in PAGES["docs/contributing.md"].splitlines() if BEFORE_COMMIT in one]
    assert set(line.split(" && ")) < set((ROOT / ".ci/run").read_text().splitlines())


@pytest.mark.parametrize("page", PAGES)
def test_a_page_links_to_what_is_there(page: str) -> None:
    for link in LINK.findall(PAGES[page]):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        found = (ROOT / page).parent / target
        assert found.exists(), link
        headings = re.findall(r"^#+ (.*)$", found.read_text(), re.M) if anchor else []
        assert not anchor or anchor in [one.lower().replace(" ", "-") for one in headings], link


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_modules_and_tests_that_are_there(page: str) -> None:
    for module in re.findall(r"python -m (tests[\w.]*)", PAGES[page]):
        assert importlib.util.find_spec(module), module
    for path in re.findall(r"`(tests/[\w./]*)`", PAGES[page]):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("line", [line for line in SHELL if not CHANGES.match(line)])
def test_a_shell_line_works(line: str, address: str, tmp_path: Path) -> None:
    _check(line, address, tmp_path)


@pytest.mark.parametrize("line", [line for line in SHELL if CHANGES.match(line)])
def test_a_shell_line_that_changes_a_cluster_works(line: str, tmp_path: Path) -> None:
    with Node("up", "--workers", "1", "--port", "0", "--json") as node:
        _check(line, node.ready["master"], tmp_path)


def _check(line: str, address: str, folder: Path) -> None:
    done = _shell(line, address, folder)
    assert done.returncode == 0, done.stderr
    for text in done.stdout.splitlines() if "--json" in line else ():
        json.loads(text)


def _shell(line: str, address: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        env=environment(address),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("code", PYTHON)
def test_a_python_snippet_works(code: str, address: str, tmp_path: Path) -> None:
    port = address.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-c", code.replace("23000", port)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("line", LAUNCH)
def test_a_launcher_line_comes_up(line: str, address: str) -> None:
    words = [word.replace("127.0.0.1:23000", address) for word in shlex.split(line)[1:]]
    words = ["0" if word == "23000" else word for word in words]
    with Node(*words) as node:
        assert node.ready_line.startswith("ready: ")


@pytest.mark.parametrize("line", SCREEN)
def test_the_console_comes_up_and_quits(line: str, address: str) -> None:
    words = shlex.split(line.replace("127.0.0.1:23000", address))
    replays = "--replay" in words
    if replays:
        words[-1] = address.rpartition(":")[2]
    elif "--attach" not in words:
        words += ["--port", "0"]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    process = subprocess.Popen(
        [BIN / words[0], *words[1:]],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(address),
        start_new_session=True,
    )
    os.close(slave)
    try:
        _read_until(master, b" REPLAY " if replays else b"3 up")
        os.write(master, b"q")
        if not replays:
            _read_until(master, b"Quit?")
            os.write(master, b"y")
        _read_until(master, None)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _read_until(descriptor: int, wanted: bytes | None) -> None:
    """Reads a terminal until it has shown `wanted`, or until its end for None."""
    seen = b""
    deadline = time.monotonic() + PATIENCE
    while wanted is None or wanted not in seen:
        assert time.monotonic() < deadline, seen[-2000:]
        if select.select([descriptor], [], [], 0.1)[0]:
            try:
                seen += os.read(descriptor, 65536)
            except OSError:  # its other end is closed
                assert wanted is None, seen[-2000:]
                return


def test_the_dataset_file_works(tmp_path: Path) -> None:
    text, whole = [text for kind, text in BLOCKS if kind == "toml" and "[lookups]" in text]
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "p.csv").write_bytes(b"nick;team;season;price;code\nZo\xeb;NA;3;1.50;7\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "p.json").write_text('{"rows": {"al": {"team": "red", "season": 3}}}')
    (tmp_path / "dataset.toml").write_text(whole)
    assert ensure_catalog(tmp_path).fields == ("nick", "season", "price", "code", "team")
    (tmp_path / "dataset.toml").write_text(text)
    (tmp_path / "players.csv").write_text("nick,team,season\nann,red,3\n")
    info = ensure_catalog(tmp_path)
    assert [one.name for one in info.lookups] == ["getbyteam", "getbynick"]


def test_the_envelopes_shown_are_envelopes() -> None:
    good, bad = [decode_envelope(text) for kind, text in BLOCKS if kind == "json"]
    assert good.checked().count == len(good.result)
    assert bad.code in CODES


def test_the_table_of_codes_is_the_closed_list() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| `(\w+)` \|$", PAGES["docs/lookups.md"], re.M)
    assert dict(rows) == {code: error.__name__ for code, error in CODES.items()}


def test_the_table_of_options_is_what_there_is() -> None:
    rows = re.findall(
        r"^\| `(rollcall[^`]*)` \| ((?:`--[\w-]+` ?)+)\|$", PAGES["docs/operating.md"], re.M
    )
    listed = {_name(name): set(re.findall(r"--[\w-]+", options)) for name, options in rows}
    context = click.Context(cli)
    real: dict[str, set[str]] = {"rollcall": _options(rollcall)}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            for inner, one in command.commands.items():
                real[f"rollcall-nodes {name} {inner}"] = _options(one)
        else:
            real[f"rollcall-nodes {name}"] = _options(command)
    assert listed == real


def _name(usage: str) -> str:
    return " ".join(word for word in usage.split() if word.strip("[]").islower())


def _options(command: click.Command) -> set[str]:
    found = (one for one in command.params if isinstance(one, click.Option))
    return {max(one.opts, key=len) for one in found} - {"--version"}
