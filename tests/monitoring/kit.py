"""What the tests of monitoring share: a scrape, read by Prometheus' own client library."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from nodes.monitoring.exposition import exposition
from nodes.wire import ClusterSnapshot

LABELS = {"worker", "machine", "state", "code", "lookup", "dataset", "catalog"}
"""All that a sample may be told by, but for the bounds of buckets and the version that runs."""


def metrics(text: str) -> dict[str, Metric]:
    """The metrics of an exposition, by name."""
    return {one.name: one for one in text_string_to_metric_families(text)}


def exposed(snapshot: ClusterSnapshot) -> dict[str, Metric]:
    """The metrics of a snapshot."""
    return metrics("".join(exposition(snapshot)))


Series = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name, and its labels in order."""


def samples(found: Mapping[str, Metric]) -> dict[Series, float]:
    """Each sample's value, by its name and labels."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for metric in found.values()
        for one in metric.samples
    }


class Answer(NamedTuple):
    """What came over HTTP."""

    status: int
    body: str
    headers: Message


def fetch(
    address: object, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answer:
    """Asks for a page."""
    request = urllib.request.Request(
        f"http://{address}{path}", method=method, headers=dict(headers or {})
    )
    try:
        with urllib.request.urlopen(request, timeout=5.0) as reply:  # noqa: S310 - as above
            return Answer(reply.status, reply.read().decode(), reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(), error.headers)
