"""Draws the pictures of docs/architecture.md anew: `python -m tests.docs`."""

from __future__ import annotations

from tests.docs import PICTURES


def main() -> None:
    """Writes each, and says where."""
    for path, draw in PICTURES.items():
        path.write_text(draw())
        print(path)


if __name__ == "__main__":
    main()
