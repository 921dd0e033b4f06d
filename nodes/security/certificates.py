"""Makes a CA, and a certificate for each role: see `nodes.security.tls`.

Every certificate has what Python's strictest checks (the default from 3.13 on) want: key
identifiers, key uses and constraints. Keys are on the P-256 curve, which is quick and supported
everywhere.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nodes.errors import StartError
from nodes.security.tls import CertificateRole
from nodes.support.files import write_atomically
from nodes.support.os_errors import explain_os_error
from nodes.support.ownership import check_secret
from nodes.transport.tls import ROLE_URI_PREFIX

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
"""Names and addresses that the certificate of a node is always for."""

CA_DAYS = 3650
"""Days that a CA is valid at least. Certificates can be renewed, their CA cannot."""

MAX_NAME_CHARS = 60
"""Characters of the name in a certificate; X.509 allows 64, and events show so many."""

CLOCK_SKEW = datetime.timedelta(hours=1)
"""How far back the validity of a certificate begins, as not all clocks agree."""

_USES = {
    # Masters dial workers, and workers dial masters: each may be on either side.
    CertificateRole.MASTER: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    CertificateRole.WORKER: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    CertificateRole.OPERATOR: [ExtendedKeyUsageOID.CLIENT_AUTH],
    CertificateRole.VIEWER: [ExtendedKeyUsageOID.CLIENT_AUTH],
}

PrivateKey = ec.EllipticCurvePrivateKey


class Pair(NamedTuple):
    """A certificate and its key."""

    cert: x509.Certificate
    key: PrivateKey


def make_certificates(
    folder: Path,
    *,
    hosts: Sequence[str],
    days: int,
    now: datetime.datetime,
    renew: bool = False,
    local_hosts: Sequence[str] = LOCAL_HOSTS,
) -> list[Path]:
    """Makes all files that `nodes.security.tls` lists. Only their owner can read the keys.

    Args:
        folder: where to; made if it does not exist.
        hosts: names and addresses by which masters and workers are dialled from other machines.
            With `renew`, those in the present certificates are added.
        days: how long the certificates are valid.
        now: the present time, with a time zone.
        renew: whether to replace the present certificates by new ones from the same CA.
        local_hosts: names and addresses of the machine itself.

    Returns:
        The files written.

    Raises:
        StartError: there are certificates already, or none to renew, or a host is not valid.
    """
    names = [_name(host) for host in dict.fromkeys((*local_hosts, *hosts))]
    if renew:
        names = list(dict.fromkeys((*names, *_names_there(folder))))
    files = [f"{stem}{end}.pem" for stem in ("ca", *CertificateRole) for end in ("", "-key")]
    there = [name for name in files if (folder / name).exists()]
    if there and not renew:
        raise StartError(
            f"{folder} holds {', '.join(there)} already, and nothing was changed; --renew makes "
            "new certificates from the CA that is there, another --dir a new CA"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ca = _read_ca(folder) if renew else _make_ca(now, max(days, CA_DAYS))
        made = {} if renew else {"ca": ca}
        for role in CertificateRole:
            made[role] = _issue(role, names, ca, now, days)
        return [path for stem, pair in made.items() for path in _write(folder, stem, pair)]
    except OSError as error:
        raise StartError(
            f"cannot make certificates in {folder}: {explain_os_error(error)}"
        ) from error


def issue_certificate(
    folder: Path, to: Path, *, role: CertificateRole, name: str, days: int, now: datetime.datetime
) -> list[Path]:
    """Makes a folder for one person, whose name is in the certificate: what they do is told by it.

    Args:
        folder: that has the CA.
        to: the folder to make, with the CA's certificate, and the person's with its key.
        role: of the certificate, an operator's or a viewer's.
        name: of whoever has it.
        days, now: see `make_certificates`.

    Returns:
        The files written.

    Raises:
        StartError: there is no CA, the name is none, or there is such a certificate already.
    """
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        raise StartError(
            f"{name[:80]!r} is no name for a certificate: take 1 to {MAX_NAME_CHARS} printable "
            "characters, with no blank at either end"
        )
    own = to / f"{role}.pem"
    try:
        if own.exists() or own.with_name(f"{role}-key.pem").exists():
            raise StartError(
                f"{to} holds a certificate of the role {role} already; take another --to"
            )
        ca = _read_ca(folder)
        to.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(to / "ca.pem", (folder / "ca.pem").read_bytes(), mode=0o644)
        return [to / "ca.pem", *_write(to, role, _issue(role, [], ca, now, days, name=name))]
    except OSError as error:
        raise StartError(f"cannot make a certificate in {to}: {explain_os_error(error)}") from error


def _write(folder: Path, stem: str, pair: Pair) -> list[Path]:
    """Writes a certificate and its key, which only its owner can read."""
    cert, key = folder / f"{stem}.pem", folder / f"{stem}-key.pem"
    write_atomically(key, _pem(pair.key))
    write_atomically(cert, pair.cert.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return [cert, key]


def _name(host: str) -> x509.GeneralName:
    text = host.removeprefix("[").removesuffix("]")
    if not text:
        raise StartError("--host needs a name or an address")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        try:
            return x509.DNSName(text.encode("idna").decode())
        except ValueError as error:  # UnicodeError is one
            raise StartError(f"{host[:80]!r} is no name or address: {error}") from error
    if address.is_unspecified:
        raise StartError(f"{host} is every address; give the names that others dial")
    return x509.IPAddress(address)


def _names_there(folder: Path) -> list[x509.GeneralName]:
    try:
        cert = x509.load_pem_x509_certificate(
            (folder / f"{CertificateRole.MASTER}.pem").read_bytes()
        )
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise StartError(f"{folder / 'master.pem'} is no certificate: {error}") from error
    said = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [name for name in said if not isinstance(name, x509.UniformResourceIdentifier)]


def _make_ca(now: datetime.datetime, days: int) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # Each CA has its own name: OpenSSL finds issuers by name, and there may be two clusters.
    name = _subject(f"Rollcall CA {secrets.token_hex(4)}")
    draft = _draft(name, name, key, key)
    draft = _valid(draft, now, days)
    draft = draft.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Pair(draft.sign(key, hashes.SHA256()), key)


def _issue(
    role: CertificateRole,
    names: list[x509.GeneralName],
    ca: Pair,
    now: datetime.datetime,
    days: int,
    *,
    name: str = "",
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    said: list[x509.GeneralName] = [x509.UniformResourceIdentifier(f"{ROLE_URI_PREFIX}{role}")]
    if role in (CertificateRole.MASTER, CertificateRole.WORKER):
        said += names
    draft = _draft(_subject(name or f"Rollcall {role}"), ca.cert.subject, key, ca.key)
    draft = _valid(draft, now, days)
    draft = draft.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    draft = draft.add_extension(x509.ExtendedKeyUsage(_USES[role]), critical=False)
    draft = draft.add_extension(x509.SubjectAlternativeName(said), critical=False)
    return Pair(draft.sign(ca.key, hashes.SHA256()), key)


def _valid(
    draft: x509.CertificateBuilder, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    until = now + datetime.timedelta(days=days)
    return draft.not_valid_before(now - CLOCK_SKEW).not_valid_after(until)


def _draft(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, signer: PrivateKey
) -> x509.CertificateBuilder:
    """What every certificate has: names, a serial number, and the links to its issuer's key."""
    signs = subject == issuer
    uses = x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(uses, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )


def _subject(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _read_ca(folder: Path) -> Pair:
    key_file = folder / "ca-key.pem"
    try:
        check_secret(key_file, key_file.stat())
        cert = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise StartError(
            f"there is no CA in {folder}, which is a ca.pem and the ca-key.pem that goes with it"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
        raise StartError(f"ca-key.pem in {folder} is not the key of ca.pem")
    return Pair(cert, key)


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
