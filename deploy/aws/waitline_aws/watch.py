"""Watch: alarms that call somebody, and the dashboard."""

from aws_cdk import Duration, Environment, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as event_targets
from constructs import Construct

from waitline_aws.fargate import Services, our_metric
from waitline_aws.foundation import Foundation
from waitline_aws.lanes import PERIOD
from waitline_aws.stores import REPLICAS, SHARDS, Stores

LINE_MAX = 500_000
VALKEY_CPU_MAX_PERCENT = 75
"""Of the one core that runs commands."""

VALKEY_MEMORY_MAX_PERCENT = 60
"""A replica that connects anew makes the server copy its memory."""

DATABASE_CPU_MAX_PERCENT = 80
DATABASE_FREE_MIN_BYTES = 5 * 2**30


class Watch(Stack):
    """Alarms and the dashboard."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        foundation: Foundation,
        stores: Stores,
        services: Services,
        *,
        env: Environment,
    ) -> None:
        super().__init__(scope, name, env=env)
        self._stores, self._services = stores, services
        self._topic = foundation.topic
        self._action = actions.SnsAction(self._topic)
        for alarm in (*services.lane_alarms, services.stuck, services.unreachable):
            alarm.add_alarm_action(self._action)
        self._alarms()
        self._tell_of_rotations()
        self._dashboard()

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        meaning: str,
        *,
        below: bool = False,
        minutes: int = 3,
    ) -> None:
        cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"waitline-{name}",
            alarm_description=meaning,
            metric=metric,
            threshold=threshold,
            comparison_operator=(
                cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
                if below
                else cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
            ),
            evaluation_periods=minutes,
            datapoints_to_alarm=max(1, minutes - 1),
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ).add_alarm_action(self._action)

    def _alarms(self) -> None:
        stores, metrics = self._stores, self._services.balancer.metrics
        self._alarm(
            "line-long", our_metric("queue_wait_size"), LINE_MAX, "More than 500,000 visitors wait"
        )
        self._alarm(
            "admitters",
            our_metric("scheduler_admitters"),
            2,
            "Fewer than two admitters run",
            below=True,
            minutes=5,
        )
        self._alarm(
            "slow",
            metrics.target_response_time(statistic="p95", period=PERIOD),
            0.2,
            "P95 of all requests is above 200 ms",
        )
        self._alarm(
            "errors",
            _share(metrics),
            1,
            "More than 1 % of the requests get a server error",
        )
        self._alarm(
            "valkey-cpu",
            cloudwatch.MathExpression(
                expression="MAX(METRICS())",
                using_metrics={
                    f"n{at}": metric
                    for at, metric in enumerate(self._nodes("EngineCPUUtilization"))
                },
                period=PERIOD,
                label="busiest node",
            ),
            VALKEY_CPU_MAX_PERCENT,
            "A Valkey node's core is above 75 %",
        )
        self._alarm(
            "valkey-memory",
            cloudwatch.MathExpression(
                expression="MAX(METRICS())",
                using_metrics={
                    f"n{at}": metric
                    for at, metric in enumerate(
                        self._nodes("DatabaseMemoryUsageCountedForEvictPercentage")
                    )
                },
                period=PERIOD,
                label="fullest node",
            ),
            VALKEY_MEMORY_MAX_PERCENT,
            "A Valkey node's memory is above 60 %: when it is full, new visitors get 503",
        )
        self._alarm(
            "store-faults", our_metric("store_faults"), 0, "Valkey has a setting that risks data"
        )
        self._alarm(
            "database-cpu",
            stores.database.metric_cpu_utilization(period=PERIOD),
            DATABASE_CPU_MAX_PERCENT,
            "PostgreSQL's CPU is above 80 %",
        )
        self._alarm(
            "database-disk",
            stores.database.metric_free_storage_space(period=PERIOD),
            DATABASE_FREE_MIN_BYTES,
            "PostgreSQL has less than 5 GiB of disk left",
            below=True,
        )
        self._alarm(
            "payments",
            our_metric("payments_attention", "booking"),
            0,
            "Payments need an operator: waitline payments",
        )
        self._alarm(
            "outbox",
            our_metric("outbox_oldest_age_seconds", "booking"),
            60,
            "Payments free no slots: waitline outbox",
        )

    def _nodes(self, name: str) -> list[cloudwatch.Metric]:
        """Return a metric of each Valkey node."""
        return [
            cloudwatch.Metric(
                namespace="AWS/ElastiCache",
                metric_name=name,
                dimensions_map={
                    "CacheClusterId": f"{self._stores.valkey.ref}-{shard:04}-{node:03}"
                },
                statistic="Maximum",
                period=PERIOD,
            )
            for shard in range(1, SHARDS + 1)
            for node in range(1, REPLICAS + 2)
        ]

    def _tell_of_rotations(self) -> None:
        """Write when a secret has rotated or could not be: each service must be deployed then."""
        events.Rule(
            self,
            "Rotations",
            description="A secret has rotated, or its rotation failed",
            event_pattern=events.EventPattern(
                source=["aws.secretsmanager"],
                detail_type=["AWS Service Event via CloudTrail"],
                detail={"eventName": ["RotationSucceeded", "RotationFailed"]},
            ),
            targets=[event_targets.SnsTopic(self._topic)],
        )

    def _dashboard(self) -> None:
        board = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name="waitline", default_interval=Duration.hours(3)
        )
        metrics = self._services.balancer.metrics
        database = self._stores.database

        def graph(title: str, *found: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
            return cloudwatch.GraphWidget(title=title, left=[*found], width=8)

        board.add_widgets(
            graph("Visitors waiting, longest line", our_metric("queue_wait_size")),
            graph("Visitors holding a slot", our_metric("queue_active_size")),
            graph(
                "Admissions per second, fastest room",
                our_metric("queue_throughput_users_per_second"),
            ),
            graph("Nobody admitted for, s", our_metric("queue_admission_stuck_seconds")),
            graph("Requests per minute", metrics.request_count(statistic="Sum", period=PERIOD)),
            graph(
                "Response times, s",
                *(
                    metrics.target_response_time(statistic=one, period=PERIOD)
                    for one in ("p50", "p95", "p99")
                ),
            ),
            graph("Server errors, percent", _share(metrics)),
            graph("Valkey: CPU, percent", *self._nodes("EngineCPUUtilization")),
            graph(
                "Valkey: memory, percent",
                *self._nodes("DatabaseMemoryUsageCountedForEvictPercentage"),
            ),
            graph("PostgreSQL: CPU, percent", database.metric_cpu_utilization()),
            graph("PostgreSQL: connections", database.metric_database_connections()),
            graph(
                "Services: CPU, percent",
                *(
                    one.metric_cpu_utilization(label=name)
                    for name, one in self._services.scaled.items()
                ),
            ),
        )
        board.add_widgets(
            cloudwatch.AlarmStatusWidget(
                title="Alarms of upgrades",
                alarms=[*self._services.lane_alarms, self._services.stuck],
                width=24,
                height=4,
            )
        )


def _share(metrics: elb.IApplicationLoadBalancerMetrics) -> cloudwatch.MathExpression:
    """Return the share of server errors, of the tasks and of the load balancer itself."""
    return cloudwatch.MathExpression(
        expression="IF(FILL(r,0) > 0, 100*(FILL(t,0)+FILL(b,0))/r, 0)",
        using_metrics={
            "t": metrics.http_code_target(
                elb.HttpCodeTarget.TARGET_5XX_COUNT, statistic="Sum", period=PERIOD
            ),
            "b": metrics.http_code_elb(
                elb.HttpCodeElb.ELB_5XX_COUNT, statistic="Sum", period=PERIOD
            ),
            "r": metrics.request_count(statistic="Sum", period=PERIOD),
        },
        period=PERIOD,
        label="server errors, percent",
    )
