"""Who is let in: by a link that is used once, and by nothing that another page can do."""

from __future__ import annotations

import itertools

import pytest

from console.web.access import MAX_SESSIONS, SESSION_VALID_S, WebAccess
from console.web.guard import Asked, allowed_hosts, refusal

HOSTS = allowed_hosts(23080, "https://ops.example.org/rollcall")


class Clock:
    """A clock that is told what it is."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(clock: Clock) -> WebAccess:
    numbers = itertools.count(1)
    return WebAccess(clock, lambda: f"secret {next(numbers)}")


def test_a_link_is_worth_something_once(access: WebAccess) -> None:
    key = access.key
    cookie = access.redeem(key)
    assert cookie is not None
    assert access.admits(cookie)
    assert access.redeem(key) is None
    assert access.key != key
    assert access.redeem(access.key) is not None


@pytest.mark.parametrize("key", ["", "secret", "secret 2", "\ud800", "x" * 10_000])
def test_any_other_key_is_worth_nothing(access: WebAccess, key: str) -> None:
    assert access.redeem(key) is None
    assert not access.admits(key)
    assert not access.admits(access.key), "a key is no cookie"


def test_a_session_ends(access: WebAccess, clock: Clock) -> None:
    cookie = access.redeem(access.key) or ""
    clock.now += SESSION_VALID_S - 1.0
    assert access.admits(cookie)
    clock.now += 1.0
    assert not access.admits(cookie)


def test_the_oldest_session_gives_way(access: WebAccess) -> None:
    cookies = [access.redeem(access.key) or "" for _ in range(MAX_SESSIONS + 1)]
    assert [access.admits(cookie) for cookie in cookies] == [False, *[True] * MAX_SESSIONS]


@pytest.mark.parametrize(
    ("host", "origin", "is_websocket", "says"),
    [
        ("127.0.0.1:23080", "", False, ""),
        ("LOCALHOST:23080", "http://localhost:23080", True, ""),
        ("[::1]:23080", "http://[::1]:23080", True, ""),
        ("ops.example.org", "https://ops.example.org", True, ""),
        ("127.0.0.1:23080", "", True, "another site"),
        ("127.0.0.1:23080", "http://evil.example", True, "another site"),
        ("127.0.0.1:23080", "http://127.0.0.1:8000", True, "another site"),
        ("127.0.0.1:23080", "http://127.0.0.1:23080.evil.example", True, "another site"),
        ("127.0.0.1:23080", "null", True, "another site"),
        ("127.0.0.1:23080", "http://evil.example", False, "another site"),
        ("127.0.0.1", "", False, "not called that"),
        ("rebound.evil.example:23080", "http://rebound.evil.example:23080", True, "not called"),
        ("", "", False, "not called that"),
    ],
)
def test_a_request_says_where_it_comes_from(
    access: WebAccess, host: str, origin: str, is_websocket: bool, says: str
) -> None:
    cookie = access.redeem(access.key) or ""
    why = refusal(Asked(host, origin, cookie, is_websocket), HOSTS, access)
    assert (says in why) if says else why == ""
    assert refusal(Asked(host, origin, "", is_websocket), HOSTS, access), "without a session"


def test_without_a_public_url_only_loopback_is_this_server(access: WebAccess) -> None:
    cookie = access.redeem(access.key) or ""
    hosts = allowed_hosts(23080, "")
    assert refusal(Asked("", "", cookie, is_websocket=False), hosts, access)
    assert refusal(Asked("ops.example.org", "", cookie, is_websocket=False), hosts, access)
