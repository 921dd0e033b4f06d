"""Tokens: which role each gives, how they are rotated, and that nothing shows them."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from console.export import export
from console.settings import Settings, save_settings
from nodes.cli import cli
from nodes.client.attached import AttachedCluster
from nodes.client.connection import MasterConnection
from nodes.errors import BadRequest, Forbidden, StartError
from nodes.security import tokens
from nodes.security.credentials import client_token, find_token, operator_token, viewer_token
from nodes.security.tokens import (
    MAX_OLD_TOKENS,
    TokenRole,
    ValidToken,
    ensure_token,
    match_token,
    read_token,
    rotate_token,
    token_file,
    valid_tokens,
)
from tests.kit import Node, poll_for, role_of, run_nodes


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cluster token of a state of its own."""
    monkeypatch.setenv("ROLLCALL_STATE", str(tmp_path / "state"))
    path = token_file()
    ensure_token(path)
    return path


def role(token: object, now: float = 0.0) -> TokenRole | None:
    """What the files make of a token at that time."""
    return role_of(token, valid_tokens(lambda: now))


# -- roles ---------------------------------------------------------------------------


def test_the_cluster_token_is_valid_for_every_role(file: Path) -> None:
    token = read_token(file)
    assert role(token) is TokenRole.OPERATOR
    assert all(TokenRole.OPERATOR.covers(one) for one in TokenRole)
    assert {find_token(one) for one in TokenRole} == {token}


def test_a_master_with_a_token_of_its_own_is_sent_no_other(file: Path) -> None:
    token = read_token(file)
    own = file.with_name("token@db2:23000")
    own.touch(mode=0o600)
    own.write_text("another\n")
    assert operator_token("db2:23000") == operator_token("db2") == "another"
    assert operator_token("db2:23001") == operator_token("db3:23000") == token
    own.write_text("")  # none that can be read: still no other is sent there
    assert operator_token("db2:23000") is None
    with pytest.raises(BadRequest):
        operator_token("no/../../where:1")


@pytest.mark.parametrize("one", TokenRole)
def test_a_role_s_own_token_is_for_that_role_only(file: Path, one: TokenRole) -> None:
    made = ensure_token(token_file(one))
    assert made != read_token(file)
    assert role(made) is one
    assert role(read_token(file)) is TokenRole.OPERATOR
    assert find_token(one) == made
    includes = {
        TokenRole.OPERATOR: set(TokenRole),
        TokenRole.VIEWER: {TokenRole.VIEWER, TokenRole.CLIENT},
    }
    assert {other for other in TokenRole if one.covers(other)} == includes.get(one, {one})
    token_file(one).unlink()
    assert role(made) is None


def test_a_role_may_have_several_tokens_each_with_a_name(file: Path) -> None:
    made = {name: ensure_token(token_file(TokenRole.OPERATOR, name)) for name in ("ada", "b-2_c")}
    file.with_name("token.operator-Ada").touch(mode=0o600)
    file.with_name("token.king-ada").touch(mode=0o600)
    found = {one.token: one for one in valid_tokens()}
    assert {name: found[token] for name, token in made.items()} == {
        name: ValidToken(token, TokenRole.OPERATOR, name) for name, token in made.items()
    }
    assert len(found) == 3
    path = token_file(TokenRole.OPERATOR, "ada")
    new = rotate_token(path, grace=60.0)
    kept = match_token(made["ada"], valid_tokens()), match_token(new, valid_tokens())
    assert [one and (one.role, one.name) for one in kept] == [(TokenRole.OPERATOR, "ada")] * 2
    path.unlink()
    assert role(new) is role(made["ada"]) is None, "without its file, no old one is valid either"
    assert role(made["b-2_c"]) is TokenRole.OPERATOR


@pytest.mark.parametrize("name", ["Ada", "-ada", "ada.old", "../ada", "a" * 33, "ä", "a\n"])
def test_names_that_no_token_can_have(file: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="is no name of a token"):
        token_file(TokenRole.OPERATOR, name)


def test_who_has_a_viewer_s_token_alone_uses_that(file: Path) -> None:
    viewer = ensure_token(token_file(TokenRole.VIEWER))
    own = read_token(file)
    assert (operator_token("db2"), viewer_token("db2")) == (own, viewer)
    file.unlink()
    assert operator_token("db2") == viewer_token("db2") == viewer
    token_file(TokenRole.VIEWER).unlink()
    operator = ensure_token(token_file(TokenRole.OPERATOR))
    assert operator_token("db2") == viewer_token("db2") == operator


