"""Containers of a task: a service, what prepares it, and the collector that reads its metrics."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from aws_cdk import Duration
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs

from waitline_aws.foundation import NETWORK

COLLECTOR = "public.ecr.aws/aws-observability/aws-otel-collector:v0.40.0"
"""AWS's build of the OpenTelemetry collector."""

METRICS_LOG = "/waitline/metrics"
"""Log group of the metrics' lines."""

NAMESPACE = "Waitline"
"""Of our metrics in CloudWatch."""

METRICS = {
    "queue": (
        "queue_wait_size",
        "queue_active_size",
        "queue_throughput_users_per_second",
        "queue_admission_stuck_seconds",
        "scheduler_admitters",
        "store_faults",
        "event_loop_lag_seconds",
    ),
    "booking": (
        "outbox_oldest_age_seconds",
        "payments_attention",
        "database_pool_waiting",
        "event_loop_lag_seconds",
    ),
    "admitter": ("event_loop_lag_seconds",),
}
"""Metrics that go to CloudWatch, by service. All are gauges of which the largest counts: each task
of the queue service reports every room."""

SCRAPE_S = 15
"""Interval of reading a task's metrics, in s."""

DRAIN_S = 15
"""Two health checks of the load balancer and a margin, in s."""

STOP_S = DRAIN_S + 15
"""Time from SIGTERM to SIGKILL: `docs/operations.md`, "Restarts", demands 11 s beyond the drain."""

DATA = "/data"
PORTS = {"queue": 8081, "booking": 8080}
MANAGEMENT_PORTS = {"queue": 9081, "booking": 9080, "admitter": 9082}

_IN_TASK = Path(__file__).parents[1] / "in_task"
START = (_IN_TASK / "start.py").read_text("utf-8")
PREPARE = (_IN_TASK / "prepare_database.py").read_text("utf-8")
OPEN_FOLDER = f"import os; os.chmod({DATA!r}, 0o1777)"

_LIVE = (
    "import urllib.request; "
    "urllib.request.urlopen('http://127.0.0.1:{port}/actuator/health/liveness', timeout=3)"
)


@dataclass(frozen=True)
class Program:
    """What a task runs.

    Attributes:
        service: `queue`, `booking`, `admitter` or `tools`.
        repository: Where its image is.
        version: Tag of the image.
        settings: Settings of Waitline beyond those that all tasks share.
        given: Secrets, and what belongs to them, that `in_task/start.py` turns into settings.
        plain: The same without secrets.
        prepared_by: Secrets of the database's owner and user, if the task prepares the tables.
    """

    service: str
    repository: ecr.IRepository
    version: str
    settings: dict[str, str]
    given: dict[str, ecs.Secret]
    plain: dict[str, str]
    prepared_by: tuple[ecs.Secret, ecs.Secret] | None = None


def shared_settings() -> dict[str, str]:
    """Return the settings that all tasks share."""
    return {
        "WAITLINE_DATA_DIR": DATA,
        "WAITLINE_HOST": "0.0.0.0",  # noqa: S104 - the security group lets the load balancer in only
        "WAITLINE_LOG_FORMAT": "json",
        "WAITLINE_DURABILITY": "replicated",
        "WAITLINE_DRAIN_S": str(DRAIN_S),
        # The load balancer leaves X-Forwarded-For as the CDN wrote it: last in it is the visitor.
        "WAITLINE_TRUSTED_PROXIES": NETWORK,
        "WAITLINE_FORWARDED_HEADER": "x-forwarded-for",
    }


def add_containers(
    task: ecs.FargateTaskDefinition, program: Program, log: logs.ILogGroup, region: str
) -> None:
    """Add a program's containers to a task; each starts once the one before has ended."""
    task.add_volume(name="data")
    image = ecs.ContainerImage.from_ecr_repository(program.repository, program.version)
    row = [_folder(task, image, log)]
    if program.prepared_by is not None:
        row.append(_prepare(task, image, log, *program.prepared_by))
    row.append(_main(task, image, log, program))
    for container in row:
        container.add_mount_points(
            ecs.MountPoint(source_volume="data", container_path=DATA, read_only=False)
        )
    for earlier, later in pairwise(row):
        later.add_container_dependencies(
            ecs.ContainerDependency(
                container=earlier, condition=ecs.ContainerDependencyCondition.SUCCESS
            )
        )
    if program.service in METRICS:
        task.add_container(
            "collector",
            image=ecs.ContainerImage.from_registry(COLLECTOR),
            essential=False,
            readonly_root_filesystem=True,
            environment={"AOT_CONFIG_CONTENT": collector_configuration(program.service, region)},
            memory_limit_mib=192,
            logging=_logging(log, "collector"),
        )


