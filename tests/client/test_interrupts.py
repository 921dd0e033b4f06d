"""Interrupts inside calls: a Ctrl-C, or a time limit that a signal handler raises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit import PATIENCE, Node

ROOT = Path(__file__).parent.parent.parent

INTERRUPTED = """
import gc, os, random, signal, sys
from nodes import Client

random.seed(17)

def interrupt(*_signal):
    raise KeyboardInterrupt

def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))

with Client(sys.argv[1], direct=sys.argv[2] == "direct", timeout=10.0) as client:
    expected = client.getbyname("xander")
    before = descriptors()
    signal.signal(signal.SIGALRM, interrupt)
    interrupts = 0
    for _ in range(400):
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.001))
            while True:
                assert client.getbyname("xander") == expected
        except KeyboardInterrupt:
            interrupts += 1
    for _ in range(100):
        assert client.getbyname("xander") == expected
    print(interrupts, descriptors() - before)
    if sys.argv[2] == "direct":
        # Turns that leaked would have the worker seem busy, and the other asked alone.
        print(sorted({client.page("getbyname", "xander").worker for _ in range(20)}))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
@pytest.mark.parametrize("way", ["master", "direct"])
def test_interrupts_leak_nothing_and_leave_no_call_half_done(way: str) -> None:
    with Node("up", "--port", "0", "--workers", "2", "--json") as node:
        done = subprocess.run(
            [sys.executable, "-c", INTERRUPTED, node.ready["master"], way],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 4,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    interrupts, descriptors, *workers = done.stdout.split(None, 2)
    assert int(interrupts) == 400
    assert int(descriptors) <= 2  # a connection to each worker may be a new one
    if way == "direct":
        assert workers == ["['w1', 'w2']\n"]
