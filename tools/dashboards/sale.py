"""Dashboards of a sale: overview, waiting room, circulation, box office."""

from tools.dashboards.model import (
    INSTANCE,
    RATE,
    ROOM,
    Board,
    Panel,
    Query,
    of_room,
    per_second,
    quantile,
    total_of_room,
)

HTTP = "http_server_requests_seconds"

QUEUE_CALLS = 'uri=~"/api/v1/queue/(enter|status|validate|activate|extend|remove)"'
SHOP_CALLS = 'uri=~"/api/v1/(schedules/.+/seats|reservations|payments)"'

LINE = Panel(
    "Visitors waiting", "short", "Length of the line. Thresholds: 100,000 and 250,000.",
    (Query(of_room("queue_wait_size"), "{{concert_id}}"),), (100_000, 250_000),
)  # fmt: skip
ADMISSIONS = Panel(
    "Admissions", "reqps", "Visitors admitted per second.",
    (Query(total_of_room("scheduler_move_users_total"), "{{concert_id}}"),),
)  # fmt: skip
ERRORS = Panel(
    "Failed requests", "percentunit",
    "Share of requests answered with 5xx. A store that does not answer gives 503.",
    (
        Query(
            f'sum by (service) (rate({HTTP}_count{{status=~"5..",{INSTANCE}}}[{RATE}])) / '
            f"sum by (service) (rate({HTTP}_count{{{INSTANCE}}}[{RATE}])) or "
            f"0 * sum by (service) (rate({HTTP}_count{{{INSTANCE}}}[{RATE}]))",
            "{{service}}",
        ),
    ),
    (0.001, 0.01),
)  # fmt: skip

OVERVIEW = Board(
    "waitline-overview", "Waitline: a sale", "Is the sale going well?",
    (
        LINE,
        ADMISSIONS,
        Panel(
            "Slots in use", "short", "Visitors who hold a slot, and how many may.",
            (
                Query(of_room("queue_active_size"), "{{concert_id}}"),
                Query(of_room("queue_active_limit"), "{{concert_id}}, limit"),
            ),
        ),
        Panel(
            "Free seats", "short", "Seats that the shop has left, from its latest report.",
            (Query(of_room("queue_shop_free_seats"), "{{concert_id}}"),),
        ),
        Panel(
            "Requests", "reqps", "Answered requests per second, by service.",
            (Query(per_second(f"{HTTP}_count", INSTANCE, "service"), "{{service}}"),),
        ),
        ERRORS,
        Panel(
            "Response time, P95", "s", "P95 of the calls of visitors, by service.",
            (
                Query(quantile(0.95, HTTP, f"{QUEUE_CALLS},{INSTANCE}", "service"), "{{service}}"),
                Query(quantile(0.95, HTTP, f"{SHOP_CALLS},{INSTANCE}", "service"), "{{service}}"),
            ),
            (0.1, 0.25),
        ),
        Panel(
            "Refusals", "reqps", "Refused requests per second, by the code of the contract.",
            (Query(per_second("http_refusals_total", INSTANCE, "code"), "{{code}}"),),
        ),
    ),
)  # fmt: skip

