"""What matters in the templates: what would hurt visitors or money if it were otherwise."""

import json
import re
from typing import Any

import pytest
from waitline_aws.lanes import HEADER, LANES, reached
from waitline_aws.stores import REPLICAS, SHARDS

from tests.conftest import Installation

SERVICES = {f"waitline-{kind}-{lane.name}" for kind in ("queue", "booking") for lane in LANES} | {
    "waitline-admitter"
}


def services(installation: Installation) -> dict[str, Any]:
    """Return the ECS services by name."""
    return {one["ServiceName"]: one for one in installation.resources("AWS::ECS::Service").values()}


def test_the_network_has_three_zones_and_the_stores_no_way_out(installation: Installation) -> None:
    subnets = installation.resources("AWS::EC2::Subnet")
    zones = [json.dumps(one["AvailabilityZone"]) for one in subnets.values()]
    assert (len(zones), len(set(zones))) == (9, 3)
    assert not any(one["MapPublicIpOnLaunch"] for one in subnets.values())
    isolated = {name for name in subnets if "stores" in name}
    ways = installation.resources("AWS::EC2::SubnetRouteTableAssociation").values()
    tables = {one["RouteTableId"]["Ref"] for one in ways if one["SubnetId"]["Ref"] in isolated}
    routes = installation.resources("AWS::EC2::Route").values()
    assert len(tables) == 3
    assert tables.isdisjoint(one["RouteTableId"]["Ref"] for one in routes)
    assert len(installation.resources("AWS::EC2::NatGateway")) == 3


def test_the_database(installation: Installation) -> None:
    database = installation.only("AWS::RDS::DBInstance")
    assert database["MultiAZ"] is True
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    assert database["DeletionProtection"] is True
    assert database["BackupRetentionPeriod"] == 35
    assert database["EnablePerformanceInsights"] is True
    parameters = installation.only("AWS::RDS::DBParameterGroup")["Parameters"]
    assert parameters["rds.force_ssl"] == "1"


def test_the_database_has_connections_for_every_worker(installation: Installation) -> None:
    size = installation.size
    most = sum(
        one["MaxCapacity"]
        for one in installation.resources("AWS::ApplicationAutoScaling::ScalableTarget").values()
        if "booking" in json.dumps(one["ResourceId"])
    )
    # A lane has both versions during an upgrade; the largest has half of the tasks.
    assert 1.5 * most * size.booking.workers * 12 <= size.database_connections


def test_valkey(installation: Installation) -> None:
    valkey = installation.only("AWS::ElastiCache::ReplicationGroup")
    assert (valkey["Engine"], valkey["ClusterMode"]) == ("valkey", "enabled")
    assert (valkey["NumNodeGroups"], valkey["ReplicasPerNodeGroup"]) == (SHARDS, REPLICAS) == (3, 1)
    assert valkey["AutomaticFailoverEnabled"] is valkey["MultiAZEnabled"] is True
    assert valkey["AtRestEncryptionEnabled"] is valkey["TransitEncryptionEnabled"] is True
    assert valkey["TransitEncryptionMode"] == "required"
    assert valkey["SnapshotRetentionLimit"] == 35
    parameters = installation.only("AWS::ElastiCache::ParameterGroup")["Properties"]
    assert parameters == {"cluster-enabled": "yes", "maxmemory-policy": "noeviction"}
    user = installation.only("AWS::ElastiCache::User")
    assert "{{resolve:secretsmanager:" in json.dumps(user["AuthenticationMode"]["Passwords"])
    assert user["AccessString"].startswith("on ~wl:* ")
    assert valkey["UserGroupIds"] == [{"Ref": _id(installation, "AWS::ElastiCache::UserGroup")}]


def _id(installation: Installation, kind: str) -> str:
    (name,) = installation.resources(kind)
    return name


def test_only_tasks_reach_the_stores(installation: Installation) -> None:
    (clients,) = (
        name
        for name, one in installation.resources("AWS::EC2::SecurityGroup").items()
        if one["GroupDescription"] == "Tasks that use the stores"
    )
    opened = {}
    for one in installation.resources("AWS::EC2::SecurityGroupIngress").values():
        target = json.dumps(one["GroupId"])
        if "ValkeyGroup" in target or "DatabaseGroup" in target:
            assert clients in json.dumps(one["SourceSecurityGroupId"])
            opened[target] = one["ToPort"]
    assert sorted(opened.values()) == [5432, 6379]
    for name, one in installation.resources("AWS::EC2::SecurityGroup").items():
        if "ValkeyGroup" in name or "DatabaseGroup" in name:
            assert "SecurityGroupIngress" not in one


