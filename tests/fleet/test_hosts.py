"""The file of machines: what may stand in it, and what is said of what may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nodes.errors import StartError
from nodes.fleet.hosts import Host, load_hosts
from nodes.fleet.ssh_fleet import check_reachable, machines_of
from nodes.fleet.ssh_words import explain_ssh

GOOD = """
master = "10.0.0.1"

[[machine]]
name = "here"
destination = "local"

[[machine]]
name = "a"
destination = "ops@a.example.org"
room = 8
python = "/opt/rollcall/bin/python"
host = "10.0.0.11"
tls = "/etc/rollcall/tls"

[[machine]]
name = "b"
destination = "ssh://ops@[2001:db8::1]:2222"
room = 2
"""

ONE = '[[machine]]\nname = "a"\ndestination = "a"\nroom = 1\n'


def test_a_file_of_machines(tmp_path: Path) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(GOOD)
    hosts = load_hosts(path)
    assert hosts.master == "10.0.0.1"
    assert hosts.machines == (
        Host("here", "local", 256, "python3", "", ""),
        Host(
            *("a", "ops@a.example.org", 8, "/opt/rollcall/bin/python"),
            *("10.0.0.11", "/etc/rollcall/tls"),
        ),
        Host("b", "ssh://ops@[2001:db8::1]:2222", 2, "python3", "", ""),
    )
    assert [one.is_local for one in hosts.machines] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs 1 to 64 machines, each as\n[[machine]]"),
        ("machine = 3", "needs 1 to 64 machines"),
        ("nonsense", "is not TOML"),
        (f"{ONE}colour = 1", "machine 1: there is no 'colour'; there are name, destination"),
        (f"host = 1\n{ONE}", "there is no 'host' here; there are ssh_config, master"),
        (f"master = 1\n{ONE}", "master must be an address"),
        (f'ssh_config = "nowhere"\n{ONE}', "ssh_config: there is no file"),
        (f"ssh_config = 1\n{ONE}", "ssh_config must be the name of a file"),
        (ONE.replace("room = 1", ""), "machine 1 (a): room is how many workers it takes"),
        (ONE.replace("room = 1", "room = 0"), "room is how many"),
        (ONE.replace("room = 1", "room = true"), "room must be a whole number"),
        (ONE.replace('name = "a"', ""), "name must be 1 to 64 letters"),
        (ONE.replace('name = "a"', 'name = "a b"'), "not 'a b'"),
        (ONE.replace('destination = "a"', ""), "destination must be as ssh has it"),
        (ONE.replace('destination = "a"', 'destination = "-oProxyCommand=x"'), "destination must"),
        (ONE.replace('destination = "a"', 'destination = "a b"'), "destination must"),
        (ONE + ONE, "two machines have the name 'a'"),
        (ONE + ONE.replace('name = "a"', 'name = "b"'), "two machines have the destination 'a'"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    with pytest.raises(StartError) as raised:
        load_hosts(path)
    assert said in str(raised.value)


def test_the_example_in_the_docs_can_be_used(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "operating.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    [example] = [block for block in blocks if "[[machine]]" in block]
    path = tmp_path / "hosts.toml"
    path.write_text(example)
    assert [one.name for one in load_hosts(path).machines] == ["here", "north"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read"):
        load_hosts(tmp_path / "nowhere.toml")


def test_machines_elsewhere_need_a_master_that_they_reach(tmp_path: Path) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(ONE)
    hosts = load_hosts(path)
    with pytest.raises(StartError, match=r"a cannot reach a master at 127\.0\.0\.1: add --host"):
        check_reachable(hosts, "127.0.0.1")
    check_reachable(hosts, "0.0.0.0")
    check_reachable(hosts, "10.0.0.1")
    path.write_text(ONE + 'host = "127.0.0.1"\n')
    check_reachable(load_hosts(path), "127.0.0.1")


def test_with_tls_each_machine_has_its_certificates(tmp_path: Path) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(ONE)
    with pytest.raises(StartError, match="machine a: tls is missing"):
        machines_of(path, tls=True)
    machines_of(path, tls=False)


@pytest.mark.parametrize(
    ("said", "status", "why"),
    [
        ("ops@a: Permission denied (publickey).", 255, "ssh-copy-id ops@a"),
        ("Host key verification failed.", 255, "host key"),
        ("ssh: Could not resolve hostname a: Name or service not known", 255, "not known here"),
        ("ssh: connect to host a port 22: Connection refused", 255, "nobody answers ssh there"),
        ("ssh: connect to host a port 22: Connection timed out", 255, "does not answer"),
        ("Timeout, server a not responding.", 255, "does not answer any more"),
        ("ssh: connect to host a port 22: No route to host", 255, "no way to it"),
        ("sh: 1: exec: python3: not found", 127, "python3 is not there"),
        ("/usr/bin/python3: No module named nodes", 1, "has no Rollcall"),
        ("something that nobody foresaw", 255, "see 'ssh ops@a true' by hand"),
        ("", 255, "the connection to it ended"),
    ],
)
def test_why_there_is_no_connection_in_words(said: str, status: int, why: str) -> None:
    assert why in explain_ssh(said, status, "ops@a", "python3")
