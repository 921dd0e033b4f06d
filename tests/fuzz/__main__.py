"""Fuzzes both ends: `python -m tests.fuzz [FRAMES] [--seed N]`; fails with what it found."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

from nodes.security.tokens import ensure_token
from tests.fuzz.run import FuzzReport, fuzz_client, fuzz_nodes

MOST_GROWTH = 20_000_000
"""Bytes that a process may have grown by."""


def told(what: str, report: FuzzReport) -> bool:
    """Prints a report; whether it is clean."""
    grown = {name: f"{size / 1e6:+.1f} MB" for name, size in report.grown.items()}
    print(
        f"{what}: {report.frames} frames in {report.sessions} connections, "
        f"{report.seconds:.0f} s, {report.lookups} good lookups, memory {grown}, "
        f"{len(report.findings)} findings"
    )
    for finding in report.findings[:20]:
        print(f"  {finding}", file=sys.stderr)
    return not report.findings and all(size < MOST_GROWTH for size in report.grown.values())


def main() -> int:
    """Runs both; 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("frames", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        ensure_token()
        clean = told("answering", fuzz_nodes(options.frames, seed=options.seed, note=print))
        clean &= told("dialling", fuzz_client(options.frames // 20, seed=options.seed))
        return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
