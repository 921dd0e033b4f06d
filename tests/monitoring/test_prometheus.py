"""Prometheus' own programs: what they say of our metrics and files, and a server that scrapes."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes.monitoring.exposition import exposition
from tests.kit import Node, poll_for
from tests.monitoring.kit import fetch
from tests.monitoring.test_exposition import full_snapshot
from tests.monitoring.test_files import DASHBOARD, MAY_BE_EMPTY, RULES, expressions, panels

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(
        shutil.which("promtool") is None or shutil.which("prometheus") is None,
        reason="Prometheus is not installed: apt-get install prometheus",
    ),
]

PATIENCE_S = 30.0

SCRAPE_CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: rollcall
    static_configs: [{{targets: ["{target}"]}}]
"""


def promtool(*args: str, said: str = "") -> str:
    """Runs promtool, which has to be content; returns what it said."""
    done = subprocess.run(
        ["promtool", *args], input=said, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_finds_nothing_wrong_with_the_metrics() -> None:
    assert promtool("check", "metrics", said="".join(exposition(full_snapshot()))) == ""


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


FIRES: dict[str, dict[str, str]] = {
    "RollcallMasterUnseen": {'up{job="rollcall"}': "0x60"},
    "RollcallOutage": {'rollcall_verdict{state="outage"}': "1x60"},
    "RollcallDegraded": {'rollcall_verdict{state="degraded"}': "1x60"},
    "RollcallLookupsFail": {
        'rollcall_lookup_errors_total{code="deadline"}': "0+2x60",
        "rollcall_lookups_total": "0+98x60",
    },
    "RollcallLookupsSlow": {
        'rollcall_lookup_duration_seconds_bucket{le="0.5"}': "0+90x60",
        'rollcall_lookup_duration_seconds_bucket{le="1.0"}': "0+100x60",
        'rollcall_lookup_duration_seconds_bucket{le="+Inf"}': "0+100x60",
    },
    "RollcallWorkersMissing": {
        'rollcall_workers{state="up"}': "2x60",
        "rollcall_workers_wanted": "3x60",
    },
    "RollcallWorkerRestarts": {'rollcall_worker_restarts_total{worker="w1"}': "0+1x60"},
    "RollcallWorkerLateAgainAndAgain": {
        'rollcall_worker_hedged_away_total{worker="w1"}': "0+2x60",
        'rollcall_worker_attempts_total{worker="w1"}': "0+10x60",
    },
    "RollcallHedgeBudgetExhausted": {"rollcall_hedge_budget_exhausted": "1x60"},
    "RollcallBreakersIgnored": {"rollcall_breakers_ignored": "1x60"},
    "RollcallMachineLost": {'rollcall_machine_reachable{machine="m1"}': "0x60"},
    "RollcallMasterLags": {"rollcall_master_lag_seconds": "0.9x60"},
    "RollcallRecordsDiffer": {
        'rollcall_catalog_info{catalog="a"}': "1x60",
        'rollcall_catalog_info{catalog="b"}': "1x60",
    },
    "RollcallLogins": {"rollcall_refused_logins_total": "0+5x60"},
    "RollcallCertificateExpires": {"rollcall_certificate_expiry_timestamp_seconds": "86400x60"},
    "RollcallJournalLoses": {"rollcall_journal_dropped_events_total": "0+1x60"},
}
"""What each alert is about, in promtool's way: a sample a minute."""

CALM: dict[str, str] = {
    'up{job="rollcall"}': "1x60",
    'rollcall_verdict{state="outage"}': "0x60",
    'rollcall_verdict{state="degraded"}': "0x60",
    'rollcall_lookup_errors_total{code="deadline"}': "0+1x60",
    "rollcall_lookups_total": "0+1000x60",
    'rollcall_workers{state="up"}': "3x60",
    "rollcall_workers_wanted": "3x60",
    'rollcall_worker_restarts_total{worker="w1"}': "0 1 1x60",
    "rollcall_hedge_budget_exhausted": "0x60",
    "rollcall_refused_logins_total": "0 1 2 2x60",
    "rollcall_certificate_expiry_timestamp_seconds": "31536000x60",
    "rollcall_journal_dropped_events_total": "7x60",
}


def alerts_of(series: dict[str, str], expected: set[str]) -> dict[str, object]:
    """A case for promtool: which alerts fire after an hour of those."""
    return {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "58m",
                "exp_samples": [
                    {"labels": f'{{alertname="{one}"}}', "value": 1} for one in sorted(expected)
                ],
            }
        ],
    }


