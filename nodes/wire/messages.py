"""What master, workers and clients say to each other: requests, registrations, who is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import msgspec

from nodes.support.structs import ready

if TYPE_CHECKING:
    from nodes.catalog import CatalogInfo

LOOKUP_TIMEOUT_S = 2.0
"""Seconds for a lookup, unless its client says otherwise."""


MAX_TIMEOUT_S = 60.0
"""The longest deadline that a client may ask for."""


PAGE_RECORDS = 1000
"""Records of a page, unless its client says otherwise."""


WorkerAnswer = bytes
"""The part of the envelope that a worker knows: `answer_part` of its page. One value on the
wire: the master adds its own part, and decodes nothing."""


WorkerRefusal = tuple[str, str]
"""`(code, message)`: a worker's refusal of a request, or its own failure."""


ProbeAnswer = tuple[int, int, int, str, float, int, str]
"""`(served, in flight, errors, catalog version, CPU percent, bytes of its own, trouble)`; the first
two are of lookups that did not come from the master: what did, the master counts itself. The last
says why the store of the records cannot be asked just now, "" if it can or there is none."""


MAX_REGISTRATION_CHARS = 2_000_000


MAX_MESSAGE_CHARS = 10_000
"""Characters of a registration, and of a worker's words."""


MAX_REFUSAL_CHARS = 1000
"""Characters of a worker's words that a client hears: they say what is wrong with its lookup."""


MAX_COUNT = (1 << 63) - 1
"""The largest count that is shown: what fits into 63 bits."""


Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


WORKER_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What a worker may be called, as a pattern: a file may bear that name."""


WantedId = Annotated[str, msgspec.Meta(pattern=rf"\A({WORKER_ID})?\Z")]


Version = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9]{1,64}\Z")]


def is_version(value: object) -> TypeGuard[str]:
    """Whether that may be a catalog's version."""
    return type(value) is str and 1 <= len(value) <= 64 and value.isascii() and value.isalnum()


Host = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


ShortText = Annotated[str, msgspec.Meta(max_length=1000)]


MAX_MEMBERS = 2048
"""Workers of a list that a client takes."""


Verb = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_]{0,63}\Z")]


Type = Annotated[str, msgspec.Meta(pattern=r"\A(text|integer|number)\Z")]


Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=20_000)]


INSTANCE_VARIABLE = "ROLLCALL_INSTANCE"
"""The variable of its environment by which a launcher gives a worker its instance."""


@ready
class LauncherSecrets(msgspec.Struct, frozen=True):
    """What a launcher tells a worker that it starts elsewhere, a line of JSON on its standard
    input: first both, later another token, when it was rotated.
    """

    token: str
    instance: str = ""


def encode_secrets(secrets: LauncherSecrets) -> bytes:
    """That line."""
    return msgspec.json.encode(secrets) + b"\n"


decode_secrets = msgspec.json.Decoder(LauncherSecrets).decode


def new_instance() -> str:
    """The secret by which one worker process is known: 32 hex digits. A pid would not do, as
    another machine or namespace may have the same.
    """
    import secrets  # noqa: PLC0415 - 5 ms that a client does not pay

    return secrets.token_hex(16)


def direct_key(instance: str) -> str:
    """What a client that asks a worker itself shows in the place of the secret, where lookups
    need a token: it opens lookups and nothing else, and does not tell the secret.
    """
    from hashlib import blake2b  # noqa: PLC0415 - as above

    return blake2b(instance.encode(), digest_size=16, person=b"direct").hexdigest()


def instance_proof(instance: str, challenge: str) -> str:
    """What shows that one knows a worker's secret: who answers at its address, say. It does not
    tell the secret, and is another for each challenge.
    """
    from hashlib import blake2b  # noqa: PLC0415 - as above

    return blake2b(challenge.encode(), digest_size=16, key=instance.encode()).hexdigest()


Fields = Annotated[tuple[str, ...], msgspec.Meta(max_length=8)]


class LookupShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lookup as clients see it: one of `fields` for each argument, of which `types` holds "text",
    "integer" or "number". What follows is as in `nodes.catalog.Lookup`, and said where it is not
    the usual.
    """

    name: Verb
    fields: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]
    types: tuple[Type, ...]
    kind: Annotated[str, msgspec.Meta(max_length=64)] = "exact"
    searched: Fields = ()
    folded: Fields = ()
    lists: Fields = ()

    def __post_init__(self) -> None:
        if len(self.types) != len(self.fields):
            raise ValueError("there must be one type for each field")

    def sources(self, argument: int) -> tuple[str, ...]:
        """The fields whose values an argument may be taken from, by its place."""
        return self.searched or self.fields[argument : argument + 1]


@ready
class LookupRequest(msgspec.Struct, frozen=True, array_like=True):
    """A lookup as the master sends it to a worker, in MessagePack: one value on the wire."""

    name: str
    args: tuple[str | int | float, ...]
    limit: int = PAGE_RECORDS
    after: str | None = None
    within: float = LOOKUP_TIMEOUT_S
    """Seconds from its arrival within which an answer is of use."""


@ready
class BatchRequest(msgspec.Struct, frozen=True, array_like=True):
    """A part of a batch as the master sends it to a worker, in JSON: the clients' own words."""

    limit: int
    most: int
    """Bytes that the answers may have together."""
    within: float
    lookups: list[Any]
    """Each an array of a lookup's name and its arguments; looked at one by one."""


