"""Findings of scanners that are accepted, each with where and why."""

import re
from dataclasses import dataclass

from aws_cdk import Acknowledgment, App, CfnResource, Validations


@dataclass(frozen=True)
class Accepted:
    """A finding that is accepted.

    Attributes:
        finding: Its id: of cdk-nag (`AwsSolutions-…`) or of checkov (`CKV_…`).
        where: Regular expression of the resources' paths in the app.
        reason: Why.
    """

    finding: str
    where: str
    reason: str


_RELAY = r"^CustomCrossRegionExport(Reader|Writer)CustomResourceProviderHandler"
_ROTATION = r"^waitline-stores/Rotation/Resource$"
_LOG_BUCKETS = r"/(BalancerLog|CdnLog)/Resource$"

ACCEPTED = (
    Accepted(
        "AwsSolutions-SMG4",
        r"^waitline-stores/ValkeySecret/Resource$",
        "It rotates: its schedule is a CfnRotationSchedule, since the function needs no network.",
    ),
    Accepted(
        "AwsSolutions-AEC6",
        r"^waitline-stores/Valkey$",
        "A user group with a password takes the place of AUTH, with rights for each user.",
    ),
    Accepted(
        "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
        "AmazonRDSEnhancedMonitoringRole]",
        r"^waitline-stores/Database/MonitoringRole/Resource$",
        "The policy that RDS documents for enhanced monitoring: writes its own log group.",
    ),
    Accepted(
        "AwsSolutions-RDS11",
        r"^waitline-stores/Database/Resource$",
        "Another port hides nothing: only the tasks' security group reaches it.",
    ),
    Accepted(
        "AwsSolutions-S1",
        _LOG_BUCKETS,
        "Holds access logs itself; its own would be logged without end.",
    ),
    Accepted(
        "AwsSolutions-ECS2",
        r"^waitline-services/[a-z-]+-task/Resource$",
        "Settings without secrets. Secrets come from Secrets Manager by their ARN.",
    ),
    Accepted(
        "AwsSolutions-IAM5[Resource::*]",
        r"^waitline-services/[a-z-]+-task/ExecutionRole/DefaultPolicy/Resource$",
        "ecr:GetAuthorizationToken knows no resource; all other actions have theirs.",
    ),
    Accepted(
        "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/"
        "AmazonECSInfrastructureRolePolicyForLoadBalancers]",
        r"^waitline-services/[a-z-]+/GreenRole/Resource$",
        "The policy that ECS documents for moving traffic between target groups.",
    ),
    Accepted(
        "AwsSolutions-CFR1",
        r"^waitline-front/Cdn/Resource$",
        "Who may buy is the seller's decision, and not the same for every sale.",
    ),
    Accepted(
        "CKV_AWS_115",
        _RELAY,
        "CDK's own function: called by CloudFormation during a deployment, one call at a time.",
    ),
    Accepted("CKV_AWS_116", _RELAY, "CDK's own function: CloudFormation sees its failure itself."),
    Accepted("CKV_AWS_117", _RELAY, "CDK's own function: calls the API of SSM only."),
    Accepted(
        "CKV_AWS_115",
        _ROTATION,
        "Secrets Manager makes one call at a time; a limit would take from the account's.",
    ),
    Accepted(
        "CKV_AWS_116",
        _ROTATION,
        "Secrets Manager repeats a failed step, and reports it (RotationFailed, to the alarms).",
    ),
    Accepted(
        "CKV_AWS_117",
        _ROTATION,
        "Calls the APIs of Secrets Manager and ElastiCache only, not Valkey.",
    ),
    Accepted(
        "CKV_AWS_161",
        r"^waitline-stores/Database/Resource$",
        "Waitline signs in with a password, which rotates; tokens of IAM last 15 minutes, less "
        "than its pool's connections.",
    ),
    Accepted(
        "CKV_AWS_18",
        _LOG_BUCKETS,
        "Holds access logs itself; its own would be logged without end.",
    ),
)


def accept(app: App) -> None:
    """Write into the resources which findings are accepted."""
    skips: dict[CfnResource, list[dict[str, str]]] = {}
    for node in app.node.find_all():
        if not isinstance(node, CfnResource):
            continue
        for one in ACCEPTED:
            if not re.search(one.where, node.node.path):
                continue
            if one.finding.startswith("CKV"):
                skip = {"id": one.finding, "comment": one.reason}
                skips.setdefault(node, []).append(skip)
            else:
                Validations.of(node).acknowledge(
                    Acknowledgment(id=f"AwsSolutions::{one.finding}", reason=one.reason)
                )
    for node, skip in skips.items():
        node.add_metadata("checkov", {"skip": skip})