def test_each_alert_fires_for_what_it_is_about_and_none_on_a_calm_day(tmp_path: Path) -> None:
    names = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert set(names) == FIRES.keys()
    cases = [alerts_of(series, {name}) for name, series in FIRES.items()]
    file = tmp_path / "alerts.yml"
    asked = {"rule_files": [str(RULES)], "evaluation_interval": "1m"}
    file.write_text(json.dumps({**asked, "tests": [*cases, alerts_of(CALM, set())]}))
    promtool("test", "rules", str(file))


def test_promtool_reads_what_the_dashboard_asks_for(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression_of(one)}
        for number, one in enumerate(expressions())
    ]
    file = tmp_path / "dashboard.yml"
    file.write_text(json.dumps({"groups": [{"name": DASHBOARD.stem, "rules": rules}]}))
    promtool("check", "rules", "--lint=none", str(file))


def expression_of(asked: str) -> str:
    """A panel's expression, as Grafana sends it."""
    return asked.replace("$__rate_interval", "30s").replace("$instance", ".*")


@contextmanager
def prometheus(target: str, folder: Path) -> Iterator[str]:
    """A Prometheus that scrapes that, on loopback; yields its address."""
    config = folder / "prometheus.yml"
    config.write_text(SCRAPE_CONFIG.format(rules=RULES, target=target))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def query(address: str, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers; nothing while it is not up."""
    asked = urllib.parse.urlencode({"query": expression})
    try:
        answer = fetch(address, f"/api/v1/query?{asked}")
    except OSError:
        return []
    assert answer.status in (200, 503), answer.body
    found = json.loads(answer.body)["data"]["result"] if answer.status == 200 else []
    assert isinstance(found, list)
    return found


def alert_states(address: str) -> dict[str, tuple[str, str]]:
    """Each alert's health and state."""
    groups = json.loads(fetch(address, "/api/v1/rules").body)["data"]["groups"]
    return {one["name"]: (one["health"], one["state"]) for one in groups[0]["rules"]}


def test_a_prometheus_scrapes_a_cluster_and_its_alerts_and_panels_find_what_they_need(
    tmp_path: Path,
) -> None:
    up = ("up", "--workers", "2", "--port", "0", "--metrics", "127.0.0.1:0", "--json")
    with Node(*up) as node, prometheus(node.ready["metrics"], tmp_path) as address:
        traffic = ("traffic", "50", "--master", node.ready["master"], "--json")
        with Node(*traffic):
            poll_for(lambda: query(address, "rate(rollcall_lookups_total[10s]) > 10"), PATIENCE_S)
            assert query(address, 'up{job="rollcall"} == 1')
            for target in (one for panel in panels() for one in panel["targets"]):
                asked = target["expr"]
                if any(part in asked for part in MAY_BE_EMPTY):
                    continue
                found = poll_for(lambda: query(address, expression_of(asked)), PATIENCE_S, asked)  # noqa: B023
                legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                assert all(legend <= one["metric"].keys() for one in found), asked
            poll_for(
                lambda: {health for health, _ in alert_states(address).values()} == {"ok"},
                PATIENCE_S,
            )
            firing = {
                name for name, (_, state) in alert_states(address).items() if state != "inactive"
            }
            assert firing <= {"RollcallMasterLags"}, "nothing is wrong, but the machine may be busy"
        node.process.terminate()
        poll_for(lambda: alert_states(address)["RollcallMasterUnseen"][1] == "pending", PATIENCE_S)
