"""Whatever is decoded was made ready for threads, and what is ready survives them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted(path for folder in ("nodes", "console") for path in (ROOT / folder).rglob("*.py"))

RACE = """
from __future__ import annotations

import sys
import threading
import types

import msgspec

from nodes.support.structs import ready

sys.setswitchinterval(1e-6)
SOURCE = '''
class Inner(msgspec.Struct):
    a: str
    b: float | None


{decorator}
class Outer(msgspec.Struct):
    x: Inner
    more: tuple[Inner, ...]
'''


def convert(kind, barrier):
    barrier.wait()
    try:
        msgspec.convert({"x": {"a": "b", "b": 1.5}, "more": []}, kind)
    except BaseException as error:
        wrong.append(error)


wrong = []
for number in range(20):
    module = sys.modules[f"race{number}"] = types.ModuleType(f"race{number}")
    vars(module).update(msgspec=msgspec, ready=ready)
    exec(SOURCE.format(decorator=sys.argv[1]), vars(module))
    barrier = threading.Barrier(12)
    threads = [
        threading.Thread(target=convert, args=(module.Outer, barrier)) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
sys.exit(bool(wrong))
"""


def structs(tree: ast.Module) -> dict[str, ast.ClassDef]:
    """The types of messages that a module defines."""
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and "msgspec.Struct" in map(ast.unparse, node.bases)
    }


def decoded(tree: ast.Module) -> Iterator[str]:
    """The names in what a module decodes or converts to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            kinds = [one.value for one in node.keywords if one.arg == "type"]
            name = ast.unparse(node.func)
            kinds += node.args[:1] * name.endswith(".Decoder") + node.args[1:] * name.endswith(
                "msgspec.convert"
            )
            kinds += node.args[2:] * (name == "converted") + node.args[:1] * (name == "Asked")
            for kind in kinds:
                yield from (one.id for one in ast.walk(kind) if isinstance(one, ast.Name))


def test_whatever_is_decoded_was_made_ready() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES]
    known = {name: one for tree in trees for name, one in structs(tree).items()}
    at_import = {
        name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign)
        for name in decoded(ast.Module([node], []))
    }
    # Of two of one name, a module's own is meant.
    wanted = {
        name: kinds[name]
        for tree in trees
        for kinds in [known | structs(tree)]
        for name in decoded(tree)
        if name in kinds
    }
    assert {"Envelope", "Members", "Registration", "Second", "Settings"} <= wanted.keys()
    unready = [
        name
        for name, kind in wanted.items()
        if name not in at_import and "ready" not in map(ast.unparse, kind.decorator_list)
    ]
    assert unready == []


def test_what_is_ready_may_be_decoded_first_by_many_threads_at_once() -> None:
    """Without the decorator, this ends with a segmentation fault."""
    race = [sys.executable, "-c", RACE, "@ready"]
    ended = subprocess.run(race, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
