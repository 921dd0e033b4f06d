"""What crosses the wire, the token, addresses and events."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.dispatch.replies import is_answer, is_batch_answer, is_probe_answer, is_refusal
from nodes.errors import CODES, BadRequest, InternalError, Overloaded, StartError
from nodes.master.events import EventLog
from nodes.security.tokens import TokenRole, ValidToken, ensure_token, read_token
from nodes.support.addresses import parse_address
from nodes.support.event_kinds import EventKind
from nodes.support.listening import check_host, explain_bind
from nodes.support.nesting import MAX_NESTING
from nodes.wire import (
    MAX_REFUSAL_CHARS,
    answer_envelope,
    answer_part,
    batch_answer,
    batch_body,
    batch_envelope,
    decode_envelope,
    error_envelope,
    item_envelope,
    result_envelope,
)
from tests.kit import role_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VERSION = st.text("0123456789abcdef", min_size=1, max_size=64)


@given(TEXT, st.none() | TEXT, st.lists(TEXT), VERSION, st.integers(1, 9))
def test_an_answer_is_json_whatever_is_in_it(
    worker: str, after: str | None, files: list[str], catalog: str, attempts: int
) -> None:
    part = answer_part(b'[{"a":1}]', count=1, after=after, catalog=catalog, files=tuple(files))
    assert is_answer(part)
    text = answer_envelope(part, worker=worker, attempts=attempts, elapsed_ms=0.4125)
    assert json.loads(text) == {
        "error": False,
        "result": [{"a": 1}],
        "count": 1,
        "truncated": after is not None,
        "after": after,
        "worker": worker,
        "attempts": attempts,
        "catalog": catalog,
        "files": files,
        "elapsed_ms": pytest.approx(0.4125, abs=0.001),
    }
    decoded = decode_envelope(text).checked()
    assert (decoded.worker, decoded.after, decoded.files) == (worker, after, tuple(files))


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_raised_as_its_error(code: str) -> None:
    text = error_envelope(CODES[code]("what to do"))
    assert json.loads(text) == {"error": True, "code": code, "error_message": "what to do"}
    with pytest.raises(CODES[code], match="what to do"):
        decode_envelope(text).checked()


def test_a_code_of_tomorrow_is_an_internal_error_of_today() -> None:
    with pytest.raises(InternalError):
        decode_envelope('{"error": true, "code": "new", "error_message": "x"}').checked()


def test_overloaded_says_when_to_come_back() -> None:
    with pytest.raises(Overloaded) as caught:
        decode_envelope(error_envelope(Overloaded("busy", retry_after_ms=100))).checked()
    assert caught.value.retry_after_ms == 100
    assert json.loads(result_envelope(["w1"])) == {"error": False, "result": ["w1"]}


@pytest.mark.parametrize(
    "value", [None, "", b"", b"result", 'x"result":', (), ("ok",), ("ok", b""), [b'"result":'], 7]
)
def test_what_is_no_answer_is_not_taken_for_one(value: object) -> None:
    assert not is_answer(value)
    assert not is_refusal(value)
    assert not is_probe_answer(value)


GOOD = answer_part(b'[{"a":1}]', count=1, after=None, catalog="v", files=("f",))


@pytest.mark.parametrize(
    "forged",
    [
        GOOD + b',"worker":"w1"',
        GOOD + b',"error":true',
        GOOD + b',"elapsed_ms":0',
        GOOD + b"}",
        GOOD + b'},{"x":1',
        GOOD + b",",
        GOOD + b"\n{}",
        GOOD[:-1],
        b'"error":true,' + GOOD,
        b'"worker":"w9",' + GOOD,
        b"{" + GOOD + b"}",
        GOOD.replace(b'"count":1', b'"count":2'),
        GOOD.replace(b'"count":1', b'"count":-1'),
        GOOD.replace(b'"count":1', b'"count":1.0'),
        GOOD.replace(b'"count":1', b'"count":"1"'),
        GOOD.replace(b"false", b"true"),
        GOOD.replace(b"null", b'"v:1"'),
        GOOD.replace(b'"v"', b'"\x1b[2J"'),
        GOOD.replace(b'"v"', b'""'),
        GOOD.replace(b'["f"]', b"[1]"),
        GOOD.replace(b'["f"]', b'"f"'),
        GOOD.replace(b'{"a":1}', b"1"),
        GOOD.replace(b'{"a":1}', b"[]"),
        GOOD.replace(b'{"a":1}', b"{a:1}"),
        GOOD.replace(b'{"a":1}', b'{"a":tru}'),
        GOOD.replace(b'{"a":1}', b'{"a":"\n"}'),
        GOOD.replace(b'{"a":1}', b'{"a":"\xff"}'),
        GOOD.replace(b'{"a":1}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
        GOOD.replace(b'{"a":1}', b'{"a":1}],"result":[{"a":1},{"a":2}'),
    ],
)
def test_a_worker_cannot_forge_what_is_the_master_s(forged: bytes) -> None:
    assert is_answer(GOOD)
    assert not is_answer(forged)


@given(st.binary())
def test_what_passes_for_an_answer_makes_an_envelope_that_can_be_read(noise: bytes) -> None:
    for part in (noise, GOOD + noise, GOOD.replace(b'{"a":1}', noise)):
        if is_answer(part):
            text = answer_envelope(part, worker="w1", attempts=1, elapsed_ms=0.4)
            fields = json.loads(text.decode())
            assert (fields["error"], fields["worker"]) == (False, "w1")
            assert len(fields) == 10


def nested(levels: int) -> bytes:
    """A record of so many levels."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize("beside", [0, 1, 500])