WAITING_ROOM = Board(
    "waitline-waiting-room", "Waitline: waiting room", "Does the line move, and what does it cost?",
    (
        LINE,
        Panel(
            "Slots in use", "short",
            "Visitors who hold a slot. Thresholds: 40,000 and 48,000 of the default 50,000.",
            (Query(of_room("queue_active_size"), "{{concert_id}}"),), (40_000, 48_000),
        ),
        ADMISSIONS,
        Panel(
            "Estimated wait", "s",
            "Of a new visitor, from the measured rate. Thresholds: 5 and 10 minutes.",
            (Query(of_room("queue_estimated_wait_seconds"), "{{concert_id}}"),), (300, 600),
        ),
        Panel(
            "Admission calls, P95", "s",
            "Duration of an admission call that admitted visitors, and of a round over all rooms.",
            (
                Query(
                    quantile(0.95, "scheduler_move_duration_seconds", ROOM, "concert_id"),
                    "{{concert_id}}",
                ),
                Query(
                    quantile(0.95, "scheduler_round_duration_seconds", INSTANCE, "instance"),
                    "round of {{instance}}",
                ),
            ),
            (0.1, 0.5),
        ),
        Panel(
            "Scripts, P95", "s",
            "Duration of a script with its round trip. Thresholds: 5 and 10 ms.",
            (
                Query(
                    quantile(0.95, "redis_script_duration_seconds", INSTANCE, "script"),
                    "{{script}}",
                ),
            ),
            (0.005, 0.01),
        ),
        Panel(
            "Script calls that failed", "cps", "By script and error; zero is normal.",
            (
                Query(
                    per_second("redis_script_errors_total", INSTANCE, "script, error"),
                    "{{script}} {{error}}",
                ),
            ),
        ),
        Panel(
            "Sweeps", "cps", "Expired slots freed per second.",
            (Query(total_of_room("scheduler_cleanup_removed_total"), "{{concert_id}}"),),
        ),
        Panel(
            "Lease refusals", "cps",
            "Admission calls refused because another admitter holds the room.",
            (Query(total_of_room("scheduler_lock_acquire_failures_total"), "{{concert_id}}"),),
        ),
        Panel(
            "Decisions of the gate", "reqps",
            "Requests of protected sites, by protection rule and by what the gate decided.",
            (
                Query(
                    per_second("gate_decisions_total", INSTANCE, "rule, decision"),
                    "{{rule}} {{decision}}",
                ),
            ),
        ),
        Panel(
            "Rooms", "short",
            "Rooms, active rooms that have no series of their own, and admitters that share them.",
            (
                Query(f"max(scheduler_concerts_count{{{INSTANCE}}})", "rooms"),
                Query(f"max(metrics_rooms_omitted{{{INSTANCE}}})", "without series"),
                Query(f"max(scheduler_admitters{{{INSTANCE}}})", "admitters"),
            ),
        ),
        Panel(
            "Requests by instance", "reqps", "Calls of visitors per second, by instance.",
            (Query(per_second(f"{HTTP}_count", f"{QUEUE_CALLS},{INSTANCE}", "instance"),
                   "{{instance}}"),),
        ),
        Panel(
            "Response time by call, P95", "s", "P95 by call.",
            (Query(quantile(0.95, HTTP, f"{QUEUE_CALLS},{INSTANCE}", "uri"), "{{uri}}"),),
            (0.1, 0.25),
        ),
        Panel(
            "Queue and service", "s",
            "P95 of the time in the queue of a batch, against the time of service of its call.",
            (
                Query(quantile(0.95, "batch_wait_seconds", INSTANCE, "batch"), "{{batch}} waits"),
                Query(quantile(0.95, "batch_call_seconds", INSTANCE, "batch"), "{{batch}} runs"),
            ),
        ),
        Panel(
            "Batch size", "short", "Mean number of requests in a batch: it grows with the load.",
            (
                Query(
                    f"{per_second('batch_items_sum', INSTANCE, 'batch')} / "
                    f"({per_second('batch_items_count', INSTANCE, 'batch')} > 0)",
                    "{{batch}}",
                ),
            ),
        ),
        Panel(
            "now-serving: cache hits", "percentunit",
            "Share of requests answered from a worker's cache. Low with few visitors.",
            (
                Query(
                    'clamp_min(1 - sum(rate(cache_loads_total{cache="now_serving",'
                    f"{INSTANCE}}}[{RATE}])) / (sum(rate({HTTP}_count{{"
                    f'uri="/api/v1/rooms/{{room}}/now-serving",{INSTANCE}}}[{RATE}])) > 0), 0)',
                    "hits",
                ),
            ),
        ),
        Panel(
            "Open streams", "short", "Visitors with an open event stream.",
            (Query(f"sum by (instance) (queue_streams_open{{{INSTANCE}}})", "{{instance}}"),),
        ),
    ),
)  # fmt: skip

