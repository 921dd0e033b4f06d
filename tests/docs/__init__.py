"""The pictures of docs/architecture.md, drawn from the code."""

from __future__ import annotations

from pathlib import Path

from tests.docs import house, lookup

DOCS = Path(__file__).parent.parent.parent / "docs"

PICTURES = {DOCS / "house.svg": house.draw, DOCS / "lookup.svg": lookup.draw}
