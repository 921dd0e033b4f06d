"""What a lookup costs, beside what else could answer it: `python -m tests.bench`.

One run starts everything it measures: Rollcall, and each peer that is installed (the `bench`
extra, and Debian's redis-server). `--growth` draws how the cost grows instead. `python -m
tests.bench.screen` measures the console.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path

from nodes.security.tokens import ensure_token
from tests.bench import peers
from tests.bench.compare import RECORDS, compare
from tests.bench.growth import PICTURE, growth
from tests.bench.start import start_times


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each row and round")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=peers.NAMES,
        help="only this peer, beside the floor and ours",
    )
    parser.add_argument(
        "--growth", action="store_true", help=f"measure growth, and draw {PICTURE.name}"
    )
    parser.add_argument("--large", action="store_true", help="with --growth: 10 million records")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended then, too
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        ensure_token()
        print(
            f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"{time.strftime('%Y-%m-%d')}; medians of {options.rounds} rounds of "
            f"{options.seconds:g} s"
        )
        if options.growth:
            lines = growth(
                Path(folder), rounds=options.rounds, seconds=options.seconds, large=options.large
            )
            print("\n".join(lines))
            return
        print(f"{RECORDS:,} records, one found by each lookup\n")
        print("\n".join(compare(only=options.only, rounds=options.rounds, seconds=options.seconds)))
        start_times(options.rounds)


if __name__ == "__main__":
    main()
