"""The table of mitigations is whole and still speaks of the source as it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import nodes
from tests.transport import mitigations
from tests.transport.mitigations import TABLE, Mitigation

HERE = Path(__file__).parent
SOURCE = Path(nodes.__file__).parent
NOT_USED = {
    "BgServingThread",
    "ForkingServer",
    "GeventServer",
    "OneShotServer",
    "ThreadPoolServer",
    "ThreadedServer",
    "connect_thread",
    "ssl_connect",
    "classic",
}


def test_every_row_is_covered_on_both_sides() -> None:
    rows = {
        getattr(mitigations, name)
        for name in (
            "SAFE_ATTRS",
            "LENGTHS",
            "TIMEOUTS",
            "ACCEPT",
            "SCAN",
            "NAGLE",
            "PORT_0",
            "CLOSE",
            "THREADS",
        )
    }
    assert {one.row for one in TABLE} == rows
    for row in rows:
        sides = {one.side for one in TABLE if one.row == row}
        assert sides >= {"server", "client"} or "both" in sides, row


@pytest.mark.parametrize("one", TABLE, ids=lambda one: f"{one.side}-{one.row[:20]}")
def test_a_mitigation_and_its_tests_are_where_the_table_says(one: Mitigation) -> None:
    for name, old, new in one.out:
        assert (SOURCE / "transport" / name).read_text().count(old) == 1, old
        assert old != new
    assert one.tests
    for test in one.tests:
        file, function = re.match(r"(.+?)::(\w+)", test).groups()  # type: ignore[union-attr]
        assert f"def {function}(" in (HERE / file).read_text(), test


def test_what_stalls_or_steals_is_not_used() -> None:
    """Of the library's servers and threads, none; of its dialling, none."""
    used = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ImportFrom(module=str() as module) if module.startswith("rpyc"):
                    used |= {alias.name for alias in node.names}
                case ast.Attribute(value=ast.Name(id="rpyc"), attr=name):
                    used.add(name)
    assert used
    assert not used & (NOT_USED | {"connect"})