def test_a_record_nests_as_deep_as_we_say_on_every_interpreter(beside: int) -> None:
    flat = b',{"a":1}' * beside
    for levels, sound in ((MAX_NESTING, True), (MAX_NESTING + 1, False), (900, False)):
        answer = GOOD.replace(b'{"a":1}', nested(levels) + flat)
        answer = answer.replace(b'"count":1', b'"count":%d' % (1 + beside))
        assert is_answer(answer) is sound
        one = item_envelope(answer)
        assert is_batch_answer(batch_answer([one, WRONG, ITEM]), 3) is sound


def test_texts_are_no_records_that_hide_a_deep_one() -> None:
    texts = GOOD.replace(b'{"a":1}', nested(200) + b',"x"' * 200)
    assert not is_answer(texts.replace(b'"count":1', b'"count":201'))


ITEM = item_envelope(GOOD)
WRONG = error_envelope(BadRequest("what to do"))


@pytest.mark.parametrize("items", [[], [ITEM], [WRONG], [ITEM, WRONG] * 50])
def test_the_answers_of_a_batch_are_as_many_as_were_asked(items: list[bytes]) -> None:
    answer = batch_answer(items)
    assert is_batch_answer(answer, len(items))
    assert not is_batch_answer(answer, len(items) + 1)
    assert json.loads(batch_envelope(b"[%b]" % batch_body(answer), count=1, elapsed_ms=0.1))


@pytest.mark.parametrize(
    "forged",
    [
        ITEM + b"," + ITEM,
        ITEM + b"]",
        b"1",
        b"{}",
        b'{"error":false}',
        ITEM.replace(b"{", b'{"worker":"w1",', 1),
        ITEM.replace(b"{", b'{"attempts":9,', 1),
        ITEM.replace(b"false", b"true", 1),
        ITEM.replace(b'"count":1', b'"count":2'),
        ITEM.replace(b'{"a":1}', b'{"a":"\xff"}'),
        ITEM.replace(b'{"a":1}', b'"text"'),
        ITEM.replace(b'{"error"', b'{"code":"internal","error"'),
        WRONG.replace(b"bad_request", b"forbidden"),
        WRONG.replace(b"true", b"false"),
        WRONG.replace(b"what to do", b"x" * (MAX_REFUSAL_CHARS + 1)),
        WRONG.replace(b"what to do", rb"\u001b[2J"),
        WRONG.replace(b"{", b'{"retry_after_ms":1,', 1),
    ],
)
def test_no_answer_of_a_batch_is_forged(forged: bytes) -> None:
    assert not is_batch_answer(b"1[%b]" % forged, 1)
    assert not is_batch_answer(forged, 1)


