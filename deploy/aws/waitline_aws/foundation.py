"""Foundation: the network over three zones, the encryption key, and the image repositories."""

from aws_cdk import CfnOutput, Duration, Environment, Fn, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

NETWORK = "10.20.0.0/16"
"""Addresses of the network. The services trust proxies in it, and nothing outside."""

ZONES = 3

IMAGES = ("queue", "booking", "admitter", "tools")
"""The images, as the Dockerfile names its targets."""

IMAGES_KEPT = 30
"""Images that a repository keeps: to go back by some releases."""


class Foundation(Stack):
    """Network, key and repositories.

    Attributes:
        vpc: The network: public subnets hold gateways only, private ones everything else, and
            isolated ones the stores.
        key: Encrypts logs, stores, secrets and images.
        repositories: By image.
        topic: Gets the alarms, and sends them to an address.
    """

    def __init__(self, scope: Construct, name: str, alarm_email: str, *, env: Environment) -> None:
        super().__init__(scope, name, env=env)
        self.key = kms.Key(
            self,
            "Key",
            alias="waitline",
            description="Encrypts everything that Waitline keeps",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
        self._let_services_use_the_key()
        self.vpc = ec2.Vpc(
            self,
            "Network",
            ip_addresses=ec2.IpAddresses.cidr(NETWORK),
            # By their order, so that a synthesis needs no account.
            availability_zones=[Fn.select(at, Fn.get_azs()) for at in range(ZONES)],
            nat_gateways=ZONES,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="gateways",
                    subnet_type=ec2.SubnetType.PUBLIC,
                    cidr_mask=26,
                    map_public_ip_on_launch=False,
                ),
                ec2.SubnetConfiguration(
                    name="services",
                    subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS,
                    cidr_mask=20,
                ),
                ec2.SubnetConfiguration(
                    name="stores", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
                ),
            ],
        )
        self.vpc.add_gateway_endpoint("Objects", service=ec2.GatewayVpcEndpointAwsService.S3)
        self.vpc.add_flow_log(
            "Rejected",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(
                logs.LogGroup(
                    self,
                    "FlowLog",
                    encryption_key=self.key,
                    retention=logs.RetentionDays.ONE_YEAR,
                    removal_policy=RemovalPolicy.DESTROY,
                )
            ),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        private = self.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        CfnOutput(self, "PrivateSubnets", value=Fn.join(",", private.subnet_ids))
        self.topic = sns.Topic(self, "Alarms", master_key=self.key, enforce_ssl=True)
        self.topic.add_subscription(subscriptions.EmailSubscription(alarm_email))
        self.repositories = {image: self._repository(image) for image in IMAGES}

    def key_for(self, stack: Stack) -> kms.IKey:
        """Return the key for use in another stack: rights go to roles there, not to the key."""
        return kms.Key.from_key_arn(stack, "SharedKey", self.key.key_arn)

    def _let_services_use_the_key(self) -> None:
        """Let CloudWatch Logs use the key, and what publishes to the topic."""
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
                principals=[iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")],
                resources=["*"],
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": self.format_arn(
                            service="logs", resource="log-group", resource_name="*"
                        ).replace("log-group/", "log-group:")
                    }
                },
            )
        )
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                principals=[
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                    iam.ServicePrincipal("events.amazonaws.com"),
                ],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )

    def _repository(self, image: str) -> ecr.Repository:
        return ecr.Repository(
            self,
            f"Image{image.capitalize()}",
            repository_name=f"waitline/{image}",
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=ecr.RepositoryEncryption.KMS,
            encryption_key=self.key,
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=[
                ecr.LifecycleRule(
                    tag_status=ecr.TagStatus.UNTAGGED,
                    max_image_age=Duration.days(7),
                    rule_priority=1,
                ),
                ecr.LifecycleRule(max_image_count=IMAGES_KEPT, rule_priority=2),
            ],
        )


def log_bucket(
    stack: Stack, name: str, object_ownership: s3.ObjectOwnership | None = None
) -> s3.Bucket:
    """Return a bucket for the access logs of what stands before the services, which keeps 90 days.

    AWS writes them with no key but S3's own.
    """
    return s3.Bucket(
        stack,
        name,
        encryption=s3.BucketEncryption.S3_MANAGED,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=object_ownership,
        enforce_ssl=True,
        versioned=True,
        lifecycle_rules=[
            s3.LifecycleRule(
                expiration=Duration.days(90),
                noncurrent_version_expiration=Duration.days(1),
                abort_incomplete_multipart_upload_after=Duration.days(1),
            )
        ],
        removal_policy=RemovalPolicy.RETAIN,
    )
