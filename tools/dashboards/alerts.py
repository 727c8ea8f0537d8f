"""The alerts: each has a runbook in docs/operations.md, and a panel that shows it."""

from tools.dashboards.model import Alert

_HTTP = "http_server_requests_seconds"

ALERTS = (
    Alert(
        "WaitlineDown", 'up{job="waitline"} == 0', "1m", "page",
        "The metrics of {{ $labels.instance }} cannot be scraped",
        "waitline-processes", "Processes",
    ),
    Alert(
        "WaitlineSlow",
        f"histogram_quantile(0.95, sum by (service, le) (rate({_HTTP}_bucket"
        '{uri=~"/api/v1/(queue/(enter|status|validate)|schedules/.+/seats|reservations)"}[5m]))) '
        "> 0.25",
        "5m", "page", "P95 of visitors' calls to {{ $labels.service }} is above 250 ms",
        "waitline-overview", "Response time, P95",
    ),
    Alert(
        "WaitlineErrors",
        f'sum by (service) (rate({_HTTP}_count{{status=~"5.."}}[5m])) / '
        f"sum by (service) (rate({_HTTP}_count[5m])) > 0.01",
        "2m", "page", "More than 1 % of the requests to {{ $labels.service }} fail",
        "waitline-overview", "Failed requests",
    ),
    Alert(
        "WaitlinePoolWaiting", "sum by (instance) (database_pool_waiting) > 50", "1m", "page",
        "Statements wait for a database connection on {{ $labels.instance }}",
        "waitline-box-office", "Connection pool",
    ),
    Alert(
        "WaitlineScriptsSlow",
        "histogram_quantile(0.95, sum by (script, le) "
        "(rate(redis_script_duration_seconds_bucket[5m]))) > 0.01 "
        "and sum by (script) (rate(redis_script_duration_seconds_count[5m])) > 1",
        "5m", "page", "P95 of script {{ $labels.script }} is above 10 ms",
        "waitline-waiting-room", "Scripts, P95",
    ),
    Alert(
        "WaitlineLineLong", "max by (concert_id) (queue_wait_size) > 250000", "1m", "ticket",
        "More than 250,000 visitors wait in {{ $labels.concert_id }}",
        "waitline-waiting-room", "Visitors waiting",
    ),
    Alert(
        "WaitlineAdmissionStuck",
        "max by (concert_id) (queue_wait_size) > 0 "
        "and max by (concert_id) (queue_active_limit - queue_active_size) > 0 "
        "and max by (concert_id) (queue_admitting) == 1 "
        "and max by (concert_id) (rate(scheduler_move_users_total[2m])) == 0",
        "1m", "page", "Visitors wait in {{ $labels.concert_id }}, slots are free, and nobody is "
        "admitted",
        "waitline-waiting-room", "Admissions",
    ),
    Alert(
        "WaitlineOneAdmitter", "max(scheduler_admitters) < 2", "5m", "ticket",
        "Fewer than two admitters run: the next death of one stops admission",
        "waitline-waiting-room", "Rooms",
    ),
    Alert(
        "WaitlineLeasesContested",
        "sum(max by (concert_id) (rate(scheduler_lock_acquire_failures_total[5m]))) "
        '> 0.1 * sum(rate(redis_script_duration_seconds_count{script="admit"}[5m]))',
        "5m", "ticket", "More than a tenth of the admission calls meet another admitter's lease",
        "waitline-waiting-room", "Lease refusals",
    ),
    Alert(
        "WaitlineExitsBehind",
        "sum by (concert_id) (max by (concert_id, reason) "
        '(rate(queue_exit_count_total{reason=~"left|lapsed|removed"}[10m]))) '
        "< 0.8 * max by (concert_id) (rate(scheduler_move_users_total[10m])) "
        "and max by (concert_id) (queue_active_size / queue_active_limit) > 0.9",
        "10m", "page", "Slots of {{ $labels.concert_id }} are taken faster than they are freed",
        "waitline-circulation", "Slots taken and freed",
    ),
    Alert(
        "WaitlineStoreFailover", "increase(store_server_changes_total[10m]) > 0", "0m", "ticket",
        "Another Valkey server has taken over, or the server was restarted",
        "waitline-valkey", "Server changes",
    ),
    Alert(
        "WaitlineDatabaseFailover", "increase(database_server_changes_total[10m]) > 0", "0m",
        "ticket", "Another PostgreSQL server has taken over, or the server was restarted",
        "waitline-postgresql", "Server changes",
    ),
    Alert(
        "WaitlineStoreReplicaBehind", "max by (node) (store_replica_lag_bytes) > 10e6", "2m",
        "page", "A replica of {{ $labels.node }} is more than 10 MB behind",
        "waitline-valkey", "Replication lag",
    ),
    Alert(
        "WaitlineDatabaseReplicaBehind", "max(database_replica_lag_bytes) > 64e6", "2m", "page",
        "A standby of PostgreSQL is more than 64 MB behind",
        "waitline-postgresql", "Replication lag",
    ),
    Alert(
        "WaitlineStoreFaults", "max(store_faults) > 0 or max(1 - store_saving) > 0", "1m", "page",
        "A setting of Valkey puts data at risk, or it cannot save",
        "waitline-valkey", "Faults",
    ),
    Alert(
        "WaitlineStoreFull",
        "max by (node) (store_memory_bytes / store_memory_limit_bytes) > 0.8", "5m", "page",
        "Valkey at {{ $labels.node }} uses more than 80 % of its memory limit",
        "waitline-valkey", "Memory",
    ),
    Alert(
        "WaitlineOutboxLag", "max(outbox_oldest_age_seconds) > 10", "1m", "page",
        "Events are not sent: slots of visitors who paid are not freed",
        "waitline-box-office", "Oldest event",
    ),
    Alert(
        "WaitlineDeadEvents", 'max(outbox_events{state="dead"}) > 0', "0m", "ticket",
        "Events need an operator", "waitline-box-office", "Events",
    ),
    Alert(
        "WaitlinePaymentsUnsettled", "max(payments_oldest_age_seconds) > 120", "1m", "page",
        "The provider has not reported the outcome of a payment for two minutes",
        "waitline-box-office", "Oldest open payment",
    ),
    Alert(
        "WaitlinePaymentsNeedOperator", "max(payments_attention) > 0", "0m", "ticket",
        "Payments need an operator", "waitline-box-office", "Open payments",
    ),
    Alert(
        "WaitlineProviderSilent",
        'sum(rate(payment_provider_duration_seconds_count{outcome="silent"}[5m])) / '
        "sum(rate(payment_provider_duration_seconds_count[5m])) > 0.05",
        "2m", "page", "The payment provider does not answer more than 5 % of the calls",
        "waitline-box-office", "Payment provider, P95",
    ),
    Alert(
        "WaitlineAuditFindings", "max by (service) (audit_findings) > 0", "0m", "page",
        "An audit of {{ $labels.service }} found broken invariants, such as a seat sold twice",
        "waitline-box-office", "Audit findings",
    ),
    Alert(
        "WaitlineCertificateExpires",
        "min(store_certificate_expiry_timestamp_seconds) - time() < 14 * 86400 "
        "or min by (endpoint) (certificate_expiry_timestamp_seconds) - time() < 14 * 86400",
        "1h", "ticket",
        'The certificate of {{ or $labels.endpoint "Valkey" }} expires within 14 days',
        "waitline-processes", "Certificates",
    ),
    Alert(
        "WaitlineKeyOld", "max(signing_key_age_seconds) > 90 * 86400", "1h", "ticket",
        "The key that signs tickets and passes is older than 90 days",
        "waitline-processes", "Age of the signing key",
    ),
    Alert(
        "WaitlineLoopLag", "max by (instance, service) (event_loop_lag_seconds) > 0.25", "1m",
        "page", "A worker of {{ $labels.service }} on {{ $labels.instance }} is blocked",
        "waitline-processes", "Event loop lag",
    ),
    Alert(
        "WaitlineMetricsStale", "max by (instance, service) (metrics_stale_processes) > 0", "1m",
        "ticket", "A process of {{ $labels.service }} on {{ $labels.instance }} hangs, or cannot "
        "write its metrics", "waitline-processes", "Stale processes",
    ),
    Alert(
        "WaitlineLogLinesLost", "sum by (instance) (increase(log_lines_lost_total[5m])) > 0", "0m",
        "ticket", "Log lines are lost on {{ $labels.instance }}",
        "waitline-processes", "Lost log lines",
    ),
)  # fmt: skip