def test_nothing_is_open_to_everybody(installation: Installation) -> None:
    for group in installation.resources("AWS::EC2::SecurityGroup").values():
        for rule in group.get("SecurityGroupIngress", []):
            assert rule.get("CidrIp") in {None, "10.20.0.0/16"}, group
            assert "CidrIpv6" not in rule
    for one in installation.resources("AWS::EC2::SecurityGroupIngress").values():
        assert "CidrIp" not in one
    (balancer,) = installation.resources("AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    assert balancer["Scheme"] == "internal"
    for service in services(installation).values():
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "DISABLED"


def test_the_visitors_address_is_the_one_that_the_cdn_saw(installation: Installation) -> None:
    (balancer,) = installation.resources("AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    attributes = {one["Key"]: one["Value"] for one in balancer["LoadBalancerAttributes"]}
    assert attributes["routing.http.xff_header_processing.mode"] == "preserve"
    assert attributes["routing.http.desync_mitigation_mode"] == "strictest"
    assert int(attributes["idle_timeout.timeout_seconds"]) < 75, "WAITLINE_KEEP_ALIVE_S"
    network = installation.only("AWS::EC2::VPC")["CidrBlock"]
    for name, one in environments(installation):
        if name in {"queue", "booking"}:
            assert one["WAITLINE_TRUSTED_PROXIES"] == network
            assert one["WAITLINE_FORWARDED_HEADER"] == "x-forwarded-for"


def environments(installation: Installation) -> list[tuple[str, dict[str, str]]]:
    """Return the plain environment of each container."""
    return [
        (
            container["Name"],
            {one["Name"]: one["Value"] for one in container.get("Environment", [])},
        )
        for task in installation.resources("AWS::ECS::TaskDefinition").values()
        for container in task["ContainerDefinitions"]
    ]


def test_operators_paths_are_closed(installation: Installation) -> None:
    rules = installation.resources("AWS::ElasticLoadBalancingV2::ListenerRule").values()
    first = min(rules, key=lambda one: int(one["Priority"]))
    (condition,) = first["Conditions"]
    assert set(condition["PathPatternConfig"]["Values"]) == {
        "/actuator*",
        "/api/v1/operator*",
        "/api/admin*",
    }
    assert first["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "404"


def test_a_version_reaches_10_then_50_then_100_percent(installation: Installation) -> None:
    assert [reached(lane) for lane in LANES] == [10, 50, 100]
    template = installation.templates["services"]["Resources"]
    order = {
        resource["Properties"]["ServiceName"]: {
            template[name]["Properties"]["ServiceName"]
            for name in resource.get("DependsOn", [])
            if template[name]["Type"] == "AWS::ECS::Service"
        }
        for resource in template.values()
        if resource["Type"] == "AWS::ECS::Service"
    }
    before: set[str] = set()
    for lane in LANES:
        both = {f"waitline-{service}-{lane.name}" for service in ("queue", "booking")}
        for name in both:
            assert order[name] == before, name
        before = both
    assert order["waitline-admitter"] == before


def test_a_lane_moves_at_once_and_its_alarms_move_it_back(installation: Installation) -> None:
    alarms = installation.resources("AWS::CloudWatch::Alarm")
    found = services(installation)
    assert set(found) == SERVICES
    for name, service in found.items():
        how = service["DeploymentConfiguration"]
        assert how["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert how["Alarms"]["Enable"] is how["Alarms"]["Rollback"] is True
        rung = {alarms[one["Ref"]]["AlarmName"] for one in how["Alarms"]["AlarmNames"]}
        if name == "waitline-admitter":
            assert rung == {"waitline-admission-stuck"}
            continue
        assert how["Strategy"] == "BLUE_GREEN"
        assert how["BakeTimeInMinutes"] == 10
        assert rung == {f"{name}-errors", f"{name}-slow", "waitline-unreachable"}


def test_a_lanes_rule_sends_it_to_its_own_two_target_groups(installation: Installation) -> None:
    rules = installation.resources("AWS::ElasticLoadBalancingV2::ListenerRule")
    seen = set()
    for name, service in services(installation).items():
        if name == "waitline-admitter":
            continue
        (balanced,) = service["LoadBalancers"]
        advanced = balanced["AdvancedConfiguration"]
        rule = rules[advanced["ProductionListenerRule"]["Ref"]]
        groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
        assert [one["Weight"] for one in groups] == [100, 0]
        pair = [one["TargetGroupArn"]["Ref"] for one in groups]
        assert pair == [
            balanced["TargetGroupArn"]["Ref"],
            advanced["AlternateTargetGroupArn"]["Ref"],
        ]
        conditions = {one["Field"]: one for one in rule["Conditions"]}
        lane = conditions["http-header"]["HttpHeaderConfig"]
        assert (lane["HttpHeaderName"], lane["Values"]) == (HEADER, [name.rpartition("-")[2]])
        seen.update(pair)
    assert len(seen) == 4 * len(LANES)


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("waitline-slow", 0.2),
        ("waitline-errors", 1),
        ("waitline-valkey-cpu", 75),
        ("waitline-line-long", 500_000),
        ("waitline-admission-stuck", 60),
    ],
)
def test_alarms_call_somebody(installation: Installation, name: str, threshold: float) -> None:
    alarms = installation.alarms()
    assert alarms[name]["Threshold"] == threshold
    topics = installation.resources("AWS::SNS::Topic")
    assert len(topics) == 1
    for alarm in alarms.values():
        assert "waitline-foundation:ExportsOutputRefAlarms" in json.dumps(alarm["AlarmActions"])
    assert installation.only("AWS::SNS::Subscription")["Endpoint"] == "oncall@example.com"


def test_every_valkey_node_is_watched(installation: Installation) -> None:
    alarm = installation.alarms()["waitline-valkey-cpu"]
    nodes = re.findall(r"-\d{4}-\d{3}", json.dumps(alarm["Metrics"]))
    assert len(set(nodes)) == SHARDS * (1 + REPLICAS) == 6


def test_scaling_follows_the_line_and_the_cpu(installation: Installation) -> None:
    policies = installation.resources("AWS::ApplicationAutoScaling::ScalingPolicy")
    kinds = [one["PolicyType"] for one in policies.values()]
    assert kinds.count("TargetTrackingScaling") == 7
    assert kinds.count("StepScaling") == 6
    line = [
        one
        for name in ("services",)
        for one in installation.templates[name]["Resources"].values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
        and one["Properties"].get("MetricName") == "queue_wait_size"
    ]
    assert len(line) == 6, "each lane's step scaling has its alarm"
    for one in line:
        assert one["Properties"]["Dimensions"] == [{"Name": "service", "Value": "queue"}]


def statements(installation: Installation) -> list[tuple[str, dict[str, Any]]]:
    """Return the statements of all policies of roles."""
    found = []
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for name, policy in installation.resources(kind).items():
            found += [(name, one) for one in policy["PolicyDocument"]["Statement"]]
    for name, role in installation.resources("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            found += [(name, one) for one in policy["PolicyDocument"]["Statement"]]
    return found


def test_no_role_may_do_everything(installation: Installation) -> None:
    seen = statements(installation)
    assert len(seen) > 10
    for name, one in seen:
        actions = [one["Action"]] if isinstance(one["Action"], str) else one["Action"]
        assert not [action for action in actions if "*" in action], name
        if one["Resource"] == "*":
            assert actions == ["ecr:GetAuthorizationToken"], name


def test_secrets_are_references(installation: Installation) -> None:
    for task in installation.resources("AWS::ECS::TaskDefinition").values():
        for container in task["ContainerDefinitions"]:
            assert container["ReadonlyRootFilesystem"] is True
            for one in container.get("Secrets", []):
                assert "secret" in json.dumps(one["ValueFrom"]).lower()
            plain = json.dumps(container.get("Environment", []))
            assert "{{resolve" not in plain
    for name, one in installation.resources("AWS::SecretsManager::Secret").items():
        assert "SecretString" not in one, name
        assert "KmsKeyId" in one, name


def test_every_made_secret_rotates(installation: Installation) -> None:
    schedules = installation.resources("AWS::SecretsManager::RotationSchedule")
    text = json.dumps(list(schedules.values()))
    secrets = installation.resources("AWS::SecretsManager::Secret")
    attached = installation.resources("AWS::SecretsManager::SecretTargetAttachment")
    assert len(secrets) == len(schedules) == 3
    for name in secrets:
        aliases = [
            name,
            *(alias for alias, one in attached.items() if one["SecretId"]["Ref"] == name),
        ]
        assert any(f'"Ref": "{alias}"' in text for alias in aliases), name


def test_what_is_kept_is_encrypted_with_our_key(installation: Installation) -> None:
    for kind, field in (
        ("AWS::Logs::LogGroup", "KmsKeyId"),
        ("AWS::RDS::DBInstance", "KmsKeyId"),
        ("AWS::ElastiCache::ReplicationGroup", "KmsKeyId"),
        ("AWS::SNS::Topic", "KmsMasterKeyId"),
        ("AWS::ECR::Repository", "EncryptionConfiguration"),
        ("AWS::S3::Bucket", "BucketEncryption"),
    ):
        found = installation.resources(kind)
        assert found, kind
        for name, one in found.items():
            assert field in one, name
    assert installation.only("AWS::KMS::Key")["EnableKeyRotation"] is True


def test_data_outlives_its_stack(installation: Installation) -> None:
    kept = {
        "AWS::RDS::DBInstance": "Snapshot",
        "AWS::ElastiCache::ReplicationGroup": "Snapshot",
        "AWS::SecretsManager::Secret": "Retain",
        "AWS::KMS::Key": "Retain",
        "AWS::ECR::Repository": "Retain",
    }
    for template in installation.templates.values():
        for name, one in template["Resources"].items():
            if one["Type"] in kept:
                assert one["DeletionPolicy"] == kept[one["Type"]], name
