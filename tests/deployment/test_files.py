"""The files to deploy with: what they call is there, and those who read such files accept them."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from nodes.cli import cli

FOLDER = Path(__file__).parents[2] / "docs" / "deployment"
UNITS = sorted(FOLDER.glob("*.service"))
PROGRAM = "/opt/rollcall/bin/rollcall-nodes"

NO_SYSTEMD = "" if shutil.which("systemd-analyze") else "there is no systemd-analyze here"
CHECKS = ("check_jsonschema", "kubernetes_validate")
CHECKED = all(importlib.util.find_spec(name) for name in CHECKS)
NO_CHECKS = "" if CHECKED else "pip install -e '.[test,checks]'"


def check_arguments(arguments: list[str]) -> None:
    """That the commands have what they are called with: those that read it say so."""
    with click.Context(cli) as program:
        command = cli.get_command(program, arguments[0])
    assert command is not None, arguments
    with click.Context(command, info_name=arguments[0]) as context:
        command.parse_args(context, list(arguments[1:]))


def unit(path: Path) -> configparser.SectionProxy:
    """What a unit says of its service."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path, encoding="utf-8")
    return parser["Service"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_as_it_is(path: Path) -> None:
    program, *arguments = shlex.split(unit(path)["ExecStart"].replace("%H", "here"))
    assert program == PROGRAM
    check_arguments(arguments)


def test_the_image_starts_commands_as_they_are() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    called = [json.loads(found) for found in re.findall(r"^.*CMD (\[.*\])$", text, re.MULTILINE)]
    assert [one for one in called if one[0] == "rollcall-nodes"] == [["rollcall-nodes", "health"]]
    for arguments in called:
        check_arguments(arguments[arguments[0] == "rollcall-nodes" :])


@pytest.mark.engines
@pytest.mark.skipif(bool(NO_SYSTEMD), reason=NO_SYSTEMD)
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_takes_a_unit_and_finds_it_hardened(path: Path, tmp_path: Path) -> None:
    there = str(Path(sys.executable).with_name("rollcall-nodes"))
    copy = tmp_path / path.name
    text = path.read_text(encoding="utf-8").replace(PROGRAM, there)
    copy.write_text(text.replace("User=rollcall", "User=root"), encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    shutil.copy(path, copy)
    scored = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert scored.returncode == 0, scored.stdout


@pytest.mark.engines
@pytest.mark.skipif(bool(NO_CHECKS), reason=NO_CHECKS)
def test_the_dockerfile_is_linted() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run(
        [hadolint, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.engines
@pytest.mark.skipif(bool(NO_CHECKS), reason=NO_CHECKS)
def test_kubernetes_schema_takes_the_manifest_and_its_commands_are_there() -> None:
    import kubernetes_validate

    documents = yaml_documents("kubernetes.yaml")
    kinds = [one["kind"] for one in documents]
    assert kinds == ["Service", "Service", "NetworkPolicy", "Deployment", "Deployment"]
    for document in documents:
        kubernetes_validate.validate(document, "1.31", strict=True)
    for document in documents:
        if document["kind"] == "Deployment":
            [container] = document["spec"]["template"]["spec"]["containers"]
            check_arguments([one.replace("$(POD_IP)", "10.0.0.1") for one in container["args"]])


@pytest.mark.engines
@pytest.mark.skipif(bool(NO_CHECKS), reason=NO_CHECKS)
def test_the_schema_of_compose_takes_the_file_and_nothing_that_is_misspelt(tmp_path: Path) -> None:
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    misspelt = tmp_path / "compose.yaml"
    misspelt.write_text(text.replace("stop_grace_period", "stop_grace"), encoding="utf-8")
    checker = Path(sys.executable).with_name("check-jsonschema")
    schema = ("--builtin-schema", "vendor.compose-spec")
    for path, expected, said in (
        (FOLDER / "compose.yaml", 0, "validation done"),
        (misspelt, 1, "'stop_grace' was unexpected"),
    ):
        checked = subprocess.run(
            [checker, *schema, path], capture_output=True, text=True, check=False
        )
        assert checked.returncode == expected, checked.stdout
        assert said in checked.stdout


@pytest.mark.engines
@pytest.mark.skipif(bool(NO_CHECKS), reason=NO_CHECKS)
def test_what_compose_starts_is_there() -> None:
    [document] = yaml_documents("compose.yaml")
    services = document["services"]
    assert sorted(services) == ["master", "worker"]
    for service in services.values():
        check_arguments(service["command"])
        assert service["build"]["dockerfile"] == "docs/deployment/Dockerfile"
        assert service["read_only"]


def yaml_documents(name: str) -> list[Any]:
    """What a file holds."""
    import yaml

    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))
