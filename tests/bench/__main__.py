"""What a lookup costs, in echoes: `python -m tests.bench`.

One run starts everything it measures, takes the rows in turn, round after round (a noisy
machine then disturbs all of them alike), and prints the median of each row's rounds with its
ratio to a raw RPyC echo over one hop with a kept method.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import rpyc

from nodes.catalog import Catalog, ensure_catalog
from nodes.client import Client
from nodes.paths import shipped_data
from nodes.token import ensure_token
from tests.kit import Node, hosted

ECHO = """
import rpyc, sys
from rpyc.utils.server import ThreadedServer
class Echo(rpyc.Service):
    def exposed_echo(self, text):
        return text
server = ThreadedServer(Echo, hostname="127.0.0.1", port=0)
print(server.port, flush=True)
server.start()
"""


TCP = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sock, _ = listener.accept()
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while data := sock.recv(65536):
    sock.sendall(data)
"""


def measure(rows: dict[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, float]:
    """Seconds of one call of each row: the median over rounds."""
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, call in rows.items():
            began = time.perf_counter()
            for _ in range(calls):
                call()
            taken[name].append((time.perf_counter() - began) / calls)
    return {name: statistics.median(times) for name, times in taken.items()}


def lookups(rounds: int, calls: int) -> None:
    """Prints the cost of one lookup, one client at a time."""
    with ExitStack() as stack:
        echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
        stack.callback(echo.wait)
        stack.callback(echo.terminate)
        assert echo.stdout is not None
        raw = stack.enter_context(rpyc.connect("127.0.0.1", int(echo.stdout.readline())))
        tcp = subprocess.Popen([sys.executable, "-c", TCP], stdout=subprocess.PIPE, text=True)
        stack.callback(tcp.wait)
        stack.callback(tcp.terminate)
        assert tcp.stdout is not None
        sock = stack.enter_context(
            socket.create_connection(("127.0.0.1", int(tcp.stdout.readline())))
        )
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cluster = stack.enter_context(Node("up", "--workers", "2", "--port", "0", "--json"))
        address = cluster.ready["master"]
        host, _, port = address.rpartition(":")
        plain = stack.enter_context(rpyc.connect(host, int(port)))
        client = stack.enter_context(Client(address))
        reader = stack.enter_context(Catalog.open(ensure_catalog(shipped_data()).path).reader())
        kept_echo, kept_verb = raw.root.echo, plain.root.getbyname
        text = "x" * 200  # about what a lookup of one record answers
        rows: dict[str, Callable[[], object]] = {
            "raw RPyC echo, kept method, one hop": lambda: kept_echo(text),
            "raw TCP echo, one hop": lambda: sock.send(text.encode()) and sock.recv(65536),
            "lookup, plain rpyc, kept method": lambda: json.loads(kept_verb("xander")),
            "lookup, Client": lambda: client.getbyname("xander"),
            "in-process SQLite": lambda: json.loads(reader.find("getbyname", ("xander",)).body),
        }
        measure(rows, 1, 200)  # warm
        costs = measure(rows, rounds, calls)
    base = costs["raw RPyC echo, kept method, one hop"]
    print(f"{'':38} {'us/call':>9} {'calls/s':>9} {'echoes':>7}")
    for name, cost in costs.items():
        print(f"{name:38} {cost * 1e6:9.1f} {1 / cost:9.0f} {cost / base:7.2f}")


def start_times(rounds: int) -> None:
    """Prints how long a worker takes to be ready, beside the import it cannot do without."""

    def imports() -> None:
        subprocess.run([sys.executable, "-c", "import rpyc, sqlite3"], check=True)

    with tempfile.TemporaryDirectory() as folder, hosted(0) as cluster:
        path = Path(folder, "many.jsonl")
        with path.open("w") as file:
            for n in range(1_000_000):
                file.write(f'{{"name":"n{n}","location":"c{n % 997}","year":{1990 + n % 36}}}\n')
        sizes = {
            "264 records": ensure_catalog(shipped_data()).path,
            "a million records": ensure_catalog(Path(folder)).path,
        }

        def start(catalog: str) -> None:
            with Node("worker", "--master", cluster.address, "--catalog", catalog, "--json"):
                stopped.append(time.perf_counter())

        stopped: list[float] = []
        # A dataset has its own cluster; these two only share the file's form.
        taken: dict[str, list[float]] = {k: [] for k in ("import rpyc, sqlite3", *sizes)}
        for _ in range(rounds):
            began = time.perf_counter()
            imports()
            taken["import rpyc, sqlite3"].append(time.perf_counter() - began)
            for name, catalog in sizes.items():
                began = time.perf_counter()
                start(catalog)
                taken[name].append(stopped.pop() - began)
    base = statistics.median(taken["import rpyc, sqlite3"])
    print(f"\n{'worker ready, with':38} {'ms':>9}   limit {1.5 * base * 1000 + 100:.0f} ms")
    for name, times in taken.items():
        print(f"{name:38} {statistics.median(times) * 1000:9.0f}")


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        ensure_token()
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} cores, "
            f"{time.strftime('%Y-%m-%d')}, median of {options.rounds} rounds of "
            f"{options.calls} calls"
        )
        lookups(options.rounds, options.calls)
        start_times(min(options.rounds, 9))


if __name__ == "__main__":
    main()
