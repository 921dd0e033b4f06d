"""What a hostile peer says: RPyC's grammar, followed, bent and broken. Seeded, no sockets.

Everything is made from one `random.Random`, so a seed and a number name a session.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import Any

from rpyc.core import brine, consts

from nodes.support.verbs import CLIENT_VERBS, OPERATIONS, WORKER_VERBS
from nodes.transport import Limits, messages
from nodes.transport.frames import HEADER, frame
from nodes.transport.responder import ROOT

VERB, VERB_CLASS, _ = messages.VERB
REQUEST = brine.I1.pack(consts.MSG_REQUEST)
REPLY = brine.I1.pack(consts.MSG_REPLY)
EXCEPTION = brine.I1.pack(consts.MSG_EXCEPTION)

HANDLERS = sorted(v for k, v in vars(consts).items() if k.startswith("HANDLE_"))
LABELS = (consts.LABEL_VALUE, consts.LABEL_TUPLE, consts.LABEL_LOCAL_REF, consts.LABEL_REMOTE_REF)
ASKED = tuple(verb for verb in CLIENT_VERBS if verb != "login")
"""What a client may ask of a master. Not `login`: whoever gives a wrong token is made to wait."""

NAMES = (
    *ASKED,
    *WORKER_VERBS,
    *OPERATIONS,
    "ask",
    "prepare",
    "probe",
    "retire",
    "switch",
    "getbyname",
    "getbylocation",
    "getbyyear",
    "hang_up",
    "verb",
    "on_close",
    "_master",
    "_trusted",
    "__class__",
    "__dict__",
    "__init__",
    "__reduce_ex__",
    "__getattr__",
    "exposed_lookup",
    "____id_pack__",
    "",
    "\x00",
    "é" * 200,
)
"""Verbs, what is no verb, and what Python itself would look up."""

TEXTS = (
    "",
    "xander",
    "Atlanta",
    "' OR 1=1 --",
    "%",
    "\x00",
    "\x1b[2J\x1b]0;owned\x07",
    "a\nb\rc",
    "\u202e",
    "é" * 5000,
    "../../etc/passwd",
    "{}",
    '{"instance":"x"}',
    "9" * 5000,
    "w99",
    "nan",
)
"""None is the id of a worker: a peer that has the token may well send it away."""
NUMBERS = (0, 1, -1, 255, 2**31, 2**63, -(2**64), 10**4200, 0.0, -0.0, 1e308, float("inf"))
STRANGERS = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
    b"*1\r\n$4\r\nPING\r\n",
)
"""A browser, TLS, SSH, HTTP/2, remote desktop, Redis."""

CALLS = (
    ("lookup", ("getbyname", "xander")),
    ("lookup", ("getbyyear", "Atlanta", 1999)),
    ("getbyname", ("xander",)),
    ("getbylocation", ("Atlanta",)),
    ("getbyyear", ("Atlanta", "1999")),
    ("suggest", ("name", "x", 5)),
    ("lookup_many", ('[["getbyname","xander"],["getbyyear","Atlanta",1999]]',)),
    ("lookup_many", (b"\x91\x90",)),
    ("members", ()),
    ("describe", ()),
    ("register", ("{}",)),
    ("log", ("w99", 0)),
    ("events", (2**40,)),
    ("recording", (0.0, 1000)),
    ("probe", ()),
    ("retire", ("secret",)),
    ("switch", ("secret", "/path")),
    ("catalog_offer", ("",)),
    ("catalog_part", ("5f2c91d0a3b4", 0)),
    ("catalog_part", ("../../etc/passwd", 2**40)),
)
"""Calls that are right, of a master and of a worker."""

_BOMBS: dict[int, bytes] = {}


def bomb(size: int) -> bytes:
    """A compressed frame that inflates to `size` zeros."""
    if size not in _BOMBS:
        body = zlib.compress(bytes(size), 9)
        _BOMBS[size] = HEADER.pack(len(body), 1) + body + b"\n"
    return _BOMBS[size]


class Grammar:
    """Makes what is said.

    Args:
        rng: all that is random.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._seq = 0
        self._verbs = 0

    # -- sessions of a client that is hostile, or only broken ---------------------------

    def session(self, most: int) -> list[bytes]:
        """The frames of one connection: some that are answered, then often one that is not."""
        self._seq = self._verbs = 0
        rng = self._rng
        said: list[bytes] = []
        if rng.random() < 0.8:
            said += [self._root(), *(self._verb() for _ in range(rng.randrange(3)))]
        said += [self._sound() for _ in range(rng.randrange(most))]
        if rng.random() < 0.5:
            said.append(self.broken(self._sound()))
        return said

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _root(self) -> bytes:
        return messages.root_request(self._next())

    def _verb(self) -> bytes:
        self._verbs += 1
        root = ROOT if self._rng.random() < 0.8 else self._id_pack()
        # The good verbs are asked for more often, as only they lead anywhere.
        last = len(ASKED) if self._rng.random() < 0.5 else len(NAMES)
        return messages.verb_request(self._next(), root, self._rng.choice(NAMES[:last]))

    def _sound(self) -> bytes:
        """A frame that is answered: as one should ask, or with an exception."""
        make: Callable[[], bytes] = self._rng.choices(
            (self._aimed, self._call, self._request, self._verb, self._root, self._inflated),
            (30, 30, 20, 10, 5, 5),
        )[0]
        return make()

    def _call(self) -> bytes:
        head = messages.call_head(self._id_pack())
        args = tuple(self.value() for _ in range(self._rng.randrange(4)))
        named = {self._rng.choice(("limit", "after", "timeout_s", "x")): self.value()}
        encoded = messages.arguments(args, named if self._rng.random() < 0.3 else None)
        return messages.call_request(self._next(), head, encoded)

    def _aimed(self) -> bytes:
        """A call as a client makes it, but for one argument that is hostile."""
        rng = self._rng
        verb, right = rng.choice(CALLS)
        args: list[Any] = list(right)
        named: dict[str, Any] = (
            {"limit": 10, "timeout_s": 2.0, "after": None} if rng.random() < 0.4 else {}
        )
        if named and rng.random() < 0.6:
            named[rng.choice(("limit", "timeout_s", "after", "é"))] = self.value()
        elif args:
            args[rng.randrange(len(args))] = self.value()
        parts = (verb, tuple(args), tuple(named.items()))
        boxed = ((consts.LABEL_LOCAL_REF, ROOT), *((consts.LABEL_VALUE, part) for part in parts))
        return self._asked(consts.HANDLE_CALLATTR, (consts.LABEL_TUPLE, boxed))

    def _request(self) -> bytes:
        rng = self._rng
        handler = rng.choice(HANDLERS) if rng.random() < 0.8 else rng.randrange(-5, 1000)
        if handler == consts.HANDLE_CLOSE and rng.random() < 0.9:
            handler = consts.HANDLE_CALLATTR
        return self._asked(handler, self._boxed(3))

    def _asked(self, handler: int, boxed: object) -> bytes:
        return frame(REQUEST, brine.dump((self._next(), (handler, boxed))))

    def _inflated(self) -> bytes:
        """A frame as any client of the real library sends it when it is long."""
        payload = messages.root_request(self._next())[HEADER.size : -1]
        body = zlib.compress(payload)
        return HEADER.pack(len(body), 1) + body + b"\n"

    def _boxed(self, depth: int) -> tuple[object, object]:
        """A boxed value with labels that are right, or refer to what nobody was given."""
        label = self._rng.choice(LABELS)
        if label == consts.LABEL_TUPLE and depth:
            inside = (self._boxed(depth - 1) for _ in range(self._rng.randrange(4)))
            return label, tuple(inside)
        if label in {consts.LABEL_LOCAL_REF, consts.LABEL_REMOTE_REF}:
            return label, self._id_pack()
        return consts.LABEL_VALUE, self.value()

    def _id_pack(self) -> Any:
        rng = self._rng
        kind = rng.random()
        if kind < 0.6:
            return (VERB, VERB_CLASS, rng.randint(1, max(1, self._verbs)))
        if kind < 0.7:
            return ROOT
        if kind < 0.9:
            name = rng.choice(
                ("builtins.int", "builtins.type", "nodes.master.master.Master", VERB, "")
            )
            return (name, rng.getrandbits(47), rng.getrandbits(47))
        return self.value()

    # -- values ---------------------------------------------------------------------

    def value(self, depth: int = 3) -> Any:
        """A value that crosses, of any type, size and depth."""
        rng = self._rng
        kind = rng.randrange(12)
        if kind < 5:
            return rng.choice(TEXTS)
        if kind < 7:
            return rng.choice(NUMBERS)
        if kind < 8:
            return rng.choice((None, True, False, Ellipsis, NotImplemented, 1j, slice(1, 2, 3)))
        if kind < 9:
            return rng.randbytes(rng.choice((0, 1, 3, 300, 70_000)))
        if kind < 10:
            return frozenset(rng.randrange(100) for _ in range(rng.randrange(8)))
        if kind < 11 and depth:
            return tuple(self.value(depth - 1) for _ in range(rng.randrange(5)))
        nested: Any = ()
        for _ in range(rng.choice((3, 30, 320, 400))):
            nested = (nested,)
        return nested

    # -- what ends a connection -------------------------------------------------------

    def broken(self, sound: bytes) -> bytes:
        """Bytes that are no frame or no message, or a sound one with something wrong."""
        rng = self._rng
        ways: dict[Callable[[], bytes], int] = {
            lambda: sound[: rng.randrange(len(sound))]: 9,
            lambda: self._flipped(sound): 30,
            lambda: sound + rng.randbytes(rng.randrange(1, 9)): 9,
            lambda: sound[: rng.randrange(len(sound))] + sound: 9,
            lambda: HEADER.pack(rng.choice((0, 2**31, 2**32 - 1, Limits().frame_in + 1)), 0): 9,
            lambda: HEADER.pack(len(sound), rng.randrange(2, 256)) + sound: 3,
            # The bombs and the deep ones cost most, and one is like another.
            lambda: bomb(rng.choice((5 << 20, 64 << 20))): 1,
            lambda: HEADER.pack(len(sound), 1) + sound + b"\n": 3,
            lambda: frame(rng.randbytes(rng.randrange(1, 200))): 20,
            lambda: frame(REQUEST, brine.TAG_TUP2, brine.dump(1), brine.TAG_TUP1 * 10_000): 2,
            lambda: frame(REQUEST, brine.TAG_TUP2, brine.dump(1), self._lengths()): 9,
            lambda: frame(REQUEST, brine.dump(self.value())): 5,
            lambda: frame(rng.choice((REPLY, EXCEPTION, b"\x00")), brine.dump((1, (1, 1)))): 5,
            lambda: rng.choice(STRANGERS): 5,
            lambda: rng.randbytes(rng.randrange(1, 64)): 9,
        }
        return rng.choices(tuple(ways), tuple(ways.values()))[0]()

    def _flipped(self, sound: bytes) -> bytes:
        changed = bytearray(sound)
        for _ in range(self._rng.randint(1, 4)):
            # Beyond the header: a wrong length is the affair of the other kinds.
            place = self._rng.randrange(min(HEADER.size, len(changed) - 1), len(changed))
            changed[place] = self._rng.getrandbits(8)
        return bytes(changed)

    def _lengths(self) -> bytes:
        """Brine that claims more than there is: texts, bytes, tuples, integers."""
        tag = self._rng.choice(
            (brine.TAG_STR_L4, brine.TAG_TUP_L4, brine.TAG_INT_L4, brine.TAG_UNICODE)
        )
        inner = brine.TAG_STR_L4 if tag == brine.TAG_UNICODE else b""
        claim = self._rng.choice((2**32 - 1, 2**31, 2**24, 5000))
        return bytes(tag + inner + brine.I4.pack(claim) + self._rng.randbytes(8))

    # -- a server that is hostile -------------------------------------------------------

    def answer(self, seq: int) -> bytes:
        """What a hostile server may answer to request `seq` of a lane."""
        rng = self._rng
        sound = messages.value_reply(seq, self.value())
        kind = rng.randrange(8)
        if kind == 0:
            return sound
        if kind == 1:
            return messages.reference_reply(seq, self._id_pack())
        if kind == 2:
            body = self.value() if rng.random() < 0.5 else (("m", "Kind"), (self.value(),), (), "")
            return frame(EXCEPTION, brine.dump((seq + rng.choice((0, 0, 1)), body)))
        if kind == 3:
            return frame(REPLY, brine.dump((seq, self._boxed(3))))
        if kind == 4:
            return frame(REPLY, brine.TAG_TUP2, brine.dump(seq), brine.TAG_TUP1 * 10_000)
        if kind == 5:
            return frame(REPLY, brine.TAG_TUP2, brine.dump(seq), self._lengths())
        if kind == 6:
            return messages.value_reply(seq, (None,) * rng.choice((10, 10, 70_000)))
        return self.broken(sound)
