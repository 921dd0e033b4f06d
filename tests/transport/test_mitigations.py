"""It is our mitigations that keep the harm of RPyC's defaults out: without one, it comes."""

from __future__ import annotations

import ast
from contextlib import ExitStack
from pathlib import Path

import pytest

import nodes
from tests.transport.mitigations import MITIGATIONS, Mitigation

SOURCE = Path(nodes.__file__).parent
NOT_USED = {
    "BgServingThread",
    "ForkingServer",
    "GeventServer",
    "OneShotServer",
    "ThreadPoolServer",
    "ThreadedServer",
    "classic",
    "connect_thread",
    "ssl_connect",
}


@pytest.mark.parametrize("one", MITIGATIONS, ids=lambda one: one.default)
def test_no_harm_comes_with_the_mitigation(one: Mitigation, ended: ExitStack) -> None:
    assert not one.scenario(kept=True, stack=ended)


@pytest.mark.parametrize("one", MITIGATIONS, ids=lambda one: one.default)
def test_without_the_mitigation_the_harm_is_noticed(one: Mitigation, ended: ExitStack) -> None:
    assert one.scenario(kept=False, stack=ended)


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
