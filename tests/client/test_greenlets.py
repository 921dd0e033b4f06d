"""A client in a process whose threads and sockets gevent has replaced."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.kit import PATIENCE, Node, make_tls

ROOT = Path(__file__).parent.parent.parent

HEAD = """
from gevent import monkey
monkey.patch_all()
import gevent, sys, time
from nodes import Client
"""

MANY = """
address, tls = sys.argv[1], sys.argv[2] or None
with Client(address, timeout=5.0, tls=tls) as client:
    def ask():
        return sum(len(client.getbyname("xander")) for _ in range(10))
    jobs = [gevent.spawn(ask) for _ in range(10)]
    gevent.joinall(jobs, raise_error=True, timeout=30)
    print(sum(job.value for job in jobs) == 100 * len(client.getbyname("xander")))
"""

SILENT = """
with Client(sys.argv[1], timeout=0.3) as client:
    with gevent.Timeout(20):
        began = time.monotonic()
        try:
            client.getbyname("xander")
        except Exception as error:
            print(type(error).__name__, 0.25 < time.monotonic() - began < 15)
"""

DIRECT = """
try:
    Client(sys.argv[1], direct=True)
except Exception as error:
    print(type(error).__name__, "leave direct=True out" in str(error))
"""


def run(code: str, *args: str) -> str:
    """What that prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code, *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 4,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_many_greenlets_share_a_client() -> None:
    with Node("up", "--port", "0", "--workers", "1", "--json") as node:
        assert run(MANY, node.ready["master"], "") == "True"


def test_with_tls_as_well(tmp_path: Path) -> None:
    tls = str(make_tls(tmp_path))
    with Node("up", "--port", "0", "--workers", "1", "--tls", tls, "--json") as node:
        assert run(MANY, node.ready["master"], tls) == "True"


def test_the_timeout_holds_where_a_greenlet_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert run(SILENT, f"127.0.0.1:{silent.getsockname()[1]}") == "MasterLost True"


def test_a_direct_client_is_refused_in_words() -> None:
    assert run(DIRECT, "127.0.0.1:1") == "StartError True"
