"""The report of `data check`, as lines for a person: what stops it first, then what there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nodes.catalog import CheckReport, FieldReport, FileReport, Lookup, usage

MAX_FILES_SHOWN = 50
MAX_LEFT_OUT_SHOWN = 20
MAX_FIELDS_SHOWN = 60
MAX_BAD_SHOWN = 20


def report_lines(report: CheckReport) -> list[str]:
    """The lines of a report."""
    lines = [f"{report.name}: {_count(report.records, 'record')}"]
    if report.bad_count:
        lines[0] += f", and {report.bad_count:,} that cannot be used"
    lines += _some(_file_lines(report.files), MAX_FILES_SHOWN)
    if report.left_out:
        left_out = [f"{one.name}: {one.why}" for one in report.left_out]
        lines += ["not read", *_some(left_out, MAX_LEFT_OUT_SHOWN)]
    if report.fields:
        lines += ["fields", *_some(list(map(_field_line, report.fields)), MAX_FIELDS_SHOWN)]
    if report.more_fields:
        lines.append("  and others, which are in the records, but are not listed")
    if report.bad_count:
        lines.append("records that cannot be used; --skip-bad leaves them out")
        bad = [f"{one.where}: {one.why}" for one in report.bad]
        lines += _some(bad, MAX_BAD_SHOWN, report.bad_count)
    if report.problem:
        lines += [
            "these records cannot be served",
            *_indented(report.problem.rstrip("\n").split("\n")),
        ]
    else:
        lines.append(f"lookups: {lookups_text(report.lookups)}")
    return lines


def lookups_text(lookups: tuple[Lookup, ...]) -> str:
    """The signatures of lookups."""
    return ", ".join(usage(lookup) for lookup in lookups)


def _file_lines(files: Sequence[FileReport]) -> list[str]:
    return [
        f"{file.name}: {_count(file.records, 'record')}"
        + (f", {file.bad:,} bad" if file.bad else "")
        + "".join(f"; {note}" for note in file.notes)
        + (", then it breaks" if file.problem and file.records else "")
        + (", it cannot be read" if file.problem and not file.records else "")
        for file in files
    ]


def _field_line(field: FieldReport) -> str:
    line = f"{field.name}: {field.type}, in {field.records:,}"
    if field.example:
        line += f", as {field.example}"
    return f"{line} ({field.note})" if field.note else line


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _some(lines: Sequence[str], most: int, count: int | None = None) -> Iterator[str]:
    yield from _indented(lines[:most])
    if (more := (len(lines) if count is None else count) - min(len(lines), most)) > 0:
        yield f"  and {more:,} more"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" if line else "" for line in lines)