@ready
class Description(msgspec.Struct, frozen=True):
    """The catalog a worker serves. A master fills `versions` in: all that are served now."""

    dataset: Annotated[str, msgspec.Meta(max_length=100)]
    version: Version
    records: Count
    fields: Names
    files: Names
    lookups: Annotated[tuple[LookupShape, ...], msgspec.Meta(max_length=64)]
    versions: tuple[str, ...] = ()
    in_store: bool = False
    """Whether its records lie in a store that all workers ask."""


def describe(info: CatalogInfo) -> Description:
    """What a catalog serves, as registrations say it."""
    return Description(
        dataset=info.name,
        version=info.version,
        records=info.records,
        fields=info.fields,
        files=info.files,
        lookups=tuple(LookupShape(**msgspec.structs.asdict(one)) for one in info.lookups),
        in_store=info.in_store,
    )


PROTOCOL = 1
"""What nodes of one version say to each other, as a number. With the same, either end ignores what
it does not know, and what is new has a default; what that does not allow is another number."""


@ready
class Speaks(msgspec.Struct, frozen=True):
    """What whoever registers speaks, however the rest looks: the protocol, and the version of the
    program, "" from one that does not say.
    """

    protocol: int = PROTOCOL
    program: ShortText = ""


@ready
class Registration(msgspec.Struct, frozen=True):
    """What a worker tells the master. `instance` is a secret of that process's own, from its
    launcher if it has one: whoever knows it (master and launcher, no one else) may tell the
    worker to retire, and ask it lookups where those need a token. `pid` is for people only.
    `advertised` says that clients find it at that address, which it does not listen on itself.
    `protocol` and `program` are as in `Speaks`.
    """

    instance: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    wanted_id: WantedId
    host: Annotated[str, msgspec.Meta(max_length=255)]
    port: Port
    pid: Count
    catalog: Description
    advertised: bool = False
    protocol: int = PROTOCOL
    program: ShortText = ""


@ready
class Registered(msgspec.Struct, frozen=True):
    """The master's answer to a `Registration`. With `require_token`, the worker answers lookups
    to nobody but that master; `unready` says why it is sent no lookups, "" if it is; `cursor_key`
    is what the cluster signs its cursors with, in hex; `serves` is the version of the catalog that
    is served, and `program` the version of the master's program, "" from one that does not say.
    """

    id: str
    generation: int
    require_token: bool = False
    unready: str = ""
    cursor_key: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")] = ""
    serves: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9]{0,64}\Z")] = ""
    program: ShortText = ""


FetchProgress = tuple[int, int]
"""`(bytes that have come, bytes in all)` of a catalog that a worker fetches from its master; the
latter 0 while that is not known."""


MAX_CATALOG_PART_BYTES = 1 << 20
"""Bytes of a catalog that a worker takes at a time; a master sends fewer."""


@ready
class CatalogOffer(msgspec.Struct, frozen=True):
    """A catalog that workers may fetch from the master: its version, the size of its file in
    bytes, and the file's digest (BLAKE2b, 32 bytes, in hex). Of one that lies in a store, `store`
    is the text that names it: there is nothing to fetch, and the digest is all zeros.
    """

    version: Version
    bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]
    digest: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    store: Annotated[str, msgspec.Meta(max_length=MAX_MESSAGE_CHARS)] = ""


class Member(msgspec.Struct, frozen=True):
    """A live worker, for clients that ask it themselves. `probes_answered` counts the probes that
    it answered; `key` is what it wants to be shown, "" where it answers everybody; `in_store` is as
    of its `Description`.
    """

    id: ShortText
    generation: Count
    host: Host
    port: Port
    state: ShortText
    version: ShortText
    probes_answered: Count
    key: ShortText
    in_store: bool = False


@ready
class Members(msgspec.Struct, frozen=True):
    """All of them. `master` is another for each master that there is in turn: generations
    count anew. `expecting` says whether a worker is about to register; `died` are the generations
    of those whose processes ended by themselves of late. `version` is another whenever the list
    is (probes aside), and "" from a master that cannot be told to wait for that.
    """

    master: ShortText
    balance: ShortText
    expecting: bool
    members: Annotated[tuple[Member, ...], msgspec.Meta(max_length=MAX_MEMBERS)]
    died: tuple[Count, ...] = ()
    version: ShortText = ""

    def __post_init__(self) -> None:
        registrations = {one.generation for one in self.members}
        addresses = {(one.host, one.port) for one in self.members}
        if not len(registrations) == len(addresses) == len(self.members):
            raise ValueError("a worker, or an address, is there twice")


encode_request = msgspec.msgpack.Encoder().encode


decode_request = msgspec.msgpack.Decoder(LookupRequest).decode


decode_batch = msgspec.json.Decoder(BatchRequest).decode


def encode_batch(lookups: bytes, *, limit: int, most: int, within: float) -> bytes:
    """A `BatchRequest`; `lookups` are the elements of its array, as they came."""
    return b"[%d,%d,%.6f,[%b]]" % (limit, most, within, lookups)
