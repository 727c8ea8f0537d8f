"""Dashboards of what a sale runs on: Valkey, PostgreSQL, processes.

Figures of the stores are read by our own processes, so no exporter is needed (decision 0046).
"""

from tools.dashboards.model import INSTANCE, RATE, Board, Panel, Query, per_second, quantile


def _node(gauge: str) -> str:
    return f"max by (node) ({gauge}{{{INSTANCE}}})"


def _node_rate(counter: str) -> str:
    return f"max by (node) (rate({counter}{{{INSTANCE}}}[{RATE}]))"


VALKEY = Board(
    "waitline-valkey", "Waitline: Valkey", "Is Valkey the bottleneck, or at risk?",
    (
        Panel(
            "Memory", "bytes", "Memory in use and its limit; when full, new visitors get 503.",
            (
                Query(_node("store_memory_bytes"), "{{node}}"),
                Query(_node("store_memory_limit_bytes"), "{{node}} limit"),
            ),
        ),
        Panel(
            "CPU", "percentunit", "Valkey runs scripts on one core: 1 is the most.",
            (Query(_node_rate("store_cpu_seconds_total"), "{{node}}"),), (0.7, 0.9),
        ),
        Panel(
            "Commands", "ops", "Commands per second, inside scripts included.",
            (Query(_node_rate("store_commands_total"), "{{node}}"),),
        ),
        Panel(
            "Clients", "short", "Connections to each primary.",
            (Query(_node("store_clients"), "{{node}}"),),
        ),
        Panel(
            "Replicas", "short", "Connected replicas of each primary.",
            (Query(_node("store_replicas"), "{{node}}"),),
        ),
        Panel(
            "Replication lag", "bytes", "Bytes that the slowest replica has not acknowledged.",
            (Query(_node("store_replica_lag_bytes"), "{{node}}"),), (1_000_000, 10_000_000),
        ),
        Panel(
            "Server changes", "short", "Failovers and restarts in the last ten minutes.",
            (Query(f"max(increase(store_server_changes_total{{{INSTANCE}}}[10m]))", "changes"),),
            (1,),
        ),
        Panel(
            "Redirections", "cps", "Commands that a node of the cluster redirected or refused.",
            (Query(per_second("store_redirects_total", INSTANCE, "reply"), "{{reply}}"),),
        ),
        Panel(
            "Faults", "short", "Settings at risk, dropped keys, and saves that failed.",
            (
                Query(f"max(store_faults{{{INSTANCE}}})", "settings"),
                Query(_node("store_evicted_keys_total"), "{{node}} dropped keys"),
                Query(f"1 - {_node('store_saving')}", "{{node}} cannot save"),
            ),
            (1,),
        ),
    ),
)  # fmt: skip

POSTGRESQL = Board(
    "waitline-postgresql", "Waitline: PostgreSQL", "Is PostgreSQL the bottleneck, or at risk?",
    (
        Panel(
            "Connections", "short", "Connections by state, and the server's limit.",
            (
                Query(f"max by (state) (database_connections{{{INSTANCE}}})", "{{state}}"),
                Query(f"max(database_connections_limit{{{INSTANCE}}})", "limit"),
            ),
        ),
        Panel(
            "Statements, P95", "s", "Duration of a statement with its round trip.",
            (
                Query(
                    quantile(0.95, "database_statement_duration_seconds", INSTANCE, "statement"),
                    "{{statement}}",
                ),
            ),
            (0.05, 0.25),
        ),
        Panel(
            "Transactions", "ops", "Transactions per second, by outcome.",
            (
                Query(
                    f"max by (outcome) (rate(database_transactions_total{{{INSTANCE}}}[{RATE}]))",
                    "{{outcome}}",
                ),
            ),
        ),
        Panel(
            "Blocks", "ops", "Blocks taken from the cache or read from disk, per second.",
            (
                Query(
                    f"max by (source) (rate(database_blocks_read_total{{{INSTANCE}}}[{RATE}]))",
                    "{{source}}",
                ),
            ),
        ),
        Panel(
            "Locks", "short", "Connections that wait for a lock, and deadlocks so far.",
            (
                Query(f"max(database_lock_waits{{{INSTANCE}}})", "waiting"),
                Query(f"max(database_deadlocks_total{{{INSTANCE}}})", "deadlocks"),
            ),
        ),
        Panel(
            "Oldest transaction", "s", "A long one keeps PostgreSQL from cleaning up.",
            (Query(f"max(database_oldest_transaction_seconds{{{INSTANCE}}})", "age"),), (10, 60),
        ),
        Panel(
            "Size", "bytes", "Size of the database on disk.",
            (Query(f"max(database_size_bytes{{{INSTANCE}}})", "size"),),
        ),
        Panel(
            "Standbys", "short", "Connected standbys.",
            (Query(f"max(database_replicas{{{INSTANCE}}})", "standbys"),),
        ),
        Panel(
            "Replication lag", "bytes", "Bytes that the slowest standby has not applied yet.",
            (Query(f"max(database_replica_lag_bytes{{{INSTANCE}}})", "behind"),),
            (10_000_000, 64_000_000),
        ),
        Panel(
            "Server changes", "short", "Failovers and restarts in the last ten minutes.",
            (Query(f"max(increase(database_server_changes_total{{{INSTANCE}}}[10m]))", "changes"),),
            (1,),
        ),
    ),
)  # fmt: skip

