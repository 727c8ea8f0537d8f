"""Fargate: the cluster, the load balancer, the three services and their scaling.

The load balancer is in private subnets: visitors reach it through the CDN only.
"""

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53 as route53
from constructs import Construct

from waitline_aws.containers import (
    METRICS_LOG,
    NAMESPACE,
    PORTS,
    add_containers,
)
from waitline_aws.foundation import NETWORK, Foundation, log_bucket
from waitline_aws.lanes import HEADER, LANES, PERIOD, Lane, lane_alarms, rolling_back
from waitline_aws.programs import Programs
from waitline_aws.sizes import Tasks
from waitline_aws.stores import Stores

if TYPE_CHECKING:
    from waitline_aws.installation import Given

CPU_PERCENT = 55
"""CPU that scaling keeps: above 60 % response times grow (`docs/operations.md`, "Sizing")."""

LINE_STEPS = ((0, 10_000, 0), (10_000, 50_000, 50), (50_000, 200_000, 100), (200_000, None, 200))
"""Visitors in the longest line, from and below, and by how many percent a lane grows. Lines grow
faster than CPU is measured, and who waits now buys next."""

STUCK_MAX_S = 60
"""How long a room may admit nobody while visitors wait and slots are free, in s."""

OPERATORS_PATHS = ("/actuator*", "/api/v1/operator*", "/api/admin*")
"""Paths that nobody reaches from outside."""

LOGS_KEPT = logs.RetentionDays.THREE_MONTHS


