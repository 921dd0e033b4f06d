"""The tokens of a running cluster outlive their folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nodes.client.attached import AttachedCluster
from nodes.security.kept_tokens import KeptTokens
from nodes.security.tokens import (
    TokenRole,
    ensure_token,
    read_token,
    rotate_token,
    token_file,
)
from tests.kit import hosted, kill_process, poll_for, role_of


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "deep" / "state"
    monkeypatch.setenv("ROLLCALL_STATE", str(folder))
    ensure_token()
    return folder


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All that is in a folder, with who may read it."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mode & 0o777) for path in folder.iterdir()
    }


def test_a_folder_that_is_removed_comes_back_with_all_of_them(state: Path) -> None:
    ensure_token(token_file(TokenRole.WORKER))
    ensure_token(token_file(TokenRole.VIEWER, "ada"))
    rotate_token(token_file(), grace=100.0)
    kept = KeptTokens()
    valid = kept()
    before = contents(state)
    shutil.rmtree(state.parent)
    assert kept() == valid
    assert contents(state) == before
    assert state.stat().st_mode & 0o777 == 0o700


def test_the_token_of_a_role_may_be_removed_and_the_cluster_s_comes_back(state: Path) -> None:
    worker = ensure_token(token_file(TokenRole.WORKER))
    own = read_token()
    kept = KeptTokens()
    kept()
    token_file(TokenRole.WORKER).unlink()
    assert role_of(worker, kept()) is None
    token_file().unlink()
    kept()
    assert read_token() == own
    assert not token_file(TokenRole.WORKER).exists()


def test_where_nothing_can_be_put_back_they_are_valid_all_the_same(state: Path) -> None:
    own = ensure_token()
    old = own
    own_now = rotate_token(token_file(), grace=100.0)
    kept = KeptTokens()
    kept()
    shutil.rmtree(state)
    state.write_text("a file where the folder should be")
    assert role_of(own_now, kept()) is TokenRole.OPERATOR
    assert role_of(old, kept()) is None, "how long that one is valid, nobody knows any more"
    state.unlink()
    assert role_of(old, kept()) is TokenRole.OPERATOR


def test_one_that_was_replaced_stays_so(state: Path) -> None:
    old = ensure_token()
    kept = KeptTokens()
    kept()
    rotate_token(token_file(), grace=0.0)
    assert role_of(old, kept()) is None
    shutil.rmtree(state)
    assert role_of(old, kept()) is None


def test_workers_register_and_operators_steer_without_the_folder(state: Path) -> None:
    with hosted(2) as cluster:

        def pids() -> set[int]:
            return {view.pid for view in cluster.snapshot().workers if view.state == "up"}

        before = pids()
        shutil.rmtree(state)
        for pid in before:
            kill_process(pid)
        poll_for(lambda: len(pids() - before) == 2)
        with AttachedCluster(cluster.address) as attached:
            assert attached.drain("w2")
            assert "started" in attached.log("w1").text


def test_a_running_master_takes_no_token_that_others_can_read(state: Path) -> None:
    clients = ensure_token(token_file(TokenRole.CLIENT))
    token, kept = read_token(), KeptTokens()
    assert role_of(token, kept()) is TokenRole.OPERATOR
    (state / "token").chmod(0o644)
    assert role_of(token, kept()) is None
    assert role_of(clients, kept()) is TokenRole.CLIENT
    (state / "token").chmod(0o600)
    assert role_of(token, kept()) is TokenRole.OPERATOR
