"""Lanes: fixed shares of the visitors, which get a new version one after the other.

A function of the CDN puts each visitor into a lane by network address, so that a visitor meets one
version, whose pages find their own files. Each lane is an ECS service of its own, upgraded blue and
green: all of its visitors move at once, and back at once if one of its alarms rings.

Decision 0058.
"""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

HEADER = "x-waitline-lane"
"""Header in which the CDN names the lane. It replaces what a client may have sent."""


@dataclass(frozen=True)
class Lane:
    """A lane.

    Attributes:
        name: Its name.
        share: Its share of the visitors, in percent.
        bake: How long both versions of a lane run after its visitors have moved, before the next
            lane begins. An alarm in this time moves them back.
    """

    name: str
    share: int
    bake: Duration

    def part(self, tasks: int) -> int:
        """Return the lane's part of a service's tasks: at least two, in two zones."""
        return max(2, -(-tasks * self.share // 100))


LANES = (
    Lane("canary", 10, Duration.minutes(10)),
    Lane("half", 40, Duration.minutes(10)),
    Lane("rest", 50, Duration.minutes(10)),
)
"""In the order of an upgrade: 10, 50, 100 % of the visitors have the new version."""

P95_MAX_S = {"queue": 0.2, "booking": 2.0}
"""Threshold of each service, in s. Of the box office's calls many wait for the payment provider,
for which the API's contract allows two seconds."""

ERRORS_MAX_PERCENT = 1.0
PERIOD = Duration.minutes(1)
PERIODS = 3
"""An alarm rings after this many minutes, of which `PERIODS_BAD` are bad."""
PERIODS_BAD = 2

LEAST_REQUESTS = 20
"""Requests per minute below which a share of errors says nothing."""


def reached(lane: Lane) -> int:
    """Return how many percent of the visitors have a version once it has reached a lane."""
    return sum(one.share for one in LANES[: LANES.index(lane) + 1])


def lane_alarms(
    scope: Construct,
    service: str,
    lane: Lane,
    groups: tuple[elb.ApplicationTargetGroup, elb.ApplicationTargetGroup],
) -> list[cloudwatch.Alarm]:
    """Add the alarms that roll a lane back: response times and server errors of its visitors."""
    name = f"waitline-{service}-{lane.name}"

    def metric(kind: elb.HttpCodeTarget | None, statistic: str) -> list[cloudwatch.Metric]:
        """Return a metric of both target groups, of which at least one has visitors."""
        return [
            (
                one.metrics.http_code_target(kind, statistic=statistic, period=PERIOD)
                if kind is not None
                else one.metrics.target_response_time(statistic=statistic, period=PERIOD)
            )
            for one in groups
        ]

    errors = metric(elb.HttpCodeTarget.TARGET_5XX_COUNT, "Sum")
    requests = [one.metrics.request_count(statistic="Sum", period=PERIOD) for one in groups]
    used = {
        **{f"e{at}": one for at, one in enumerate(errors)},
        **{f"r{at}": one for at, one in enumerate(requests)},
    }
    share = cloudwatch.MathExpression(
        expression=(
            f"IF(FILL(r0,0)+FILL(r1,0) > {LEAST_REQUESTS}, "
            "100*(FILL(e0,0)+FILL(e1,0))/(FILL(r0,0)+FILL(r1,0)), 0)"
        ),
        using_metrics=used,
        period=PERIOD,
        label="errors, percent",
    )
    slow = cloudwatch.MathExpression(
        expression="MAX([FILL(t0,0), FILL(t1,0)])",
        using_metrics={f"t{at}": one for at, one in enumerate(metric(None, "p95"))},
        period=PERIOD,
        label="P95, s",
    )
    return [
        rolling_back(scope, f"{name}-errors", share, ERRORS_MAX_PERCENT, "server errors above 1 %"),
        rolling_back(
            scope,
            f"{name}-slow",
            slow,
            P95_MAX_S[service],
            f"P95 above {1000 * P95_MAX_S[service]:.0f} ms",
        ),
    ]


def rolling_back(
    scope: Construct, name: str, metric: cloudwatch.IMetric, most: float, meaning: str
) -> cloudwatch.Alarm:
    """Add an alarm that rolls an upgrade back."""
    return cloudwatch.Alarm(
        scope,
        name,
        alarm_name=name,
        alarm_description=f"{name}: {meaning}. An upgrade in progress is rolled back",
        metric=metric,
        threshold=most,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluation_periods=PERIODS,
        datapoints_to_alarm=PERIODS_BAD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
