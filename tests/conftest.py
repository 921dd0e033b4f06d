"""Every test runs with folders of its own, and leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from nodes.security.tokens import ensure_token
from nodes.transport.loop import new_event_loop
from tests.kit import ResourceCount, poll_for
from tests.secret_watch import SecretWatch
from tests.store.server import PostgresServer, missing, running_server

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


# In the background of a shell they would ignore Ctrl-C, and so would all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The first loop of a process opens descriptors that stay until its end: not a leak of any test.
new_event_loop().close()


SECRETS = SecretWatch()
SECRETS.install()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails the test in whose output a token is."""
    report = yield
    if call.when == "teardown":
        shown = SECRETS.shown(text for _, text in report.sections)
        if shown and item.get_closest_marker("shows_token") is None:
            report.outcome, report.longrepr = "failed", f"a token was printed or logged, {shown}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """State, cache and settings of the session are its own: no test sees or touches the user's."""
    folder = tmp_path_factory.mktemp("rollcall")
    names = {
        "ROLLCALL_STATE": folder / "state",
        "ROLLCALL_CACHE": folder / "cache",
        "XDG_CONFIG_HOME": folder / "config",
    }
    before = dict(os.environ)
    os.environ.update({name: str(path) for name, path in names.items()})
    for name in ("ROLLCALL_MASTER", "ROLLCALL_TOKEN_FILE", "ROLLCALL_TLS", "ROLLCALL_SETTINGS"):
        os.environ.pop(name, None)
    ensure_token()
    yield folder
    assert SECRETS.written(folder) == []
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _no_written_secrets(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test that leaves a log or a journal with a token in it."""
    yield
    folder = getattr(request.node, "funcargs", {}).get("tmp_path")
    if folder is not None:
        SECRETS.learn(folder)
        assert SECRETS.written(folder) == []


@pytest.fixture(autouse=True)
def _no_leaks(_own_folders: Path) -> Iterator[None]:
    """Fails the test that leaves a process, a thread or a descriptor."""
    resources = ResourceCount()
    yield
    if resources.leaks():
        gc.collect()  # what only waits for the collector is no leak
        poll_for(lambda: not resources.leaks(), 5.0, f"gone: {resources.leaks()}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, for all tests that need one."""
    if why := missing():
        pytest.skip(why)
    with running_server() as server:
        yield server