def test_a_token_in_several_files_gives_the_highest_role() -> None:
    tokens = [
        ValidToken("a", TokenRole.OPERATOR),
        ValidToken("a", TokenRole.CLIENT),
        ValidToken("b", TokenRole.WORKER),
    ]
    assert role_of("a", tokens) is TokenRole.OPERATOR
    assert role_of("a", tokens[::-1]) is TokenRole.OPERATOR
    assert role_of("b", tokens) is TokenRole.WORKER


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(_given: bytes, expected: bytes) -> bool:
        compared.append(expected)
        return expected == b"a"

    monkeypatch.setattr("nodes.security.tokens.hmac.compare_digest", compare)
    assert (
        role_of("a", [ValidToken("a", TokenRole.CLIENT), ValidToken("b", TokenRole.WORKER)])
        is TokenRole.CLIENT
    )
    assert compared == [b"a", b"b"]


# -- rotation ------------------------------------------------------------------------


def test_an_old_token_is_valid_until_its_grace_ends(file: Path) -> None:
    old = read_token(file)
    new = rotate_token(file, grace=60.0, clock=lambda: 1000.0)
    assert read_token(file) == new != old
    assert role(new, 1000.0) is role(old, 1059.0) is TokenRole.OPERATOR
    newest = rotate_token(file, grace=10.0, clock=lambda: 1020.0)
    assert role(old, 1029.0) is role(new, 1029.0) is TokenRole.OPERATOR
    # A shorter grace is that of those before as well.
    assert role(old, 1031.0) is role(new, 1031.0) is None
    rotate_token(file, grace=0.0, clock=lambda: 1021.0)
    assert role(newest, 1021.0) is None


HOUR, DAYS = 3600.0, 86400.0


@pytest.mark.parametrize(
    ("later", "valid"),
    [
        pytest.param([(1799.0, 1799.0)], [True], id="before"),
        pytest.param([(1801.0, 1801.0)], [False], id="behind"),
        pytest.param([(2000.0, 2000.0), (-HOUR, 2001.0)], [False, False], id="set back after it"),
        pytest.param(
            [(10.0, 10.0), (-HOUR, 1700.0), (-HOUR, 1801.0)], [True, True, False], id="in it"
        ),
        pytest.param([(400 * DAYS, 5.0), (6.0, 6.0)], [False, False], id="400 days and back"),
        pytest.param([(10.0, 10.0), (10.0, 1801.0)], [True, False], id="asleep"),
    ],
)
def test_a_token_past_its_grace_stays_dead_whatever_the_clock_says(
    file: Path, later: list[tuple[float, float]], valid: list[bool]
) -> None:
    old = read_token(file)
    rotate_token(file, grace=1800.0, clock=lambda: 1e9)

    def is_valid(wall: float, steady: float) -> bool:
        return role_of(old, valid_tokens(lambda: 1e9 + wall, lambda: steady)) is not None

    assert is_valid(0.0, 0.0)
    assert [is_valid(wall, steady) for wall, steady in later] == valid
    if not valid[-1]:  # for those as well who did not see it end
        tokens._graces.keep(())
        assert not is_valid(0.0, 3000.0)


def test_a_role_s_token_is_rotated_by_itself(file: Path) -> None:
    path = token_file(TokenRole.WORKER)
    with pytest.raises(StartError, match="token make"):
        rotate_token(path, grace=1.0)
    old = ensure_token(path)
    rotate_token(path, grace=60.0, clock=lambda: 1000.0)
    assert role(old, 1001.0) is TokenRole.WORKER
    assert role(read_token(file), 9999.0) is TokenRole.OPERATOR


