"""As many people as wanted, the same every time, none of them kept."""

from __future__ import annotations

import json
import subprocess
import sys
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


_WEIGHED = """
import sys
from nodes.cli import main
try:
    main()
finally:
    # The kernel's figure for this very program: what it tells of a process to whoever waits for
    # it includes the size of the program that started it.
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(peak)
"""


def build_measured(data: Path) -> int:
    """Builds the catalog of a folder or file with the command that users have, in a process of
    its own; the bytes of memory that this took at most.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", _WEIGHED, "data", "build", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1]) * 1024
