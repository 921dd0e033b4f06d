"""As many people as wanted, the same every time, none of them kept."""

from __future__ import annotations

import json
from pathlib import Path

from tests.catalog.kit import Record

CROWD = "Crowdtown"
FIRST = ("amara", "bo", "étienne", "fannie", "ignacio", "marcelo", "xander", "zoë")


def one_of(records: int, n: int, crowd: int = 100_000) -> Record:
    """The person with that number: about two share a name, 200 a place, and `crowd` are in
    `CROWD`. Primes have those who share something lie far apart, as in records that grew.
    """
    return {
        "record_id": n,
        "name": f"{FIRST[n % 8]} {n * 7919 % (records // 16 + 1)}",
        "location": (
            f"City {n * 104729 % (records // 200 + 1)}" if n % max(1, records // crowd) else CROWD
        ),
        "year": 1950 + n * 31 % 75,
    }


def write_many(file: Path, records: int, crowd: int = 100_000) -> Path:
    """Write them to a JSON Lines or CSV file; returns it."""
    people = (one_of(records, n, crowd) for n in range(records))
    with file.open("w", encoding="utf-8") as out:
        if file.suffix == ".csv":
            out.write("record_id,name,location,year\n")
            out.writelines(",".join(map(str, person.values())) + "\n" for person in people)
        else:
            out.writelines(json.dumps(person, ensure_ascii=False) + "\n" for person in people)
    return file
