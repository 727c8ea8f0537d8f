"""Each alert fires in the fault that it is for, and none fires in an ordinary sale (promtool)."""

import json
from pathlib import Path
from typing import Any

import pytest
from tools.dashboards.alerts import ALERTS
from tools.dashboards.write import DEPLOY

from tests.monitoring.promtool import needed, promtool

pytestmark = needed

RULES = DEPLOY / "prometheus" / "waitline.rules.yml"

HTTP = "http_server_requests_seconds"
ENTER = 'service="queue",uri="/api/v1/queue/enter"'
ROOM = 'concert_id="r"'

# Series over 40 minutes, a sample a minute; `a+bxn` rises by b.
ORDINARY = {
    'up{job="waitline",instance="a"}': "1x40",
    f'{HTTP}_bucket{{{ENTER},le="0.1"}}': "0+6000x40",
    f'{HTTP}_bucket{{{ENTER},le="0.5"}}': "0+6000x40",
    f'{HTTP}_bucket{{{ENTER},le="+Inf"}}': "0+6000x40",
    f'{HTTP}_count{{{ENTER},status="201"}}': "0+6000x40",
    f'{HTTP}_count{{{ENTER},status="503"}}': "0+1x40",
    'database_pool_waiting{instance="a"}': "0 3 0 0 8 0x35",
    'redis_script_duration_seconds_bucket{script="join",le="0.005"}': "0+6000x40",
    'redis_script_duration_seconds_bucket{script="join",le="0.025"}': "0+6000x40",
    'redis_script_duration_seconds_bucket{script="join",le="+Inf"}': "0+6000x40",
    'redis_script_duration_seconds_count{script="join"}': "0+6000x40",
    f"queue_wait_size{{{ROOM}}}": "0+6000x20 120000-6000x20",
    f"queue_active_size{{{ROOM}}}": "0+2500x19 50000x20",
    f"queue_active_limit{{{ROOM}}}": "50000x40",
    f"queue_admitting{{{ROOM}}}": "1x40",
    f"scheduler_move_users_total{{{ROOM}}}": "0+6000x40",
    f'queue_exit_count_total{{{ROOM},reason="left"}}': "0x5 0+5500x35",
    f'queue_exit_count_total{{{ROOM},reason="lapsed"}}': "0x5 0+500x35",
    "scheduler_admitters": "2x40",
    f'scheduler_lock_acquire_failures_total{{scheduler_type="admit",{ROOM}}}': "0+20x40",
    'redis_script_duration_seconds_count{script="admit"}': "0+600x40",
    "store_server_changes_total": "0x40",
    "database_server_changes_total": "0x40",
    'store_replica_lag_bytes{node="n"}': "0 1000 20000 0x40",
    "database_replica_lag_bytes": "0 1000 20000 0x40",
    "store_faults": "0x40",
    'store_saving{node="n"}': "1x40",
    'store_memory_bytes{node="n"}': "1000+10x40",
    'store_memory_limit_bytes{node="n"}': "10000x40",
    "outbox_oldest_age_seconds": "0 1 0 2 0x40",
    'outbox_events{state="waiting"}': "3x40",
    'outbox_events{state="dead"}': "0x40",
    "payments_oldest_age_seconds": "1 3 2x40",
    "payments_attention": "0x40",
    'payment_provider_duration_seconds_count{call="charge",outcome="ok"}': "0+100x40",
    'payment_provider_duration_seconds_count{call="charge",outcome="silent"}': "0+1x40",
    'audit_findings{service="booking"}': "0x40",
    "store_certificate_expiry_timestamp_seconds": "7776000x40",
    'certificate_expiry_timestamp_seconds{endpoint="e:443"}': "7776000x40",
    "signing_key_age_seconds": "86400+60x40",
    'event_loop_lag_seconds{instance="a",service="queue"}': "0.01 0.3 0.02x40",
    'metrics_stale_processes{instance="a",service="queue"}': "0x40",
    'log_lines_lost_total{instance="a"}': "0x40",
}