def test_rotations_at_once_lose_none_and_the_files_stay_few_and_private(file: Path) -> None:
    made: list[str] = [read_token(file) or ""]
    threads = [
        threading.Thread(target=lambda: made.append(rotate_token(file, grace=60.0)))
        for _ in range(MAX_OLD_TOKENS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = valid_tokens()
    assert {role_of(token, found) for token in made} == {TokenRole.OPERATOR}
    rotate_token(file, grace=60.0)
    assert len(valid_tokens()) == MAX_OLD_TOKENS + 1
    assert sorted(path.name for path in file.parent.iterdir()) == ["token", "token.old"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()} == {0o600}


def test_an_old_file_that_is_damaged_gives_nothing(file: Path) -> None:
    file.with_name("token.old").touch(mode=0o600)
    file.with_name("token.old").write_text("\nnan x\nsoon y\n99\n1e12\n99 \n")
    assert len(valid_tokens()) == 1
    for nothing in ("x", "y", "", "99", "1e12"):
        assert role(nothing) is None


# -- the commands ----------------------------------------------------------------------


def command(*args: str) -> str:
    """What `rollcall-nodes token` prints."""
    done = CliRunner().invoke(cli, ["token", *args])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.shows_token
def test_the_commands_say_where_and_show_only_when_asked(file: Path) -> None:
    path = token_file(TokenRole.CLIENT)
    assert command("make", "--role", "client") == f"{path}: made\n"
    token = read_token(path)
    assert token
    assert command("make", "--role", "client") == f"{path}: is there already\n"
    assert command("path", "--role", "client") == f"{path}\n"
    assert command("path", "--role", "client", "--show") == f"{path}\n{token}\n"
    assert json.loads(command("rotate", "--role", "client", "--json")) == {
        "path": str(path),
        "done": "rotated; the old one is valid for 3600 s more",
    }
    assert read_token(path) not in (None, token)
    assert command("rotate", "--grace", "0") == f"{file}: rotated\n"
    assert len(valid_tokens()) == 3
    missing = CliRunner().invoke(cli, ["token", "path", "--role", "operator"])
    assert (missing.exit_code, "token make" in missing.output) == (2, True)


def test_the_list_has_every_token_and_shows_none(file: Path) -> None:
    command("make", "--role", "viewer", "--name", "ada")
    command("make", "--role", "worker")
    rows = [line.split() for line in command("list").splitlines()]
    assert [row[:2] for row in rows] == [["worker", "-"], ["viewer", "ada"], ["cluster", "-"]]
    assert {Path(row[2]).name for row in rows} == {"token", "token.worker", "token.viewer-ada"}
    assert command("path", "--role", "viewer", "--name", "ada") == f"{rows[1][2]}\n"
    nameless = CliRunner().invoke(cli, ["token", "make", "--name", "ada"])
    assert (nameless.exit_code, "say --role" in nameless.output) == (2, True)


# -- a running cluster -------------------------------------------------------------------


def test_nothing_shows_a_token_and_all_files_are_their_owner_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cluster, started by somebody whose umask allows everything to everybody."""
    state, cache = tmp_path / "deep" / "state", tmp_path / "deeper" / "cache"
    monkeypatch.setenv("ROLLCALL_STATE", str(state))
    monkeypatch.setenv("ROLLCALL_CACHE", str(cache))
    before = os.umask(0)
    try:
        secrets = [ensure_token(), *(ensure_token(token_file(one)) for one in TokenRole)]
        with Node("up", "--workers", "1", "--port", "0", "--json", "--require-token") as node:
            address = node.ready["master"]
            secrets += [rotate_token(token_file(one), grace=60.0) for one in (None, *TokenRole)]
            secrets.append("a wrong token, which may be a right one elsewhere")
            _refused(address, secrets[-1])
            with AttachedCluster(address) as cluster:
                seen = [repr(cluster.snapshot()), repr(cluster.log("w1"))]
                cluster.restart("w1")
                poll_for(lambda: [w.restarts for w in cluster.snapshot().workers] == [1])
                poll_for(lambda: [w.state for w in cluster.snapshot().workers] == ["up"])
                assert cluster.page("getbyname", "xander").count == 1
                seen += [repr(cluster.snapshot()), repr(cluster.events())]
            assert "refused_login" in seen[-1]
            launcher = psutil.Process(node.process.pid)
            for process in (launcher, *launcher.children(recursive=True)):
                seen += [repr(process.cmdline()), repr(process.environ())]
            seen.append(run_nodes("ps", "--master", address).stdout)
            assert "refused logins 1" in seen[-1]
            node.process.terminate()
            seen += node.process.communicate(timeout=20.0)
        export([{"name": "ann"}], str(cache / "found.json"))
        save_settings(Settings())
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    seen += [path.read_bytes().decode("latin-1") for path in files if "token" not in path.name]
    assert {".db", ".log", ".sqlite3", ".json"} <= {path.suffix for path in files}
    for secret in secrets:
        assert not [text for text in seen if secret in text]
    loose = [path for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077]
    assert loose == []


def _refused(address: str, token: str) -> None:
    link = MasterConnection(address, token=lambda: token)
    try:
        with pytest.raises(Forbidden):
            link.call("snapshot", timeout=5.0, again=False)
    finally:
        link.close()


# -- files that others can read --------------------------------------------------------


def test_a_token_that_others_can_read_is_no_token(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = file.with_name("token.client")
    token, clients = read_token(file), ensure_token(own)
    file.chmod(0o644)
    assert role(token) is None
    assert role(clients) is TokenRole.CLIENT, "each file is judged by itself"
    assert [record for record in caplog.records if "can be read by others" in record.message]
    for use in (ensure_token, read_token, lambda path: rotate_token(path, grace=1.0)):
        with pytest.raises(StartError, match=r"mode 644.*chmod 600"):
            use(file)
    file.chmod(0o600)
    assert role(token) is TokenRole.OPERATOR


def test_old_tokens_that_others_can_write_are_none(file: Path) -> None:
    old = read_token(file)
    rotate_token(file, grace=60.0)
    assert role_of(old, valid_tokens()) is TokenRole.OPERATOR
    file.with_name("token.old").chmod(0o602)
    assert role_of(old, valid_tokens()) is None
    assert role_of(read_token(file), valid_tokens()) is TokenRole.OPERATOR


def test_a_client_with_a_token_that_others_can_read_asks_without(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.chmod(0o644)
    assert client_token() is None
    assert "looks up without a token" in caplog.text
    with pytest.raises(StartError, match="chmod 600"):
        operator_token("127.0.0.1:23000")
