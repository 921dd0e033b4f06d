"""Prints the table of promises in docs/faults.md: `python -m tests.faults [SECONDS]`."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time

from nodes.security.tokens import ensure_token
from tests.faults.scenarios import BUSY, FAULTS, run_fault

BUSY_SECONDS = 60.0
"""Long enough that a probe would be missed three times, were the busy machine blamed on workers."""


def main() -> None:
    """Runs every fault for some seconds each."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{seconds:g} s each\n"
    )
    print("| what goes wrong | lookups | errors | wrong | slowest | found out after |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        ensure_token()
        for name in FAULTS:
            least = max(seconds, BUSY_SECONDS) if name == BUSY else seconds
            seen = run_fault(name, lookups=200, least=least)
            found = "" if seen.found_out is None else f"{seen.found_out:.2f} s"
            print(
                f"| {name} | {seen.lookups} | {len(seen.errors)} | {len(seen.wrong)} "
                f"| {seen.slowest * 1000:.0f} ms | {found} |",
                flush=True,
            )
            for error in seen.errors[:3]:
                print(f"  {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
