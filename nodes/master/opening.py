"""A master as those who run one ask for it: at an address that is allowed, with token, certificates
and journal, and watched over HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nodes.errors import StartError
from nodes.master.journal_file import journal_file
from nodes.master.master import Master
from nodes.monitoring.endpoint import Endpoint, metrics_address
from nodes.monitoring.tracing import Tracer
from nodes.security.kept_tokens import KeptTokens
from nodes.security.tls import CertificateRole, Tls
from nodes.security.tokens import cursor_key, ensure_token
from nodes.support.listening import check_host, explain_bind, named, parse_networks

NO_OPENTELEMETRY = (
    "--tracing needs OpenTelemetry, which is not installed: pip install 'rollcall-console[otel]'"
)


def open_master(
    *,
    host: str,
    port: int,
    balance: str,
    require_token: bool = False,
    tls: Path | None = None,
    insecure: bool = False,
    audit: Path | None = None,
    clock: Callable[[], float] = time.time,
    workers_from: Sequence[str] = (),
    tracing: bool = False,
    options: tuple[str, ...] | None = None,
) -> Master:
    """A master that has its port, and does not listen yet. Makes the token if there is none.

    Args:
        host, port, balance, require_token: see `Master`.
        tls: the folder of certificates; None for no TLS.
        insecure: whether an address that others reach may be without TLS.
        audit: the file that what operators do is written to as well; None for none.
        clock: Unix time in seconds; see `nodes.master.core.MasterCore`.
        workers_from: the networks, in CIDR's form, that workers may register from besides this
            machine; none for any.
        tracing: whether spans are written of lookups; see `nodes.monitoring.tracing`.
        options: see `ClusterSnapshot`.

    Raises:
        StartError: the port is taken, the address not allowed, the certificates or the file of no
            use, one of the networks none, or spans cannot be written.
    """
    check_host(host, tls=tls is not None, insecure=insecure)
    secure = None if tls is None else Tls(tls, CertificateRole.MASTER, host=named(host))
    networks = parse_networks(workers_from)
    ensure_token()
    try:
        master = Master(
            tokens=KeptTokens(clock),
            host=host,
            port=port,
            balance=balance,
            require_token=require_token,
            tls=secure,
            clock=clock,
            workers_from=networks,
        )
    except OSError as error:
        raise StartError(explain_bind(error, host, port)) from error
    master.cursor_key = cursor_key(master.address.port)
    master.options = options
    try:
        if audit is not None:
            master.keep_audit(audit)
        if tracing:
            master.lookups.tracer = open_tracer(master.events.trouble)
    except StartError:
        master.stop()
        raise
    # A port that the system chose is none that anybody comes back to.
    bound, bound_port = master.address
    master.keep_journal(journal_file(bound_port, bound), remember=port != 0)
    return master


def open_endpoint(master: Master, metrics: str | None, *, is_open: bool) -> Endpoint | None:
    """Where that master is watched over HTTP: at "HOST:PORT", None for nowhere.

    Raises:
        BadRequest: that is no address.
        StartError: it cannot be had, or is not allowed.
    """
    if metrics is None:
        return None
    return Endpoint(metrics_address(metrics), master.recent_snapshot, is_open=is_open)


def open_tracer(report: Callable[[str], object]) -> Tracer:
    """Who writes the spans of lookups, by OpenTelemetry.

    Args:
        report: told when they cannot be sent, and when they can be again.

    Raises:
        StartError: it is not installed, or one of its variables is wrong.
    """
    try:
        from nodes.monitoring.spans import SpanWriter  # noqa: PLC0415 - an extra, and 0.3 s
    except ImportError as error:
        raise StartError(NO_OPENTELEMETRY) from error
    return SpanWriter(report=report)


def stop_watched(master: Master, endpoint: Endpoint | None) -> None:
    """Stops a master; until that is done, who watches is told that it stops."""
    if endpoint is None:
        master.stop()
        return
    with endpoint:
        endpoint.leave()
        master.stop()