def test_refusals_and_probes() -> None:
    assert not is_refusal(("bad_request", "x" * 20_000))
    for number in (-1, 1 << 70, float("nan"), float("inf")):
        assert not is_probe_answer((1, 0, 0, "v", number, 1000, ""))
    assert not is_probe_answer((1 << 70, 0, 0, "v", 0.5, 1000, ""))
    assert not is_probe_answer((1, 0, 0, "v\n", 0.5, 1000, ""))
    assert not is_probe_answer((1, 0, 0, "v" * 65, 0.5, 1000, ""))
    assert is_refusal(("bad_request", "why"))
    assert not is_refusal(("no such code", "why"))
    assert not is_refusal(("bad_request", 7))
    assert is_probe_answer((1, 0, 0, "v", 0.5, 1000, ""))
    assert not is_probe_answer((1, 0, 0, None, 0.5, 1000, ""))
    assert is_probe_answer((1, 0, 0, "v", 0.5, 1000, "cannot be reached"))
    assert not is_probe_answer((1, 0, 0, "v", 0.5, 1000, "x" * 1001))
    assert not is_probe_answer((1, 0, 0, "v", 0.5, 1000, None))
    assert not is_probe_answer((1, 0, 0, "v", 0.5, 1000))


def test_many_starts_at_once_agree_on_one_token(tmp_path: Path) -> None:
    path = tmp_path / "state" / "token"
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(ensure_token(path))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert len(made[0]) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["token"]
    assert read_token(path) == made[0]


def test_a_token_that_cannot_be_had_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert read_token(tmp_path / "none") is None
    with pytest.raises(StartError, match="ROLLCALL_STATE"):
        ensure_token(tmp_path / "file" / "token")
    (tmp_path / "empty").touch(mode=0o600)
    with pytest.raises(StartError, match="remove it"):
        ensure_token(tmp_path / "empty")


@pytest.mark.parametrize("given", ["", "other", None, 7, b"secret", ["secret"], "s\ud800"])
def test_only_the_token_is_the_token(given: object) -> None:
    tokens = [ValidToken("secret", TokenRole.OPERATOR)]
    assert role_of("secret", tokens) is TokenRole.OPERATOR
    assert role_of(given, tokens) is None


def test_addresses() -> None:
    for text, address in (
        ("127.0.0.1:8", ("127.0.0.1", 8)),
        ("[::1]:8", ("::1", 8)),
        ("[::1]", ("::1", 23000)),
        ("::1", ("::1", 23000)),
        ("fe80::1%eth0", ("fe80::1%eth0", 23000)),
        ("[fe80::1%eth0]:8", ("fe80::1%eth0", 8)),
        ("[::ffff:10.0.0.1]:8", ("::ffff:10.0.0.1", 8)),
        ("host", ("host", 23000)),
    ):
        parsed = parse_address(text)
        assert parsed == address
        assert parse_address(str(parsed)) == parsed, "what is printed can be pasted back"
    for bad in (
        *("", ":", "host:", "host:x", "host:0", "host:65536", "host:8:", "host:8:9", ":8"),
        *("::1:23000", "[::1]8", "[::1", "[::1]:", "[host]:8", "[]:8", "[127.0.0.1]:8"),
        *("a b:8", "user@host:8", "http://host:8", "host:" + "8" * 5000, "x" * 300 + ":8"),
    ):
        with pytest.raises(BadRequest, match="HOST:PORT"):
            parse_address(bad)
    for fine in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        check_host(fine, tls=False, insecure=False)
    for refused in ("0.0.0.0", "::", "10.0.0.1", "example.com", ""):
        with pytest.raises(StartError, match="--host") as told:
            check_host(refused, tls=False, insecure=False)
        # The command that mends it, for a name that can be in a certificate.
        name = refused if "1" in refused or "x" in refused else socket.gethostname()
        assert f"'rollcall-nodes certs init --host {name}', then add --tls " in str(told.value)
        assert "--insecure" in str(told.value)
        check_host(refused, tls=True, insecure=False)
        check_host(refused, tls=False, insecure=True)


def test_who_holds_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            socket.create_server(("127.0.0.1", port))
        text = explain_bind(caught.value, "127.0.0.1", port)
    assert f"port {port} is taken by " in text
    assert f"pid {os.getpid()}" in text
    assert "cannot listen" in explain_bind(PermissionError(13, "Permission denied"), "h", 80)


def test_events_are_numbered_and_few() -> None:
    log = EventLog(most=5, clock=lambda: 7.0)
    for number in range(8):
        log.note(EventKind.LOST, "w1", str(number))
    assert log.last == 8
    assert [event.number for event in log.after(0)] == [4, 5, 6, 7, 8]
    assert [event.text for event in log.after(6)] == ["6", "7"]
    assert [event.number for event in log.after(0, most=2)] == [4, 5]
    assert log.after(8) == []
    assert log.after(0)[0].at == 7.0