class Services(Stack):
    """Cluster, load balancer and services.

    Attributes:
        balancer: The load balancer.
        stuck: Alarm: nobody is admitted.
        unreachable: Alarm: the load balancer answers for services that do not.
        lane_alarms: Alarms of the lanes.
        scaled: The ECS services by name.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        what: "Given",
        foundation: Foundation,
        stores: Stores,
        *,
        env: Environment,
    ) -> None:
        super().__init__(scope, name, env=env)
        self._what, self._foundation, self._stores = what, foundation, stores
        self._key = foundation.key_for(self)
        # What comes in is a rule of each service's own group.
        self._clients = ec2.SecurityGroup.from_security_group_id(
            self, "Clients", stores.clients.security_group_id, mutable=False
        )
        self.lane_alarms: list[cloudwatch.Alarm] = []
        self.scaled: dict[str, ecs.FargateService] = {}
        self._programs = Programs(self, what, foundation, stores)
        self._cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=foundation.vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        )
        self._metrics_log = self._log("MetricsLog", METRICS_LOG)
        self.balancer = self._balancer()
        self._listener = self._front_door()
        self.stuck = self._stuck_alarm()
        self.unreachable = self._unreachable_alarm()
        before: list[ecs.FargateService] = []
        for lane in LANES:
            before = [self._lane_service(service, lane, before) for service in PORTS]
        self._admitter(before)
        # Operators start it with a command of theirs: `docs/aws.md`.
        self._task("tools", "tools", Tasks(512, 1_024, 1, least=0, most=0))
        CfnOutput(self, "ClusterName", value=self._cluster.cluster_name)

    def _log(self, name: str, path: str | None = None) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            name,
            log_group_name=path,
            encryption_key=self._key,
            retention=LOGS_KEPT,
            removal_policy=RemovalPolicy.RETAIN,
        )

    def _balancer(self) -> elb.ApplicationLoadBalancer:
        group = ec2.SecurityGroup(
            self,
            "BalancerGroup",
            vpc=self._foundation.vpc,
            description="Load balancer",
            allow_all_outbound=False,
        )
        for peer, meaning in (
            (ec2.Peer.prefix_list(self._what.prefix_list), "The CDN's servers"),
            (ec2.Peer.ipv4(NETWORK), "The CDN's network interfaces in these subnets"),
        ):
            group.add_ingress_rule(peer, ec2.Port.tcp(443), meaning)
        balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=self._foundation.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            internet_facing=False,
            security_group=group,
            deletion_protection=True,
            drop_invalid_header_fields=True,
            desync_mitigation_mode=elb.DesyncMitigationMode.STRICTEST,
            # Below WAITLINE_KEEP_ALIVE_S, and above the 15 s of an event stream's comments.
            idle_timeout=Duration.seconds(60),
            xff_header_processing_mode=elb.XffHeaderProcessingMode.PRESERVE,
        )
        balancer.log_access_logs(log_bucket(self, "BalancerLog"))
        return balancer

    def _front_door(self) -> elb.ApplicationListener:
        zone = route53.HostedZone.from_hosted_zone_attributes(
            self, "Zone", hosted_zone_id=self._what.zone_id, zone_name=self._what.zone
        )
        certificate = certificates.Certificate(
            self,
            "Certificate",
            domain_name=self._what.queue_host,
            subject_alternative_names=[self._what.shop_host],
            validation=certificates.CertificateValidation.from_dns(zone),
        )
        listener = self.balancer.add_listener(
            "Listener",
            port=443,
            open=False,
            certificates=[certificate],
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
            default_action=elb.ListenerAction.fixed_response(404),
        )
        listener.add_action(
            "Operators",
            priority=1,
            conditions=[elb.ListenerCondition.path_patterns([*OPERATORS_PATHS])],
            action=elb.ListenerAction.fixed_response(404),
        )
        return listener

    def _group(self, service: str, lane: Lane, colour: str) -> elb.ApplicationTargetGroup:
        return elb.ApplicationTargetGroup(
            self,
            f"{service}-{lane.name}-{colour}",
            vpc=self._foundation.vpc,
            port=PORTS[service],
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            deregistration_delay=Duration.seconds(30),
            load_balancing_algorithm_type=(
                elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS
            ),
            health_check=elb.HealthCheck(
                path="/actuator/health/readiness",
                healthy_http_codes="200",
                interval=Duration.seconds(6),
                timeout=Duration.seconds(3),
                healthy_threshold_count=2,
                unhealthy_threshold_count=2,
            ),
        )

    def _lane_service(
        self, service: str, lane: Lane, before: list[ecs.FargateService]
    ) -> ecs.FargateService:
        """Add a service of a lane, which is upgraded once the lane before has been."""
        blue, green = (self._group(service, lane, colour) for colour in ("blue", "green"))
        host = self._what.queue_host if service == "queue" else self._what.shop_host
        rule = elb.ApplicationListenerRule(
            self,
            f"{service}-{lane.name}-rule",
            listener=self._listener,
            priority=10 * (LANES.index(lane) + 1) + (service == "booking"),
            conditions=[
                elb.ListenerCondition.host_headers([host]),
                elb.ListenerCondition.http_header(HEADER, [lane.name]),
            ],
            action=elb.ListenerAction.weighted_forward(
                [
                    elb.WeightedTargetGroup(target_group=blue, weight=100),
                    elb.WeightedTargetGroup(target_group=green, weight=0),
                ]
            ),
        )
        alarms = lane_alarms(self, service, lane, (blue, green))
        self.lane_alarms += alarms
        tasks: Tasks = getattr(self._what.size, service)
        made = self._service(
            f"{service}-{lane.name}",
            service,
            desired_count=lane.part(tasks.least),
            deployment_strategy=ecs.DeploymentStrategy.BLUE_GREEN,
            bake_time=lane.bake,
            health_check_grace_period=Duration.seconds(60),
            alarms=[*alarms, self.unreachable],
        )
        target = made.load_balancer_target(
            container_name=service,
            container_port=PORTS[service],
            alternate_target=ecs.AlternateTarget(
                "Green",
                alternate_target_group=green,
                production_listener=ecs.ListenerRuleConfiguration.application_listener_rule(rule),
            ),
        )
        target.attach_to_application_target_group(blue)
        made.node.add_dependency(*before)
        self._scale(made, lane.part(tasks.least), lane.part(tasks.most), on_line=True)
        return made

    def _admitter(self, before: list[ecs.FargateService]) -> None:
        tasks = self._what.size.admitter
        made = self._service(
            "admitter",
            "admitter",
            desired_count=tasks.least,
            deployment_strategy=ecs.DeploymentStrategy.ROLLING,
            min_healthy_percent=100,
            max_healthy_percent=200,
            alarms=[self.stuck],
        )
        made.node.add_dependency(*before)
        self._scale(made, tasks.least, tasks.most, on_line=False)

    def _service(
        self,
        name: str,
        service: str,
        *,
        alarms: list[cloudwatch.Alarm],
        **more: Any,
    ) -> ecs.FargateService:
        """Add a service with its task, without a load balancer."""
        task = self._task(name, service, getattr(self._what.size, service))
        task.add_to_task_role_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                resources=[f"{self._metrics_log.log_group_arn}"],
            )
        )
        made = ecs.FargateService(
            self,
            name,
            service_name=f"waitline-{name}",
            cluster=self._cluster,
            task_definition=task,
            assign_public_ip=False,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            security_groups=[self._clients, self._own_group(name)],
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            deployment_alarms=ecs.DeploymentAlarmConfig(
                alarm_names=[alarm.alarm_name for alarm in alarms],
                behavior=ecs.AlarmBehavior.ROLLBACK_ON_ALARM,
            ),
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            **more,
        )
        self.scaled[name] = made
        return made

    def _task(self, name: str, service: str, tasks: Tasks) -> ecs.FargateTaskDefinition:
        task = ecs.FargateTaskDefinition(
            self,
            f"{name}-task",
            family=f"waitline-{name}",
            cpu=tasks.cpu,
            memory_limit_mib=tasks.memory_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.X86_64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
        )
        log = self._log(f"{name}-log")
        add_containers(task, self._programs.of(service, tasks), log, self.region)
        return task

    def _own_group(self, name: str) -> ec2.SecurityGroup:
        """Return a group for what comes in; that of the stores' clients is for what goes out."""
        return ec2.SecurityGroup(
            self,
            f"{name}-group",
            vpc=self._foundation.vpc,
            description=f"Tasks of {name}",
            allow_all_outbound=False,
        )

    def _scale(self, service: ecs.FargateService, least: int, most: int, *, on_line: bool) -> None:
        target = service.auto_scale_task_count(min_capacity=least, max_capacity=most)
        target.scale_on_cpu_utilization(
            "Cpu",
            target_utilization_percent=CPU_PERCENT,
            scale_out_cooldown=Duration.seconds(30),
            scale_in_cooldown=Duration.minutes(5),
        )
        if on_line:
            target.scale_on_metric(
                "Line",
                metric=our_metric("queue_wait_size"),
                scaling_steps=[
                    scaling.ScalingInterval(lower=lower, upper=upper, change=change)
                    for lower, upper, change in LINE_STEPS
                ],
                adjustment_type=scaling.AdjustmentType.PERCENT_CHANGE_IN_CAPACITY,
                min_adjustment_magnitude=1,
                cooldown=Duration.minutes(2),
                metric_aggregation_type=scaling.MetricAggregationType.MAXIMUM,
            )

    def _stuck_alarm(self) -> cloudwatch.Alarm:
        return rolling_back(
            self,
            "waitline-admission-stuck",
            our_metric("queue_admission_stuck_seconds"),
            STUCK_MAX_S,
            "visitors wait, slots are free, and nobody is admitted",
        )

    def _unreachable_alarm(self) -> cloudwatch.Alarm:
        metrics = self.balancer.metrics
        share = cloudwatch.MathExpression(
            expression="IF(FILL(r,0) > 0, 100*FILL(e,0)/r, IF(FILL(e,0) > 0, 100, 0))",
            using_metrics={
                "e": metrics.http_code_elb(
                    elb.HttpCodeElb.ELB_5XX_COUNT, statistic="Sum", period=PERIOD
                ),
                "r": metrics.request_count(statistic="Sum", period=PERIOD),
            },
            period=PERIOD,
            label="not answered, percent",
        )
        return rolling_back(
            self, "waitline-unreachable", share, 1, "tasks do not answer more than 1 % of requests"
        )


def our_metric(name: str, service: str = "queue", period: Duration = PERIOD) -> cloudwatch.Metric:
    """Return a metric of ours: the largest of all tasks and rooms."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"service": service},
        statistic="Maximum",
        period=period,
    )
