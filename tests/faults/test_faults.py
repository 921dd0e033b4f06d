"""Every fault, briefly: no error, no wrong answer, nobody waits as long as two seconds."""

from __future__ import annotations

import pytest

from tests.faults.scenarios import FAULTS, run_fault
from tests.kit import FORK_WARNING

pytestmark = pytest.mark.filterwarnings(FORK_WARNING)

OFTEN = (
    "SIGKILL each second",
    "SIGSTOP",
    "master killed, another started",
)
"""Those of the plain test command; the others are as many minutes as it has altogether."""


def check(name: str, least: float) -> None:
    """Runs it for that many seconds, and judges what the clients saw."""
    seen = run_fault(name, lookups=60, least=least)
    assert seen.errors == []
    assert seen.wrong == []
    assert seen.lookups >= 240


@pytest.mark.parametrize("name", OFTEN)
def test_no_client_notices(name: str) -> None:
    check(name, 1.5)


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_no_client_notices_for_longer(name: str) -> None:
    check(name, 4.0)
