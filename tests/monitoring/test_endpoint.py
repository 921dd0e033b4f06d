"""The endpoint over HTTP: what is answered, and that nobody can hold it up."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from nodes.errors import StartError
from nodes.monitoring import endpoint as shell
from nodes.monitoring.endpoint import MAX_CONNECTIONS, Endpoint
from nodes.support.addresses import Address
from tests.console.fakes import cluster_snapshot, worker_view
from tests.kit import PATIENCE
from tests.monitoring.kit import fetch, metrics

SNAPSHOT = cluster_snapshot([worker_view(1)])
ANY = Address("127.0.0.1", 0)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """One of a cluster that is well."""
    with Endpoint(ANY, lambda _max_age_s: SNAPSHOT) as one:
        yield one


def raw(endpoint: Endpoint, request: bytes) -> bytes:
    """All that is answered to some bytes."""
    with socket.create_connection(endpoint.address, timeout=PATIENCE) as sock:
        sock.sendall(request)
        answer = b""
        while part := sock.recv(65536):
            answer += part
    return answer


def test_a_scrape_is_what_prometheus_reads(endpoint: Endpoint) -> None:
    answer = fetch(endpoint.address, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "rollcall_workers" in metrics(answer.body)
    assert fetch(endpoint.address, "/readyz").body == "HEALTHY\n"


def test_only_reading_is_answered(endpoint: Endpoint) -> None:
    refused = fetch(endpoint.address, "/metrics", method="POST")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")
    head = raw(endpoint, b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200")
    assert head.endswith(b"\r\n\r\n")
    assert b"Content-Length: 0" not in head


def test_a_page_of_elsewhere_reads_nothing_here(endpoint: Endpoint) -> None:
    answer = fetch(endpoint.address, "/metrics", headers={"Host": "evil.example"})
    assert answer.status == 421
    assert "rollcall_workers" not in answer.body
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_request_that_is_none_is_refused_in_words_and_not_told_back(endpoint: Endpoint) -> None:
    answer = raw(endpoint, b"<script> /metrics NONSENSE\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400")
    assert b"script" not in answer


def test_who_is_silent_is_dropped_for_those_who_come(endpoint: Endpoint) -> None:
    silent = [socket.create_connection(endpoint.address) for _ in range(3 * MAX_CONNECTIONS)]
    try:
        began = time.monotonic()
        assert fetch(endpoint.address, "/healthz").status == 200
        assert time.monotonic() - began < shell.CONNECTION_S / 2
    finally:
        for one in silent:
            one.close()


def test_a_port_that_is_taken_is_said_with_the_option(endpoint: Endpoint) -> None:
    with pytest.raises(StartError, match=r"is taken .*--metrics"):
        Endpoint(endpoint.address, lambda _max_age_s: SNAPSHOT)


def test_what_is_bound_for_others_is_asked_by_whichever_name_they_know() -> None:
    everywhere = Address("0.0.0.0", 0)
    with Endpoint(everywhere, lambda _max_age_s: SNAPSHOT, is_open=True) as one:
        at = Address("127.0.0.1", one.address.port)
        assert fetch(at, "/healthz", headers={"Host": "db1.example"}).status == 200


def test_ipv6_has_brackets() -> None:
    with Endpoint(Address("::1", 0), lambda _max_age_s: SNAPSHOT) as one:
        assert fetch(one.address, "/healthz").status == 200


@pytest.mark.long
def test_who_sends_a_byte_now_and_then_has_little_time(endpoint: Endpoint) -> None:
    with socket.create_connection(endpoint.address, timeout=PATIENCE) as slow:
        began = time.monotonic()
        slow.settimeout(0.5)
        ended = False
        while not ended and time.monotonic() - began < 3 * shell.CONNECTION_S:
            try:
                slow.sendall(b"G")
                ended = slow.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended
        assert time.monotonic() - began < 2 * shell.CONNECTION_S
