"""TLS from a folder of certificates, and what each certificate entitles to.

    ca.pem         the CA that everybody trusts; the only file a client needs
    master.pem     master-key.pem      the master's certificate and its key
    worker.pem     worker-key.pem      a worker's
    operator.pem   operator-key.pem    an operator's
    viewer.pem     viewer-key.pem      a viewer's
    ca-key.pem     signs new certificates; no node needs it

`nodes.security.certificates` makes these files. A certificate names its role: see
`nodes.transport.Certificate`.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from nodes.errors import StartError
from nodes.support.os_errors import explain_os_error
from nodes.support.ownership import check_secret
from nodes.transport import Certificate, Secure
from nodes.transport.tls import certificate, explain_ssl_error


class CertificateRole(StrEnum):
    """What a certificate entitles to. Clients, who only look up, need no certificate."""

    MASTER = "master"
    WORKER = "worker"
    OPERATOR = "operator"
    VIEWER = "viewer"


MAY_LOOK = (CertificateRole.VIEWER, CertificateRole.OPERATOR, CertificateRole.MASTER)
"""Whose certificates open the master's verbs that only look."""

MAY_OPERATE = (CertificateRole.OPERATOR, CertificateRole.MASTER)
"""Whose certificates open the master's verbs that change the cluster."""

MAY_REGISTER = (CertificateRole.WORKER, CertificateRole.OPERATOR)
"""Whose certificates open the master's verbs for workers."""


class Tls:
    """The TLS settings of one node. The certificates are read once: a node shows new ones after
    its next start.

    Args:
        folder: of certificates.
        role: whose certificate the node shows; None for a client, which shows none.
        host: the address it listens on, which its certificate must be for; "" for none.

    Attributes:
        folder: as above.
        expires_at: Unix time in seconds at which the first of its certificates expires.

    Raises:
        StartError: a file is missing or unusable; the message says how to make new ones.
    """

    def __init__(self, folder: Path, role: CertificateRole | None, *, host: str = "") -> None:
        self.folder = folder
        self._role = role
        # A context is for one side: what it checks differs between the two.
        self._client = self._context(ssl.PROTOCOL_TLS_CLIENT)
        found = [
            float(ssl.cert_time_to_seconds(str(ca["notAfter"])))
            for ca in self._client.get_ca_certs()
        ]
        if role in (CertificateRole.MASTER, CertificateRole.WORKER):
            found.append(self._own(role, host).expires_at)
        self.expires_at = min(found, default=0.0)

    def listening(self) -> ssl.SSLContext:
        """The context of a `Server`. A peer need not show a certificate; one shown is checked."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def to_master(self) -> Secure:
        """What a `Lane` to a master needs."""
        return self._secure(CertificateRole.MASTER)

    def to_workers(self) -> Secure:
        """What a `Lane` to a worker needs."""
        return self._secure(CertificateRole.WORKER)

    def _secure(self, role: CertificateRole) -> Secure:
        renew = functools.partial(self._context, ssl.PROTOCOL_TLS_CLIENT)
        return Secure(self._client, role, renew=renew)

    def _context(self, side: int) -> ssl.SSLContext:
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Python's default from 3.13 on; here the same for every version.
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        # No session is resumed here, and a renegotiation only costs the server time.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        if side == ssl.PROTOCOL_TLS_SERVER:
            context.num_tickets = 0
        ca = self.folder / "ca.pem"
        try:
            context.load_verify_locations(cafile=ca)
            if self._role is not None:
                cert = self.folder / f"{self._role}.pem"
                key = self.folder / f"{self._role}-key.pem"
                check_secret(key, key.stat())
                # The empty password keeps OpenSSL from asking for one on the terminal.
                context.load_cert_chain(cert, key, password="")
        except ssl.SSLError as error:
            raise self._useless(explain_ssl_error(error)) from error
        except OSError as error:
            raise self._useless(f"{self._first_missing()}: {explain_os_error(error)}") from error
        return context

    def _first_missing(self) -> str:
        # OpenSSL does not say which file is missing.
        wanted = [self.folder / name for name in self._files()]
        return next((path.name for path in wanted if not os.access(path, os.R_OK)), "a file")

    def _files(self) -> list[str]:
        own = [] if self._role is None else [f"{self._role}.pem", f"{self._role}-key.pem"]
        return ["ca.pem", *own]

    def _own(self, role: CertificateRole, host: str) -> Certificate:
        """The node's own certificate as a peer sees it, from a handshake in memory with itself."""
        client = self._context(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = bool(host)
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        asks = client.wrap_bio(back, there, server_hostname=host or None)
        answers = self.listening().wrap_bio(there, back, server_side=True)
        shown: Certificate | None = None
        try:
            while shown is None:
                try:
                    asks.do_handshake()
                    shown = certificate(asks.getpeercert())
                except ssl.SSLWantReadError:
                    _step(answers)
        except ssl.SSLError as error:
            raise self._useless(explain_ssl_error(error).replace("peer's", f"{role}'s")) from error
        if shown.role != role:
            raise self._useless(f"{role}.pem is not a {role}'s certificate")
        return shown

    def _useless(self, why: str) -> StartError:
        files = ", ".join(self._files())
        return StartError(
            f"the certificates in {self.folder} ({files}) cannot be used: {why}; "
            "'rollcall-nodes certs init --help' tells how to make new ones"
        )


def first_there(folder: Path, *roles: CertificateRole) -> CertificateRole:
    """The first of these roles of which there is a certificate in a folder; the first for none."""
    return next((role for role in roles if (folder / f"{role}.pem").exists()), roles[0])


def _step(answers: ssl.SSLObject) -> None:
    try:
        answers.do_handshake()
    except ssl.SSLWantReadError:
        return


def lacking(shown: Certificate | None, roles: Sequence[CertificateRole]) -> str:
    """What a peer lacks that needs a certificate of one of these roles; "" if it has one."""
    found = "" if shown is None else shown.role
    if found in roles:
        return ""
    needed = " or ".join(roles)
    return (
        f"this needs a certificate of the role {needed}, and "
        f"{f'one of the role {found}' if found else 'none'} was shown: see --tls"
    )