CIRCULATION = Board(
    "waitline-circulation", "Waitline: circulation", "Are slots freed as fast as they are taken?",
    (
        Panel(
            "Entries and exits", "reqps", "Visitors who took a place, and who left the room.",
            (
                Query(total_of_room("queue_entry_count_total"), "{{concert_id}} enter"),
                Query(
                    f"sum by (concert_id) ({total_of_room('queue_exit_count_total', 'reason')})",
                    "{{concert_id}} leave",
                ),
            ),
        ),
        Panel(
            "Slots taken and freed", "reqps",
            "Visitors admitted, and slots freed: with full slots both are the same.",
            (
                Query(total_of_room("scheduler_move_users_total"), "{{concert_id}} taken"),
                Query(
                    "sum by (concert_id) (max by (concert_id, reason) (rate("
                    f'queue_exit_count_total{{reason=~"left|lapsed|removed",{ROOM}}}[{RATE}])))',
                    "{{concert_id}} freed",
                ),
            ),
        ),
        Panel(
            "Exits by reason", "reqps", "Why visitors leave: left, abandoned, lapsed, passed, "
            "removed.",
            (Query(total_of_room("queue_exit_count_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Time to activate, P95 and P99", "s",
            "P95 and P99 of the call with which an admitted visitor begins to shop.",
            tuple(
                Query(
                    quantile(share, HTTP, f'uri="/api/v1/queue/activate",{INSTANCE}', "service"),
                    f"P{share * 100:.0f}",
                )
                for share in (0.95, 0.99)
            ),
        ),
        Panel(
            "No-shows", "reqps", "Admitted visitors who never activated, per second.",
            (Query(total_of_room("queue_no_show_count_total"), "{{concert_id}}"),),
        ),
        Panel(
            "Expected no-show share", "percentunit",
            "Share of admitted visitors who are expected not to activate.",
            (Query(of_room("queue_no_show_share"), "{{concert_id}}"),),
        ),
        Panel(
            "Returns", "reqps", "Visitors who came back to their place after being passed over.",
            (Query(total_of_room("queue_return_count_total"), "{{concert_id}}"),),
        ),
        Panel(
            "Admission decisions", "cps", "Decisions of the admission policy, by reason.",
            (Query(per_second("queue_admission_decisions_total", INSTANCE, "reason"),
                   "{{reason}}"),),
        ),
        Panel(
            "Shop load", "percentunit", "Load of the shop relative to its target: 1 is on target.",
            (Query(of_room("queue_shop_load"), "{{concert_id}}"),), (1, 2),
        ),
        Panel(
            "Age of the shop's report", "s", "The room stops following the shop after 6 s.",
            (Query(of_room("queue_shop_report_age_seconds"), "{{concert_id}}"),), (3, 6),
        ),
    ),
)  # fmt: skip

BOX_OFFICE = Board(
    "waitline-box-office", "Waitline: box office", "Can admitted visitors buy?",
    (
        Panel(
            "Connection pool", "short", "Database connections, and statements that wait for one.",
            (
                Query(f"sum(database_pool_size{{{INSTANCE}}})", "open"),
                Query(f"sum(database_pool_in_use{{{INSTANCE}}})", "in use"),
                Query(f"sum(database_pool_waiting{{{INSTANCE}}})", "waiting"),
            ),
        ),
        Panel(
            "Response time by call, P95", "s", "Thresholds: 150 and 500 ms.",
            (
                Query(
                    quantile(0.95, HTTP, f"{SHOP_CALLS},{INSTANCE}", "method, uri"),
                    "{{method}} {{uri}}",
                ),
            ),
            (0.15, 0.5),
        ),
        Panel(
            "Seat lists", "reqps", "Requests for the seats of a schedule, by status.",
            (Query(per_second(f"{HTTP}_count", f'uri=~".+/seats",{INSTANCE}', "status"),
                   "{{status}}"),),
        ),
        Panel(
            "Seat lists: cache hits", "percentunit",
            "Share of requests answered without encoding a list anew.",
            (
                Query(
                    'clamp_min(1 - sum(rate(cache_loads_total{cache="seats",'
                    f"{INSTANCE}}}[{RATE}])) / (sum(rate({HTTP}_count{{"
                    f'uri=~".+/seats",{INSTANCE}}}[{RATE}])) > 0), 0)',
                    "hits",
                ),
            ),
        ),
        Panel(
            "Reservations", "reqps", "Attempts to reserve, by status: 201 reserved, 409 taken.",
            (
                Query(
                    per_second(
                        f"{HTTP}_count",
                        f'method="POST",uri="/api/v1/reservations",{INSTANCE}', "status",
                    ),
                    "{{status}}",
                ),
            ),
        ),
        Panel(
            "Payments", "reqps", "Attempts to pay, by status: 201 paid, 400 declined.",
            (
                Query(
                    per_second(
                        f"{HTTP}_count",
                        f'method="POST",uri="/api/v1/payments",{INSTANCE}', "status",
                    ),
                    "{{status}}",
                ),
            ),
        ),
        Panel(
            "Stock", "short", "Free seats and unpaid reservations, from the latest report.",
            (
                Query(of_room("queue_shop_free_seats"), "{{concert_id}} free"),
                Query(of_room("queue_shop_live_reservations"), "{{concert_id}} held"),
            ),
        ),
        Panel(
            "Revenue", "short", "Amount paid in the last hour, in minor units of the currency.",
            (
                Query(
                    f"sum by (currency) (increase(payments_confirmed_amount_total{{{INSTANCE}}}"
                    "[1h]))",
                    "{{currency}}",
                ),
            ),
        ),
        Panel(
            "Payment provider, P95", "s", "Calls of the payment provider; silent: no answer.",
            (
                Query(
                    quantile(0.95, "payment_provider_duration_seconds", INSTANCE, "call, outcome"),
                    "{{call}} {{outcome}}",
                ),
            ),
            (1, 5),
        ),
        Panel(
            "Open payments", "short", "Payments in progress, and those that need an operator.",
            (
                Query(f"max by (state) (payments_open{{{INSTANCE}}})", "{{state}}"),
                Query(f"max(payments_attention{{{INSTANCE}}})", "need an operator"),
            ),
        ),
        Panel(
            "Oldest open payment", "s", "After two minutes the provider should have answered.",
            (Query(f"max(payments_oldest_age_seconds{{{INSTANCE}}})", "age"),), (60, 120),
        ),
        Panel(
            "Events", "short", "Events not sent yet, and dead letters.",
            (Query(f"max by (state) (outbox_events{{{INSTANCE}}})", "{{state}}"),),
        ),
        Panel(
            "Oldest event", "s", "Slots of visitors who paid are freed by these events.",
            (Query(f"max(outbox_oldest_age_seconds{{{INSTANCE}}})", "age"),), (5, 10),
        ),
        Panel(
            "Audit findings", "short", "Broken invariants found by the last `waitline audit`.",
            (Query(f"max by (service) (audit_findings{{{INSTANCE}}})", "{{service}}"),), (1,),
        ),
    ),
)  # fmt: skip
