"""What RPyC does by default, what we do instead, and the tests that fail without it.

`python -m tests.transport.mitigations` takes each mitigation out of a copy of the source, by
replacing its text, runs the tests that stand for it, and fails if they pass all the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent.parent


class Mitigation(msgspec.Struct, frozen=True):
    """One of them: `out` lists what is replaced in which module to take it out.

    `row` names the default behaviour, `side` who is protected: "server", "client" or "both".
    """

    row: str
    side: str
    out: tuple[tuple[str, str, str], ...]
    tests: tuple[str, ...]


SERVER, LANE, CONNECTION = "server.py", "lane.py", "connection.py"
FRAMES, LOBBY, STREAM = "frames.py", "lobby.py", "stream.py"

QUIETLY = "with contextlib.suppress(OSError):"
NO_GUARD = """if obj is not self._root or type(name) is not str:
            raise Refused("AttributeError", "only verbs can be reached")
"""
ANY_ATTRIBUTE = """if obj is not self._root:
            kept = Kept((VERB, 2, 99), getattr(obj, str(name)))
            self._kept[kept.ref] = kept
            return kept
"""
BY_PIECE = """left = deadline - time.monotonic()
        while payload is None:
            payload = reader.take(self.read(time.monotonic() + left))
"""
UNTIL_DEADLINE = """while payload is None:
            payload = reader.take(self.read(deadline))
