"""A report as a bundle: a compressed tar of JSON files, for programs."""

from __future__ import annotations

import gzip
import io
import tarfile

import msgspec

from nodes.report.model import Report

PARTS = (
    *("configuration", "verdict", "totals", "charts", "latencies", "workers", "lookups", "slow"),
    *("failed", "events"),
)
"""Fields of a report with a file of their own; the rest is in `report.json`."""

FOLDER = "rollcall-report"


def bundle(report: Report) -> bytes:
    """The bundle; the same for the same report."""
    fields = msgspec.structs.asdict(report)
    parts = {name: fields.pop(name) for name in PARTS}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, part in {"report": fields, **parts}.items():
            data = msgspec.json.format(msgspec.json.encode(part), indent=1) + b"\n"
            entry = tarfile.TarInfo(f"{FOLDER}/{name}.json")
            entry.size, entry.mtime, entry.mode = len(data), int(report.made_at), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)
