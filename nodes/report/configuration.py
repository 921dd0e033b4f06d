"""The configuration of a cluster, as a snapshot tells it: no token, no key, no path; pure."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from nodes.support.units import counted
from nodes.wire import ClusterSnapshot


def configuration(snapshot: ClusterSnapshot) -> dict[str, str]:
    """What a reader has to know of it, each with its name; what is not known is left out."""
    told = {
        "master": snapshot.address,
        "version": snapshot.program and f"Rollcall {snapshot.program}",
        "versions of workers": _versions(snapshot),
        "dataset": snapshot.dataset,
        "records": f"{snapshot.records:,}",
        "catalog": ", ".join(snapshot.catalogs),
        "balance": snapshot.balance,
        "workers wanted": "" if snapshot.wanted_workers is None else str(snapshot.wanted_workers),
        "the fleet can": ", ".join(snapshot.abilities) or "nothing: workers come by themselves",
        "machines": "; ".join(
            f"{one.name}: room for {one.room}{', lost' if one.lost else ''}"
            for one in snapshot.machines
        ),
        "TLS": _tls(snapshot.tls_expires_at),
        "hedge after": f"{snapshot.hedge_after_ms:.3g} ms",
        "options": _options(snapshot.options),
    }
    return {name: text for name, text in told.items() if text}


def _options(given: tuple[str, ...] | None) -> str:
    return "" if given is None else ", ".join(given) or "none"


def _versions(snapshot: ClusterSnapshot) -> str:
    found = Counter(one.program for one in snapshot.workers if one.program)
    return ", ".join(
        f"{name} ({counted(count, 'worker')})" for name, count in sorted(found.items())
    )


def _tls(expires_at: float | None) -> str:
    if expires_at is None:
        return "no"
    try:
        return f"yes, certificates until {datetime.fromtimestamp(expires_at, UTC):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):
        return "yes"
