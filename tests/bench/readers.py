"""What a build costs by format: `python -m tests.bench.readers [RECORDS] [--against TREE]`.

Each format is built in turn by this tree and by another (a checkout of the parent commit, say), so
that whatever else the machine does slows both. The processor's time is given, the least of several
runs, as is the most memory that a build had. About 500 bytes of the temporary folder a record.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.catalog.large_data import make_person, write_people

HERE = Path(__file__).parents[2]
RUNS = 5
MB = 1e6

_BUILD = """
import sys, tempfile, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from nodes.catalog import ensure_catalog
with tempfile.TemporaryDirectory() as cache:
    began = time.process_time()
    info = ensure_catalog(Path(sys.argv[2]), cache=Path(cache))
    taken = time.process_time() - began
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(info.records, taken, int(peak) * 1024)
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.readers", description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=1_000_000, metavar="RECORDS")
    parser.add_argument("--against", type=Path, metavar="TREE", help="another tree of the source")
    asked = parser.parse_args()
    trees = [HERE, *([asked.against.resolve()] if asked.against else [])]
    print(
        f"{asked.records:,} records      CPU time  records/s      peak"
        + "   to the other" * bool(asked.against)
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, file in write_files(Path(folder), asked.records):
            runs = [[built(tree, file, asked.records) for tree in trees] for _ in range(RUNS)]
            times = [min(run[number][0] for run in runs) for number in range(len(trees))]
            peaks = [max(run[number][1] for run in runs) for number in range(len(trees))]
            per_s = asked.records / times[0]
            line = f"{name:20}{times[0]:8.2f} s{per_s:11,.0f}{peaks[0] / MB:7.0f} MB"
            if asked.against:
                line += f"   {times[0] / times[1]:.2f} of its time, its peak {peaks[1] / MB:.0f} MB"
            print(line, flush=True)
            file.unlink()


def write_files(folder: Path, records: int) -> Iterator[tuple[str, Path]]:
    """Each file in turn, with what it is."""
    yield "CSV", write_people(folder / "people.csv", records)
    yield "JSON Lines", write_people(folder / "people.jsonl", records)
    for name, indent in (("JSON", None), ("JSON, indented", 2)):
        file = folder / "people.json"
        with file.open("w", encoding="utf-8") as out:
            for n in range(records):
                text = json.dumps(make_person(records, n), ensure_ascii=False, indent=indent)
                out.write(f"{',' if n else '['}\n{text}")
            out.write("\n]\n")
        yield name, file


def built(tree: Path, file: Path, records: int) -> tuple[float, int]:
    """The seconds and the most bytes of one build."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _BUILD, str(tree), str(file)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found, taken, peak = done.stdout.split()
    assert int(found) == records
    return float(taken), int(peak)


if __name__ == "__main__":
    main()
