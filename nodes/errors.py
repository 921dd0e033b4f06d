"""Every error of Rollcall, written down once.

Codes travel in the reply envelope; each has one exception class that `Client`
raises for it. "May it be tried again?" is a question of the branch:

    RollcallError
    ├── LookupFailed             the cluster answered, with an error
    │   ├── BadRequest           bad_request      the lookup or an argument is wrong
    │   ├── NoWorkers            no_workers       nobody can answer now
    │   ├── DeadlineExceeded     deadline         no answer within the deadline
    │   ├── Overloaded           overloaded       too much at once; see retry_after_ms
    │   ├── Stopping             stopping         this master ends; another may take its place
    │   ├── StoreDown            store_down       the store of the records cannot be asked now
    │   ├── PoisonLookup         poison_lookup    this lookup killed two workers
    │   ├── Forbidden            forbidden        the token is missing, wrong, or of another role
    │   ├── NotPossible          not_possible     this master cannot do that
    │   ├── UnknownWorker        unknown_worker   no worker has that id
    │   ├── Conflict             conflict         the address or name is held by a live worker
    │   └── InternalError        internal         a defect of ours; the log has more
    ├── MasterLost               the master did not answer: nothing is known of the lookup
    │   └── BadReply             what answered in its place is no master, or of another version
    ├── DataError                records or dataset.toml cannot be used; says where and why
    └── StartError               a command cannot start (port taken, bad option)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ClassVar


def encodable(text: str) -> str:
    """The text, with an escape in the place of each lone surrogate: names of files that are no
    UTF-8 have them, and neither a message nor a file can.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


class RollcallError(Exception):
    """The root of everything Rollcall raises on purpose. What it says can be encoded."""

    def __init__(self, message: str = "") -> None:
        super().__init__(encodable(message))


class LookupFailed(RollcallError):  # noqa: N818 - named for what happened, like the rest
    """The cluster answered with an error; `code` is one of `CODES`.

    `request_id` is what events and logs have as well that say something of the lookup; "" for one
    of which they say nothing, as it is wrong, or was not taken in.
    """

    code: ClassVar[str] = "internal"

    def __init__(
        self, message: str, *, retry_after_ms: int | None = None, request_id: str = ""
    ) -> None:
        super().__init__(message)
        self.message = str(self)
        self.retry_after_ms = retry_after_ms
        self.request_id = request_id

    def __reduce__(self) -> tuple[Callable[..., LookupFailed], tuple[str]]:
        return functools.partial(
            type(self), retry_after_ms=self.retry_after_ms, request_id=self.request_id
        ), (self.message,)

    def identified(self, request_id: str) -> LookupFailed:
        """The same of the lookup of that id, which the text has as well."""
        text = f"{self.message} (request {request_id})"
        return type(self)(text, retry_after_ms=self.retry_after_ms, request_id=request_id)


class BadRequest(LookupFailed):
    """The lookup's name or one of its arguments is wrong; no worker is blamed."""

    code = "bad_request"


class NoWorkers(LookupFailed):
    """No worker is registered, or none is left to try."""

    code = "no_workers"


class DeadlineExceeded(LookupFailed):
    """Workers are there, but none answered within the lookup's deadline."""

    code = "deadline"


class Overloaded(LookupFailed):
    """The master is at its limits; try again after `retry_after_ms`."""

    code = "overloaded"


class Stopping(LookupFailed):
    """This master ends, and takes in nothing new: nothing was asked of any worker."""

    code = "stopping"


class StoreDown(LookupFailed):
    """The records lie in a store that cannot be asked now, or does not answer in time: no worker
    is to blame, and none could do better.
    """

    code = "store_down"


class PoisonLookup(LookupFailed):
    """Two workers died while they answered this lookup; it is not tried on a third."""

    code = "poison_lookup"


class Forbidden(LookupFailed):
    """The verb needs a role, and no token, a wrong one, or one of another role was given."""

    code = "forbidden"


class NotPossible(LookupFailed):
    """This master cannot do that (it has no fleet, say)."""

    code = "not_possible"


class UnknownWorker(LookupFailed):
    """No live worker has that id."""

    code = "unknown_worker"


class Conflict(LookupFailed):
    """The address or the name is held by a live worker, which the message names."""

    code = "conflict"


class InternalError(LookupFailed):
    """A defect of ours. The message is short; the log has the rest."""

    code = "internal"


class MasterLost(RollcallError):  # noqa: N818
    """The master could not be reached, or went away before it answered."""


class BadReply(MasterLost):
    """Whatever is at the master's address has answered, and not as a master does."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(
            f"what is at {where} does not answer as a master does: {what}; is it one, and of this "
            "version? Look at the address and at --tls, and compare 'rollcall-nodes --version' at "
            "both ends"
        )


class DataError(RollcallError):
    """Records or `dataset.toml` cannot be used; the message says where, why and what to do."""


class UndeclaredLookups(DataError):  # noqa: N818 - a finding about records
    """The records have no `dataset.toml`, and the usual lookups do not fit them.

    Attributes:
        folder: where they are, as text.
    """

    def __init__(self, message: str, folder: str) -> None:
        super().__init__(message)
        self.folder = folder


class StartError(RollcallError):
    """A command cannot start; the message says which option changes it."""


CODES: dict[str, type[LookupFailed]] = {
    cls.code: cls
    for cls in (
        BadRequest,
        NoWorkers,
        DeadlineExceeded,
        Overloaded,
        Stopping,
        StoreDown,
        PoisonLookup,
        Forbidden,
        NotPossible,
        UnknownWorker,
        Conflict,
        InternalError,
    )
}
"""The closed list: every `code` an envelope may carry, and what `Client` raises for it."""


def code_of(error: RollcallError) -> str:
    """The error's code; one that no master sent has a code of its own."""
    if isinstance(error, LookupFailed):
        return error.code
    kinds = (_OTHERS.get(kind.__name__) for kind in type(error).__mro__)
    return next(filter(None, kinds), InternalError.code)


_OTHERS = {
    "MasterLost": "master_lost",
    "BadReply": "bad_reply",
    "DataError": "data",
    "StartError": "start",
}
