"""`rollcall`: the operator's console."""

from __future__ import annotations

import sys


def main() -> None:
    """Says what to use until the console exists."""
    sys.stderr.write(
        "rollcall: the full-screen console is not built yet.\n"
        "Run 'rollcall-nodes up' for a cluster, and 'rollcall-nodes ps' to look at it.\n"
    )
    raise SystemExit(2)


if __name__ == "__main__":
    main()
