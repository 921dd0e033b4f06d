"""Who is at the other end of a connection: its address, and what TLS has proved of it."""

from __future__ import annotations

import msgspec

from nodes.support.addresses import Address


class Certificate(msgspec.Struct, frozen=True):
    """What a peer has proved to be.

    Attributes:
        role: as the certificate names it; "" if it names none.
        expires_at: Unix time in seconds.
        name: whom it was made for; "" if it does not say.
    """

    role: str
    expires_at: float
    name: str = ""


class Peer(msgspec.Struct, frozen=True):
    """The other end of a connection.

    Attributes:
        host: its address, as the kernel gives it.
        port: its port.
        certificate: None without TLS, and if it showed none.
    """

    host: str
    port: int
    certificate: Certificate | None = None

    @property
    def where(self) -> str:
        """Its address, as text."""
        return str(Address(self.host, self.port))