# What differs in the fault that an alert is for.
FAULTS: dict[str, dict[str, str]] = {
    "WaitlineDown": {'up{job="waitline",instance="a"}': "0x40"},
    "WaitlineSlow": {f'{HTTP}_bucket{{{ENTER},le="0.1"}}': "0+3000x40"},
    "WaitlineErrors": {f'{HTTP}_count{{{ENTER},status="503"}}': "0+100x40"},
    "WaitlinePoolWaiting": {'database_pool_waiting{instance="a"}': "80x40"},
    "WaitlineScriptsSlow": {
        'redis_script_duration_seconds_bucket{script="join",le="0.005"}': "0+3000x40"
    },
    "WaitlineLineLong": {f"queue_wait_size{{{ROOM}}}": "300000x40"},
    "WaitlineAdmissionStuck": {
        f"scheduler_move_users_total{{{ROOM}}}": "6000x40",
        f"queue_active_size{{{ROOM}}}": "100x40",
        f"queue_wait_size{{{ROOM}}}": "5x40",
    },
    "WaitlineExitsBehind": {
        f'queue_exit_count_total{{{ROOM},reason="left"}}': "0+3000x40",
        f"queue_active_size{{{ROOM}}}": "49000x40",
    },
    "WaitlineOneAdmitter": {"scheduler_admitters": "1x40"},
    "WaitlineLeasesContested": {
        f'scheduler_lock_acquire_failures_total{{scheduler_type="admit",{ROOM}}}': "0+200x40"
    },
    "WaitlineStoreFailover": {"store_server_changes_total": "0x20 1x20"},
    "WaitlineDatabaseFailover": {"database_server_changes_total": "0x20 1x20"},
    "WaitlineStoreReplicaBehind": {'store_replica_lag_bytes{node="n"}': "20000000x40"},
    "WaitlineDatabaseReplicaBehind": {"database_replica_lag_bytes": "99000000x40"},
    "WaitlineStoreFaults": {'store_saving{node="n"}': "0x40"},
    "WaitlineStoreFull": {'store_memory_bytes{node="n"}': "9000x40"},
    "WaitlineOutboxLag": {"outbox_oldest_age_seconds": "0+60x40"},
    "WaitlineDeadEvents": {'outbox_events{state="dead"}': "1x40"},
    "WaitlinePaymentsUnsettled": {"payments_oldest_age_seconds": "0+60x40"},
    "WaitlinePaymentsNeedOperator": {"payments_attention": "2x40"},
    "WaitlineProviderSilent": {
        'payment_provider_duration_seconds_count{call="charge",outcome="silent"}': "0+50x40"
    },
    "WaitlineAuditFindings": {'audit_findings{service="booking"}': "1x40"},
    "WaitlineCertificateExpires": {
        'certificate_expiry_timestamp_seconds{endpoint="e:443"}': "900000x80"
    },
    "WaitlineKeyOld": {"signing_key_age_seconds": "8000000+60x80"},
    "WaitlineLoopLag": {'event_loop_lag_seconds{instance="a",service="queue"}': "0.6x40"},
    "WaitlineMetricsStale": {'metrics_stale_processes{instance="a",service="queue"}': "1x40"},
    "WaitlineLogLinesLost": {'log_lines_lost_total{instance="a"}': "0x20 5+5x20"},
}

AT = {"WaitlineCertificateExpires": "70m", "WaitlineKeyOld": "70m"}

QUIET_AT = ("3m", "12m", "25m", "38m")


def check(folder: Path, series: dict[str, str], expectations: list[tuple[str, list[str]]]) -> None:
    """Run promtool with series; at each time the given alerts fire, and no others."""
    tests: list[dict[str, Any]] = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": at,
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names],
        }
        for at, names in expectations
    ]
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": tests,
            }
        ],
    }
    file = folder / "test.yml"
    file.write_text(json.dumps(document), "utf-8")
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", RULES).stdout
    done = promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert done.returncode == 0, done.stderr


def test_every_alert_has_its_fault() -> None:
    assert FAULTS.keys() == {alert.name for alert in ALERTS}
    assert all(series.keys() <= ORDINARY.keys() for series in FAULTS.values())


def test_an_ordinary_sale_is_quiet(tmp_path: Path) -> None:
    check(tmp_path, ORDINARY, [(at, []) for at in QUIET_AT])


@pytest.mark.parametrize("name", FAULTS)
def test_an_alert_fires_in_its_fault_alone(tmp_path: Path, name: str) -> None:
    check(tmp_path, {**ORDINARY, **FAULTS[name]}, [(AT.get(name, "25m"), [name])])


def test_a_pause_and_a_sale_that_is_sold_out_are_no_stuck_admission(tmp_path: Path) -> None:
    stuck = {**ORDINARY, **FAULTS["WaitlineAdmissionStuck"]}
    check(tmp_path, {**stuck, f"queue_admitting{{{ROOM}}}": "0x40"}, [("25m", [])])
