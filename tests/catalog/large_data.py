"""Generated people: any number of them, the same every time, none kept in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.catalog.kit import Record

CROWD = "Crowdtown"
FIRST = ("amara", "bo", "étienne", "fannie", "ignacio", "marcelo", "xander", "zoë")


def make_person(records: int, n: int, crowd: int = 100_000) -> Record:
    """The person with that number.

    About two people share a name and 200 a location; `crowd` people are in `CROWD`. Steps by
    primes keep those who share a value far apart, as in real records.
    """
    return {
        "record_id": n,
        "name": f"{FIRST[n % 8]} {n * 7919 % (records // 16 + 1)}",
        "location": (
            f"City {n * 104729 % (records // 200 + 1)}" if n % max(1, records // crowd) else CROWD
        ),
        "year": 1950 + n * 31 % 75,
    }


def write_people(file: Path, records: int, crowd: int = 100_000) -> Path:
    """Write people to a CSV, JSON or JSON Lines file, and return its path."""
    people = (make_person(records, n, crowd) for n in range(records))
    with file.open("w", encoding="utf-8") as out:
        if file.suffix == ".csv":
            out.write("record_id,name,location,year\n")
            out.writelines(",".join(map(str, person.values())) + "\n" for person in people)
        elif file.suffix == ".json":
            for n, person in enumerate(people):
                out.write(("," if n else "[") + json.dumps(person, ensure_ascii=False, indent=2))
            out.write("]")
        else:
            out.writelines(json.dumps(person, ensure_ascii=False) + "\n" for person in people)
    return file


_BUILD_SCRIPT = """
import sys
from nodes.cli import main
try:
    main()
finally:
    # The peak of this program alone. What `wait4` reports to the parent includes the parent's
    # size at the fork.
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(peak)
"""


def build_and_measure_peak(data: Path) -> int:
    """Build a catalog with the users' command in a process of its own.

    Returns:
        The peak memory of that process in bytes.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", _BUILD_SCRIPT, "data", "build", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1]) * 1024
