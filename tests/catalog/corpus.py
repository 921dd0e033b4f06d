"""A corpus: files of records in the shapes in which people have them, each with what is in it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

Record = dict[str, Any]


class File(NamedTuple):
    """A file of the corpus.

    Attributes:
        name: Its name.
        content: Its bytes.
        records: Its records.
        needs_encoding: Whether nobody can tell its encoding for certain.
    """

    name: str
    content: bytes
    records: list[Record]
    needs_encoding: bool = False


TOWNS = ["Oslo", "São Paulo", "L'Aquila", "New York, NY", 'the "old" town', "Zürich", "東京"]


def people(random: Random, count: int) -> list[Record]:
    """Records with text that needs quotes, integers, fractions, codes, and what is missing."""
    records: list[Record] = []
    for number in range(count):
        record: Record = {
            "name": random.choice(["Ann", "Zoë", "O'Brien", "Li, Wei", "Bob; jr", "x|y"]),
            "location": random.choice(TOWNS),
            "year": random.randrange(1950, 2030),
            "code": random.choice(["1.10", "007", "1E5", "A-7"]),
            "share": random.choice([0.5, 0.25, 1.75]),
        }
        if number % 3:
            record["note"] = random.choice(["fine", "two words", "a\tb"])
        records.append(record)
    return records


def delimited(delimiter: str, end: str = "\n", **options: Any) -> Callable[[list[Record]], str]:
    """Writes CSV as some program does."""

    def write(records: list[Record]) -> str:
        text = io.StringIO(newline="")
        fields = list(dict.fromkeys(field for record in records for field in record))
        writer = csv.writer(text, delimiter=delimiter, lineterminator=end, **options)
        writer.writerow(fields)
        writer.writerows([record.get(field, "") for field in fields] for record in records)
        return text.getvalue()

    return write


def _lines(end: str, **options: Any) -> Callable[[list[Record]], str]:
    return lambda records: "".join(json.dumps(one, **options) + end for one in records)


def _json(wrap: Callable[[list[Record]], object], **options: Any) -> Callable[[list[Record]], str]:
    return lambda records: json.dumps(wrap(records), **options)


SHAPES: dict[str, tuple[str, Callable[[list[Record]], str]]] = {
    "comma": (".csv", delimited(",")),
    "excel": (".csv", delimited(",", "\r\n")),
    "quoted": (".csv", delimited(",", quoting=csv.QUOTE_ALL)),
    "semicolon": (".csv", delimited(";", "\r\n")),
    "sep": (".csv", lambda records: "sep=;\r\n" + delimited(";", "\r\n")(records)),
    "pipe": (".csv", delimited("|")),
    "tab": (".csv", delimited("\t")),
    "tsv": (".tsv", delimited("\t")),
    "mac": (".csv", delimited(",", "\r")),
    "index": (
        ".csv",
        lambda records: "".join(
            f"{number - 1 if number else ''},{line}"
            for number, line in enumerate(io.StringIO(delimited(",")(records), newline="\n"))
        ),
    ),
    "jsonl": (".jsonl", _lines("\n")),
    "ndjson": (".ndjson", _lines("\r\n\r\n", ensure_ascii=False)),
    "lines in json": (".json", _lines("\n", separators=(",", ":"))),
    "array": (".json", _json(list)),
    "pretty": (".json", _json(list, indent=4, ensure_ascii=False)),
    "array in jsonl": (".jsonl", _json(list, indent=1)),
    "data": (".json", _json(lambda records: {"data": records})),
    "rows": (".json", _json(lambda r: {"meta": {"n": len(r)}, "rows": r, "next": None}, indent=2)),
    "keyed": (".json", _json(lambda records: {f"k{n}": one for n, one in enumerate(records)})),
}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16"]


def corpus(count: int = 100, seed: int = 1) -> Iterator[File]:
    """Files in all shapes and encodings in turn, a few of them packed, as many as are wanted."""
    random = Random(seed)
    for number in range(count):
        shape, (suffix, write) = list(SHAPES.items())[number % len(SHAPES)]
        records = people(random, random.randrange(2, 60))
        text = write(records)
        encoding = ENCODINGS[number // len(SHAPES) % len(ENCODINGS)]
        if number % 25 == 24:  # one that does not say what it is
            records = [{**one, "location": "Zürich"} for one in records]
            content = write(records).encode("cp1252")
            yield File(
                f"{number:03}{suffix}", content, records, needs_encoding=not content.isascii()
            )
            continue
        packed = number % 7 == 6
        content = text.encode(encoding)
        if shape == "index":
            records = [{"column1": n, **record} for n, record in enumerate(records)]
        yield File(
            f"{number:03} {shape}{suffix}{'.gz' * packed}",
            gzip.compress(content) if packed else content,
            records,
        )


def write_corpus(folder: Path, files: list[File]) -> Path:
    """Write files into a folder of their own."""
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).write_bytes(file.content)
    return folder
