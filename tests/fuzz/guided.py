"""Coverage-guided fuzzing of the decoder: `python -m tests.fuzz.guided [SECONDS]`.

Needs `atheris`, which is no dependency of the project: `pip install atheris` into the
environment first (it has wheels for Linux and Python 3.11 to 3.13). Starts from a few
hundred frames of the grammar; libFuzzer prints how far it came, and stops at a finding.

What must hold for any bytes: the frame reader and the decoders raise `MalformedError` and nothing
else, never give out more than their bound, and the short ways agree with the long one.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.transport.kit import load_call

try:
    import atheris
except ImportError:
    sys.exit("this needs atheris, which is no dependency of the project: pip install atheris")

with atheris.instrument_imports(include=["rpyc.core.brine", "nodes.transport"]):
    from nodes.transport import messages, shortcuts
    from nodes.transport.frames import HEADER, FrameReader, MalformedError
    from tests.fuzz.grammar import Grammar

MOST = 1 << 16
"""Bytes of a payload here; small, so that its bound is reached."""

HEAD = messages.call_head(messages.VERB)


def check(data: bytes) -> None:
    """One execution: `data` as a stream of frames, and as payloads of each decoder."""
    reader = FrameReader(MOST)
    try:
        for start in range(0, len(data), 1000):
            reader.feed(data[start : start + 1000])
            while (payload := reader.next()) is not None:
                assert 0 < len(payload) <= MOST
                decode(payload)
    except MalformedError:
        pass
    decode(data[HEADER.size :])


def decode(payload: bytes) -> None:
    """The three decoders on one payload."""
    whole = tried(messages.load, payload, messages.MAX_REQUEST_READS) if payload else None
    call = tried(load_call, payload, {HEAD: 7})
    if call is not None:
        seq, called, args = call
        assert called == 7
        assert whole is None or same((whole.seq, whole.body[1][1][1][1]), (seq, args))
    value = tried(shortcuts.find_value, payload)
    if value is not None:
        whole = tried(messages.load, payload, messages.MAX_REPLY_READS)
        assert whole is None or same((whole.seq, whole.body[1]), value)


def tried(decoder: Any, *args: Any) -> Any:
    """What a decoder makes of it, None for `MalformedError`."""
    try:
        return decoder(*args)
    except MalformedError:
        return None


def same(one: object, two: object) -> bool:
    """Whether both are the same value; by their words, as no NaN equals another."""
    return repr(one) == repr(two)


def main() -> None:
    """Writes the corpus, then hands over to libFuzzer, which ends the process."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "180"
    with tempfile.TemporaryDirectory() as folder:
        grammar = Grammar(random.Random(1))
        for number in range(100):
            said = b"".join(part for part in grammar.session(8) if len(part) < 4000)
            Path(folder, f"session-{number}").write_bytes(said)
            Path(folder, f"answer-{number}").write_bytes(grammar.answer(1)[:4000])
        options = [
            f"-max_total_time={seconds}",
            "-max_len=8192",
            "-timeout=5",
            "-rss_limit_mb=1024",
        ]
        atheris.Setup([sys.argv[0], *options, folder], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
