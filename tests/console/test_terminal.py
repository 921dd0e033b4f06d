"""All ways out, in a real terminal: it is put back as it was, and the cluster is let go."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.kit import poll_for

PATIENCE = 20.0
"""Seconds for a console to come up, or to go: it has workers to start, and to let go."""

ALTERNATE_SCREEN, MAIN_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
MOUSE_ON, MOUSE_OFF = b"\x1b[?1000h", b"\x1b[?1000l"
PASTE_OFF = b"\x1b[?2004l"


class Terminal:
    """A console at work in a terminal of its own."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.primary, self.secondary = pty.openpty()
        width, height = 100, 30
        fcntl.ioctl(self.secondary, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.before = self.modes()
        self.output = b""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "console", "--port", "0", "--workers", "1"],
            stdin=self.secondary,
            stdout=self.secondary,
            stderr=self.secondary,
            start_new_session=True,
            preexec_fn=self._take_terminal,  # noqa: PLW1509 - this process has no threads by then
            env={**os.environ, "TERM": "xterm-256color", **(environment or {})},
        )

    def _take_terminal(self) -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def modes(self) -> list[Any]:
        """How the terminal is set."""
        return termios.tcgetattr(self.secondary)

    def read(self) -> bytes:
        """All that was written so far."""
        while self.primary >= 0 and select.select([self.primary], [], [], 0.01)[0]:
            try:
                self.output += os.read(self.primary, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                break
        return self.output

    def wait_for(self, text: bytes) -> None:
        """Waits until it has written that."""
        poll_for(lambda: text in self.read(), PATIENCE, f"{text!r} in {self.text()[-2000:]}")

    def text(self) -> str:
        """What was written, without the sequences that move and colour."""
        return re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", self.output).decode(errors="replace")

    def type(self, keys: bytes) -> None:
        """Types."""
        os.write(self.primary, keys)

    def ended(self) -> int:
        """Waits for its end, and returns its exit status."""

        def look() -> bool:
            self.read()
            return self.process.poll() is not None

        poll_for(look, PATIENCE, "the console ends")
        self.read()
        return self.process.returncode

    def close(self) -> None:
        """Ends it in any case."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        for descriptor in (self.primary, self.secondary):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A console that hosts a cluster of one worker, which is up."""
    opened = Terminal()
    try:
        opened.wait_for(b"HEALTHY")
        yield opened
    finally:
        opened.close()


def workers_of(terminal: Terminal) -> list[psutil.Process]:
    """The worker processes that it has started."""
    return psutil.Process(terminal.process.pid).children(recursive=True)


def is_put_back(terminal: Terminal) -> bool:
    """Whether the terminal is as it was: main screen, no mouse, no paste mode, cooked."""
    written = terminal.output
    return (
        written.rfind(MAIN_SCREEN) > written.rfind(ALTERNATE_SCREEN)
        and written.rfind(MOUSE_OFF) > written.rfind(MOUSE_ON)
        and PASTE_OFF in written
        and terminal.modes() == terminal.before
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "way",
    [
        signal.SIGTERM,
        "q",
        *(pytest.param(way, marks=pytest.mark.long) for way in (signal.SIGHUP, "ctrl+c")),
    ],
    ids=str,
)
def test_every_way_out_puts_the_terminal_back_and_lets_go(
    terminal: Terminal, way: signal.Signals | str
) -> None:
    workers = workers_of(terminal)
    assert workers
    assert terminal.modes() != terminal.before
    if isinstance(way, signal.Signals):
        terminal.process.send_signal(way)
    else:
        terminal.type(b"q" if way == "q" else b"\x03")
        terminal.wait_for(b"Quit?")
        terminal.type(b"y")
    assert terminal.ended() == 0
    assert is_put_back(terminal)
    assert not any(worker.is_running() for worker in workers)
    assert b"Traceback" not in terminal.output


@pytest.mark.timeout(120)
def test_frozen_workers_are_thawed_on_a_signal(terminal: Terminal) -> None:
    workers = workers_of(terminal)
    terminal.type(b"f")
    terminal.wait_for(b"Freeze w1?")
    terminal.type(b"y")
    terminal.wait_for(b"frozen w1")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ended() == 0
    assert is_put_back(terminal)
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.timeout(120)
def test_a_terminal_that_is_closed_ends_it_and_its_workers(terminal: Terminal) -> None:
    workers = workers_of(terminal)
    os.close(terminal.secondary)
    os.close(terminal.primary)
    terminal.primary = terminal.secondary = -1
    poll_for(lambda: terminal.process.poll() is not None, PATIENCE, "the console ends")
    poll_for(lambda: not any(worker.is_running() for worker in workers), PATIENCE, "workers end")


@pytest.mark.timeout(120)
def test_ctrl_z_puts_the_terminal_back_and_fg_goes_on(terminal: Terminal) -> None:
    terminal.type(b"\x1a")
    stopped = psutil.Process(terminal.process.pid)
    poll_for(
        lambda: terminal.read() and stopped.status() == psutil.STATUS_STOPPED, PATIENCE, "stopped"
    )
    terminal.read()  # what it wrote just before
    assert is_put_back(terminal)
    shown = len(terminal.output)
    terminal.process.send_signal(signal.SIGCONT)
    poll_for(lambda: ALTERNATE_SCREEN in terminal.read()[shown:], PATIENCE, "the screen again")
    poll_for(lambda: b"Workers" in terminal.read()[shown:], PATIENCE, "drawn again")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ended() == 0
    assert is_put_back(terminal)


@pytest.mark.timeout(120)
def test_a_terminal_without_a_screen_gets_none() -> None:
    opened = Terminal({"TERM": "dumb"})
    try:
        opened.wait_for(b"ready: ")
        assert "TERM=dumb" in opened.text()
        assert b"\x1b" not in opened.output
        opened.process.send_signal(signal.SIGTERM)
        assert opened.ended() == 0
    finally:
        opened.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("environment", "coloured", "plain"),
    [
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, True, True),
        pytest.param({"NO_COLOR": "1"}, False, False, marks=pytest.mark.long),
        pytest.param({"TERM": "xterm"}, True, False, marks=pytest.mark.long),
    ],
    ids=["C", "no colour", "16 colours"],
)
def test_poor_terminals_are_shown_what_they_can_show(
    environment: dict[str, str], coloured: bool, plain: bool
) -> None:
    opened = Terminal(environment)
    try:
        opened.wait_for(b"HEALTHY")
        if plain:
            assert opened.text().isascii()
        colours = re.findall(rb"\x1b\[([0-9;]*)m", opened.output)
        told = [code for code in colours if b"8;2;" in code or b"8;5;" in code]
        if environment.get("TERM") == "xterm":
            assert not told
        if not coloured:
            values = {code for code in told if not _is_grey(code)}
            assert not values
        opened.process.send_signal(signal.SIGTERM)
        assert opened.ended() == 0
        assert is_put_back(opened)
    finally:
        opened.close()


def _is_grey(code: bytes) -> bool:
    """Whether the true colours in a sequence have no hue."""
    found = re.findall(rb"8;2;(\d+);(\d+);(\d+)", code)
    return all(len(set(parts)) == 1 for parts in found)


def test_settings_of_no_use_are_told_before_there_is_a_screen(tmp_path: Path) -> None:
    settings = tmp_path / "console.toml"
    settings.write_text('[keys]\nkill = "d"\n')
    refused = Terminal({"ROLLCALL_SETTINGS": str(settings)})
    try:
        assert refused.ended() == 2
        assert refused.text().startswith(f"rollcall: {settings}, line 2: [keys] kill: ")
        assert ALTERNATE_SCREEN not in refused.output
    finally:
        refused.close()