PROCESSES = Board(
    "waitline-processes", "Waitline: processes", "Do the processes run, and have they room?",
    (
        Panel(
            "Processes", "short", "Processes that run, by instance and service.",
            (
                Query(
                    f"sum by (instance, service) (service_processes{{{INSTANCE}}})",
                    "{{instance}} {{service}}",
                ),
            ),
        ),
        Panel(
            "CPU", "short", "Cores in use, by instance and service.",
            (
                Query(
                    per_second("process_cpu_seconds_total", INSTANCE, "instance, service"),
                    "{{instance}} {{service}}",
                ),
            ),
        ),
        Panel(
            "Memory", "bytes", "Resident memory, by instance and service.",
            (
                Query(
                    f"sum by (instance, service) (process_resident_memory_bytes{{{INSTANCE}}})",
                    "{{instance}} {{service}}",
                ),
            ),
        ),
        Panel(
            "Event loop lag", "s", "Highest lag of any worker in the last second.",
            (
                Query(
                    f"max by (instance, service) (event_loop_lag_seconds{{{INSTANCE}}})",
                    "{{instance}} {{service}}",
                ),
            ),
            (0.1, 0.25),
        ),
        Panel(
            "Stale processes", "short", "Processes that have not written metrics for 10 s.",
            (
                Query(
                    f"max by (instance, service) (metrics_stale_processes{{{INSTANCE}}})",
                    "{{instance}} {{service}}",
                ),
            ),
            (1,),
        ),
        Panel(
            "Lost log lines", "cps", "Log lines that could not be written, per second.",
            (Query(per_second("log_lines_lost_total", INSTANCE, "instance"), "{{instance}}"),),
        ),
        Panel(
            "Failures of metrics", "cps", "Groups of metrics that could not be collected.",
            (Query(per_second("metrics_failures_total", INSTANCE, "figure"), "{{figure}}"),),
        ),
        Panel(
            "Certificates", "s",
            "Time until a certificate expires: of Valkey and PostgreSQL where they use TLS, and of "
            "the addresses in WAITLINE_CERTIFICATE_ADDRESSES.",
            (
                Query(
                    f"min(store_certificate_expiry_timestamp_seconds{{{INSTANCE}}}) - time()",
                    "Valkey",
                ),
                Query(
                    "min by (endpoint) "
                    f"(certificate_expiry_timestamp_seconds{{{INSTANCE}}}) - time()",
                    "{{endpoint}}",
                ),
            ),
        ),
        Panel(
            "Age of the signing key", "s", "Rotate it with `waitline keys rotate`.",
            (Query(f"max(signing_key_age_seconds{{{INSTANCE}}})", "age"),),
            (60 * 86_400, 90 * 86_400),
        ),
        Panel(
            "Scrapes", "s", "Duration of a scrape, as Prometheus measures it.",
            (
                Query(
                    f'max by (instance) (scrape_duration_seconds{{job="waitline",{INSTANCE}}})',
                    "{{instance}}",
                ),
            ),
            (0.05, 0.5),
        ),
        Panel(
            "Samples", "short", "Samples of a scrape; bounded by docs/metrics.md.",
            (
                Query(
                    f'max by (instance) (scrape_samples_scraped{{job="waitline",{INSTANCE}}})',
                    "{{instance}}",
                ),
            ),
        ),
    ),
)  # fmt: skip
