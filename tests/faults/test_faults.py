"""Every fault, briefly: no error, no wrong answer, nobody waits as long as two seconds."""

from __future__ import annotations

import pytest

from tests.faults.scenes import FAULTS, play


@pytest.mark.parametrize("name", FAULTS)
def test_no_client_notices(name: str) -> None:
    seen = play(name, lookups=60, least=1.5)
    assert seen.errors == []
    assert seen.wrong == []
    assert seen.lookups >= 240