def _folder(
    task: ecs.FargateTaskDefinition, image: ecs.ContainerImage, log: logs.ILogGroup
) -> ecs.ContainerDefinition:
    """Add what lets the image's own user write to the data folder, which belongs to root."""
    return task.add_container(
        "folder",
        image=image,
        essential=False,
        readonly_root_filesystem=True,
        user="0",
        entry_point=["python", "-c", OPEN_FOLDER],
        command=[],
        logging=_logging(log, "folder"),
    )


def _prepare(
    task: ecs.FargateTaskDefinition,
    image: ecs.ContainerImage,
    log: logs.ILogGroup,
    owner: ecs.Secret,
    user: ecs.Secret,
) -> ecs.ContainerDefinition:
    """Add what makes the tables, and the rights of the role that uses them."""
    return task.add_container(
        "prepare",
        image=image,
        essential=False,
        readonly_root_filesystem=True,
        entry_point=["python", "-c", START],
        command=["python", "-c", PREPARE],
        environment={"WAITLINE_DATA_DIR": DATA},
        secrets={"DATABASE_SECRET": owner, "OWNER_SECRET": owner, "USER_SECRET": user},
        logging=_logging(log, "prepare"),
    )


def _main(
    task: ecs.FargateTaskDefinition,
    image: ecs.ContainerImage,
    log: logs.ILogGroup,
    program: Program,
) -> ecs.ContainerDefinition:
    service = program.service
    port = PORTS.get(service, MANAGEMENT_PORTS.get(service))
    return task.add_container(
        service,
        image=image,
        readonly_root_filesystem=True,
        entry_point=["python", "-c", START],
        # The tools get their command from the operator who starts the task.
        command=["waitline", service] if service in METRICS else ["waitline", "--help"],
        environment={**shared_settings(), **program.settings, **program.plain},
        secrets=program.given,
        stop_timeout=Duration.seconds(STOP_S),
        health_check=(
            ecs.HealthCheck(
                command=["CMD", "python", "-c", _LIVE.format(port=port)],
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                retries=3,
                start_period=Duration.seconds(60),
            )
            if port is not None
            else None
        ),
        port_mappings=(
            [ecs.PortMapping(container_port=PORTS[service])] if service in PORTS else []
        ),
        linux_parameters=ecs.LinuxParameters(task, "Init", init_process_enabled=True),
        ulimits=[ecs.Ulimit(name=ecs.UlimitName.NOFILE, soft_limit=65_536, hard_limit=65_536)],
        logging=_logging(log, service),
    )


def _logging(log: logs.ILogGroup, name: str) -> ecs.LogDriver:
    return ecs.LogDrivers.aws_logs(
        stream_prefix=name,
        log_group=log,
        # Visitors wait for no log: lines are dropped rather than that a service blocks.
        mode=ecs.AwsLogDriverMode.NON_BLOCKING,
    )


def collector_configuration(service: str, region: str) -> str:
    """Return the collector's configuration: it reads a page of metrics and writes EMF log lines.

    CloudWatch makes metrics of the lines, without the room's name: the largest of a service's
    tasks and rooms is what scaling and alarms need. JSON is YAML too.
    """
    kept = "|".join(METRICS[service])
    return json.dumps(
        {
            "receivers": {
                "prometheus": {
                    "config": {
                        "scrape_configs": [
                            {
                                "job_name": "waitline",
                                "metrics_path": "/actuator/prometheus",
                                "honor_labels": True,
                                "scrape_interval": f"{SCRAPE_S}s",
                                "static_configs": [
                                    {"targets": [f"127.0.0.1:{MANAGEMENT_PORTS[service]}"]}
                                ],
                                "metric_relabel_configs": [
                                    {
                                        "source_labels": ["__name__"],
                                        "regex": kept,
                                        "action": "keep",
                                    }
                                ],
                            }
                        ]
                    }
                }
            },
            "processors": {"batch": {"timeout": "5s"}},
            "exporters": {
                "awsemf": {
                    "region": region,
                    "namespace": NAMESPACE,
                    "log_group_name": METRICS_LOG,
                    "log_stream_name": "{TaskId}",
                    "dimension_rollup_option": "NoDimensionRollup",
                    "resource_to_telemetry_conversion": {"enabled": False},
                    "metric_declarations": [
                        {
                            "dimensions": [["service"]],
                            "metric_name_selectors": [f"^({kept})$"],
                        }
                    ],
                }
            },
            "service": {
                "pipelines": {
                    "metrics": {
                        "receivers": ["prometheus"],
                        "processors": ["batch"],
                        "exporters": ["awsemf"],
                    }
                },
                "telemetry": {"logs": {"level": "warn"}},
            },
        },
        separators=(",", ":"),
    )