"""

SAFE_ATTRS = "safe_attrs reach values: one packet freezes the process"
LENGTHS = "a length of 4 GB is believed, and a compressed frame inflates without end"
TIMEOUTS = "a timeout bounds neither connect, receive, send nor close"
ACCEPT = "an error of accept ends the server, and nothing bounds the connections"
SCAN = "a port scan prints tracebacks"
NAGLE = "Nagle's algorithm is on"
PORT_0 = "the port is known before anything listens on it"
CLOSE = "close joins no thread, hangs on a frozen peer, and fails when both ends close"
THREADS = "ThreadPoolServer, ForkingServer and BgServingThread stall or steal"

TABLE = (
    Mitigation(
        SAFE_ATTRS,
        "server",
        ((CONNECTION, NO_GUARD, ANY_ATTRIBUTE),),
        (
            "test_doors.py::test_a_verb_has_no_attributes",
            "../security/test_reach.py::test_a_verb_has_no_names_at_all",
        ),
    ),
    Mitigation(
        SAFE_ATTRS,
        "server",
        ((CONNECTION, '"allow_safe_attrs": False', '"allow_safe_attrs": True'),),
        ("test_server.py::test_every_door_of_rpyc_is_closed",),
    ),
    Mitigation(
        SAFE_ATTRS,
        "server",
        (
            (
                CONNECTION,
                "perform = self._HANDLERS.get(handler)",
                "perform = protocol.Connection._request_handlers().get(handler)",
            ),
        ),
        (
            "test_doors.py::test_no_other_request_is_served",
            "../security/test_reach.py::test_requests_that_are_served",
        ),
    ),
    Mitigation(
        # A lane answers nothing, so nothing of its process can be reached.
        SAFE_ATTRS,
        "client",
        ((LANE, 'raise Broken("not the answer to what was asked")', "return 1, None"),),
        (
            "test_lane_ends.py::test_garbage_closes_the_lane[a request]",
            "test_lane_ends.py::test_garbage_closes_the_lane[the answer to another call]",
        ),
    ),
    Mitigation(
        SAFE_ATTRS,
        "client",
        ((LANE, 'raise Broken("the answer is not by value")', "pass"),),
        ("test_lane_ends.py::test_garbage_closes_the_lane[a reference]",),
    ),
    Mitigation(
        LENGTHS,
        "both",
        ((FRAMES, "if not 0 < length <= self._most or", "if not 0 < length or"),),
        (
            "test_hostile.py::test_nonsense_is_hung_up_on_at_once[a frame of 4 GB]",
            "test_hostile.py::test_nonsense_is_hung_up_on_at_once[TLS]",
            "test_lane_ends.py::test_garbage_closes_the_lane[a frame of 4 GB]",
            "test_lane_ends.py::test_a_reply_too_large_is_not_taken",
        ),
    ),
    Mitigation(
        LENGTHS,
        "both",
        (
            (FRAMES, "inflater.decompress(data, most + 1)", "inflater.decompress(data)"),
            (FRAMES, "if len(payload) > most:", "if False:"),
        ),
        (
            "test_hostile.py::test_nonsense_is_hung_up_on_at_once[a request that inflates too far]",
            "test_lane_ends.py::test_an_answer_that_inflates_too_far_is_not_taken",
            "test_frames.py::test_a_bomb_is_not_inflated",
        ),
    ),
    Mitigation(
        LENGTHS,
        "both",
        ((FRAMES, "inflater.decompress(data, most + 1)", "inflater.decompress(data)"),),
        ("test_frames.py::test_a_bomb_is_not_inflated",),
    ),
    Mitigation(
        LENGTHS,
        "both",
        (("messages.py", "if self._left < 0:", "if False:"),),
        (
            "test_hostile.py::test_nonsense_is_hung_up_on_at_once[half a million values]",
            "test_lane_ends.py::test_garbage_closes_the_lane[many parts]",
        ),
    ),
    Mitigation(
        TIMEOUTS,
        "server",
        (
            (
                CONNECTION,
                "self._reader, time.monotonic() + self._limits.frame",
                "self._reader, time.monotonic() + 1e6",
            ),
        ),
        (
            "test_hostile.py::test_half_a_frame_has_an_end",
            "test_hostile.py::test_a_byte_now_and_then_does_not_buy_time",
        ),
    ),
    Mitigation(
        TIMEOUTS,
        "server",
        ((LOBBY, "self._patience = patience", "self._patience = 1e6"),),
        ("test_hostile.py::test_silence_has_an_end",),
    ),
    Mitigation(
        TIMEOUTS,
        "server",
        ((CONNECTION, "= self._limits.idle", "= 1e6"),),
        ("test_hostile.py::test_silence_after_a_request_has_an_end_too",),
    ),
    Mitigation(
        TIMEOUTS,
        "server",
        (
            (
                CONNECTION,
                "answer, time.monotonic() + self._limits.frame",
                "answer, time.monotonic() + 1e6",
            ),
        ),
        ("test_hostile.py::test_a_peer_that_does_not_read_is_cut_off",),
    ),
    Mitigation(
        TIMEOUTS,
        "both",
        ((STREAM, UNTIL_DEADLINE, BY_PIECE),),
        (
            "test_hostile.py::test_a_byte_now_and_then_does_not_buy_time",
            "test_lane_ends.py::test_the_deadline_is_over_all_of_a_call",
        ),
    ),
    Mitigation(
        TIMEOUTS,
        "client",
        ((LANE, "create_connection((host, port), timeout)", "create_connection((host, port))"),),
        ("test_lane_ends.py::test_a_dial_that_nobody_takes_up_has_an_end",),
    ),
    Mitigation(
        TIMEOUTS,
        "client",
        (
            (
                LANE,
                "+ timeout\n        try:\n            return work",
                "+ 1e6\n        try:\n            return work",
            ),
        ),
        (
            "test_lane_ends.py::test_a_late_answer_closes_the_lane",
            "test_lane_ends.py::test_a_peer_that_never_accepts_nor_reads_is_seen_by_the_deadline",
        ),
    ),
    Mitigation(
        ACCEPT,
        "server",
        ((SERVER, "except OSError as exc:  #", "except ConnectionError as exc:  #"),),
        ("test_limits.py::test_running_out_of_descriptors_is_survived",),
    ),
    Mitigation(
        ACCEPT,
        "server",
        ((SERVER, "except RuntimeError as exc:", "except KeyError as exc:"),),
        ("test_limits.py::test_running_out_of_threads_is_survived",),
    ),
    Mitigation(
        ACCEPT,
        "server",
        ((LOBBY, "if len(self._waiting) >= self._most:", "if False:"),),
        ("test_seats.py::test_the_silent_wait_without_a_thread",),
    ),
    Mitigation(
        SCAN,
        "server",
        ((LOBBY, "except OSError:\n        return False", "except KeyError:\n        raise"),),
        ("test_hostile.py::test_a_port_scan_is_not_heard",),
    ),
    Mitigation(
        ACCEPT,
        "server",
        ((SERVER, "if len(self._seats) < self._room:", "if True:"),),
        (
            "test_limits.py::test_one_connection_too_many_is_told_so",
            "test_limits.py::test_connections_and_threads_are_bounded",
            "test_seats.py::test_a_server_keeps_no_more_than_the_system_allows",
        ),
    ),
    Mitigation(
        ACCEPT,
        "client",
        ((LANE, "except (OSError, ValueError, OverflowError) as exc:", "except KeyError as exc:"),),
        (
            "test_lane_ends.py::test_no_descriptor_to_dial_with",
            "test_lane_ends.py::test_nobody_listens",
        ),
    ),
    Mitigation(
        SCAN,
        "server",
        ((CONNECTION, "except (Broken, OSError) as exc:", "except KeyError as exc:"),),
        (
            "test_hostile.py::test_peers_that_reset_their_connection_are_not_heard",
            "test_hostile.py::test_nonsense_is_hung_up_on_at_once[SSH]",
        ),
    ),
    Mitigation(
        SCAN,
        "client",
        ((LANE, "except (EOFError, OSError) as exc:", "except KeyError as exc:"),),
        (
            "test_lane_ends.py::test_a_peer_that_leaves",
            "test_lane_ends.py::test_garbage_closes_the_lane[HTTP]",
        ),
    ),
    Mitigation(
        NAGLE,
        "server",
        ((SERVER, "socket.TCP_NODELAY, 1", "socket.TCP_NODELAY, 0"),),
        ("test_server.py::test_accepted_connections_do_not_wait_to_send",),
    ),
    Mitigation(
        NAGLE,
        "client",
        ((LANE, "socket.TCP_NODELAY, 1", "socket.TCP_NODELAY, 0"),),
        ("test_server.py::test_accepted_connections_do_not_wait_to_send",),
    ),
    Mitigation(
        PORT_0,
        "both",
        (
            (
                SERVER,
                "self.limits = limits\n",
                "self.limits = limits\n        fd = self._listener\n"
                "        self._listener = socket.socket()\n        fd.close()\n"
                "        self._listener.bind(self.address)\n",
            ),
            (SERVER, "acceptor.start()", "self._listener.listen(); acceptor.start()"),
        ),
        ("test_server.py::test_its_address_is_known_and_connectable_before_it_starts",),
    ),
    Mitigation(
        CLOSE,
        "server",
        ((SERVER, "thread.join(max(0.0, deadline - time.monotonic()))", "pass"),),
        ("test_server.py::test_stopping_does_not_wait_for_a_peer_that_does_not_read",),
    ),
    Mitigation(
        CLOSE,
        "server",
        (
            (
                SERVER,
                "(*self._seats, *self._leaving, *self._turning):\n                _shut(sock)",
                "(*self._seats, *self._leaving, *self._turning):\n                pass",
            ),
        ),
        (
            "test_server.py::test_stopping_does_not_wait_for_a_peer_that_does_not_read",
            "test_server.py::test_stopping_ends_every_connection_and_joins_every_thread",
        ),
    ),
    Mitigation(
        CLOSE,
        "both",
        (
            (SERVER, f"{QUIETLY}\n        sock.shutdown", "if True:\n        sock.shutdown"),
            (
                LANE,
                f"{QUIETLY}\n                self._sock.shutdown",
                "if True:\n                self._sock.shutdown",
            ),
        ),
        ("test_hostile.py::test_closing_from_both_ends_at_once",),
    ),
    Mitigation(
        CLOSE,
        "client",
        ((LANE, "self._sock.shutdown(socket.SHUT_RDWR)", "pass"),),
        ("test_lane_ends.py::test_another_thread_ends_a_call",),
    ),
    Mitigation(
        THREADS,
        "both",
        ((LANE, "import contextlib\n", "import contextlib\nfrom rpyc import BgServingThread\n"),),
        ("test_mitigations.py::test_what_stalls_or_steals_is_not_used",),
    ),
)


def survives(mitigation: Mitigation, copy: Path) -> list[str]:
    """Those of its tests that pass though it is taken out of the copy."""
    package = copy / "nodes" / "transport"
    before = {name: (package / name).read_text() for name, _, _ in mitigation.out}
    try:
        for name, old, new in mitigation.out:
            text = (package / name).read_text()
            assert text.count(old) == 1, f"{old!r} is not in {name} once"
            (package / name).write_text(text.replace(old, new))
        return [test for test in mitigation.tests if passes(copy, test)]
    finally:
        for name, text in before.items():
            (package / name).write_text(text)


def passes(copy: Path, *tests: str) -> bool:
    """Whether those tests pass in the copy."""
    # A packet that is not kept out may well ask for all the memory there is.
    limited = 'ulimit -v 4000000; exec "$0" -m pytest -q -x --timeout 30 "$@"'
    ran = subprocess.run(
        ["/bin/bash", "-c", limited, sys.executable, *tests],
        cwd=copy / "tests" / "transport",
        capture_output=True,
        check=False,
        text=True,
        env={"PYTHONPATH": str(copy), "PATH": os.environ["PATH"]},
    )
    assert "no tests ran" not in ran.stdout, f"{tests}: {ran.stdout}{ran.stderr}"
    return ran.returncode == 0


def main() -> int:
    """Tries all of them; 1 if a mitigation could go unnoticed."""
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("nodes", "console", "tests", "data"):
            shutil.copytree(ROOT / name, copy / name)
        shutil.copy(ROOT / "pyproject.toml", copy)
        shutil.copy(ROOT / "README.md", copy)
        every = {test for mitigation in TABLE for test in mitigation.tests}
        assert passes(copy, *sorted(every)), "they have to pass as long as nothing is taken out"
        for mitigation in TABLE:
            passed = survives(mitigation, copy)
            unnoticed += len(passed)
            what = f"unnoticed by {passed}" if passed else f"noticed by {len(mitigation.tests)}"
            print(f"{mitigation.side:6}  {mitigation.row}: {what}", flush=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
