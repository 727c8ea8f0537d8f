"""Stores: Valkey for the line, PostgreSQL for the box office, their secrets and back-ups.

Both are in subnets without a route to the Internet, encrypted at rest and in transit. Passwords are
made by Secrets Manager and rotated; no template has one.
"""

import json
from pathlib import Path

from aws_cdk import ArnFormat, CfnOutput, Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as functions
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct

from waitline_aws.foundation import Foundation
from waitline_aws.sizes import Size

VALKEY_PORT, POSTGRES_PORT = 6379, 5432

SHARDS, REPLICAS = 3, 1
"""Primaries, and replicas of each: three rooms' worth of primaries, one per zone."""

DATABASE = "waitline"
VALKEY_USER = "waitline"
ROTATION = Duration.days(30)
"""A task that was started after the last rotation has the current passwords, and those of the time
before are valid until the next. So each service must be deployed once in this time."""

BACKUP_DAYS = 35
"""The most that RDS keeps for a point-in-time recovery."""

PASSWORD_CHARS = 48
"""Of an alphabet of 62: 285 bits."""

PUNCTUATION = "".join(one for one in map(chr, range(33, 127)) if not one.isalnum())
"""Not in passwords, so that they need no encoding in an address."""

_HERE = Path(__file__).parents[1]


class Stores(Stack):
    """Valkey and PostgreSQL.

    Attributes:
        valkey: The cluster.
        valkey_secret: JSON with the name and the password of the services' user.
        database: The database.
        owner_secret: JSON of the role that owns the tables: `migrate` uses it.
        user_secret: JSON of the role that the booking service uses.
        clients: Security group of the tasks that may reach the stores.
    """

    def __init__(
        self, scope: Construct, name: str, foundation: Foundation, size: Size, *, env: Environment
    ) -> None:
        super().__init__(scope, name, env=env)
        self._foundation = foundation
        self._key = foundation.key_for(self)
        vpc = foundation.vpc
        self._subnets = vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        self.clients = self._group("Clients", "Tasks that use the stores", outbound=True)
        CfnOutput(self, "ClientsGroup", value=self.clients.security_group_id)
        self.valkey_secret = self._secret("ValkeySecret", {"username": VALKEY_USER})
        self.valkey = self._valkey(size)
        self._rotate_valkey()
        self.owner_secret = self._secret("OwnerSecret", {"username": "waitline_owner"})
        self.database = self._postgres(size)
        self.user_secret = self._user_secret()
        self._rotate_database()

    def _secret(self, name: str, fields: dict[str, str]) -> secrets.Secret:
        return secrets.Secret(
            self,
            name,
            encryption_key=self._key,
            removal_policy=RemovalPolicy.RETAIN,
            generate_secret_string=secrets.SecretStringGenerator(
                secret_string_template=json.dumps(fields),
                generate_string_key="password",
                password_length=PASSWORD_CHARS,
                exclude_punctuation=True,
            ),
        )

    def _group(self, name: str, meaning: str, *, outbound: bool) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self,
            name,
            vpc=self._foundation.vpc,
            description=meaning,
            allow_all_outbound=outbound,
        )

    def _valkey(self, size: Size) -> elasticache.CfnReplicationGroup:
        group = self._group("ValkeyGroup", "Valkey", outbound=False)
        group.add_ingress_rule(self.clients, ec2.Port.tcp(VALKEY_PORT), "Tasks")
        subnets = elasticache.CfnSubnetGroup(
            self, "ValkeySubnets", description="Valkey", subnet_ids=self._subnets.subnet_ids
        )
        parameters = elasticache.CfnParameterGroup(
            self,
            "ValkeyParameters",
            cache_parameter_group_family="valkey8",
            description="Valkey of Waitline: never drops a place",
            properties={"cluster-enabled": "yes", "maxmemory-policy": "noeviction"},
        )
        user = elasticache.CfnUser(
            self,
            "ValkeyUser",
            engine="valkey",
            user_id=VALKEY_USER,
            user_name=VALKEY_USER,
            access_string=(_HERE / "valkey_rights.txt").read_text("utf-8").strip(),
            authentication_mode={
                "Type": "password",
                "Passwords": [
                    self.valkey_secret.secret_value_from_json("password").unsafe_unwrap()
                ],
            },
        )
        users = elasticache.CfnUserGroup(
            self, "ValkeyUsers", engine="valkey", user_group_id=VALKEY_USER, user_ids=[user.ref]
        )
        valkey = elasticache.CfnReplicationGroup(
            self,
            "Valkey",
            replication_group_description="The line",
            engine="valkey",
            engine_version="8.1",
            cache_node_type=size.valkey_node,
            cache_parameter_group_name=parameters.ref,
            cluster_mode="enabled",
            num_node_groups=SHARDS,
            replicas_per_node_group=REPLICAS,
            automatic_failover_enabled=True,
            multi_az_enabled=True,
            cache_subnet_group_name=subnets.ref,
            security_group_ids=[group.security_group_id],
            port=VALKEY_PORT,
            at_rest_encryption_enabled=True,
            kms_key_id=self._key.key_arn,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            user_group_ids=[users.ref],
            snapshot_retention_limit=BACKUP_DAYS,
            snapshot_window="18:00-19:00",
            preferred_maintenance_window="sun:19:30-sun:20:30",
            # A new version comes by a change of this file, outside of a sale.
            auto_minor_version_upgrade=False,
        )
        valkey.apply_removal_policy(RemovalPolicy.SNAPSHOT)
        return valkey

    def _rotate_valkey(self) -> None:
        log = logs.LogGroup(
            self,
            "RotationLog",
            encryption_key=self._key,
            retention=logs.RetentionDays.ONE_YEAR,
            removal_policy=RemovalPolicy.DESTROY,
        )
        role = iam.Role(
            self, "RotationRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
        )
        log.grant_write(role)
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["elasticache:ModifyUser", "elasticache:DescribeUsers"],
                resources=[
                    self.format_arn(
                        service="elasticache",
                        resource="user",
                        resource_name=VALKEY_USER,
                        arn_format=ArnFormat.COLON_RESOURCE_NAME,
                    )
                ],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "secretsmanager:DescribeSecret",
                    "secretsmanager:GetSecretValue",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:UpdateSecretVersionStage",
                ],
                resources=[self.valkey_secret.secret_arn],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"],
                resources=[self._key.key_arn],
            )
        )
        rotation = functions.Function(
            self,
            "Rotation",
            description="Gives the services' Valkey user a new password, beside the last",
            runtime=functions.Runtime.PYTHON_3_14,
            handler="valkey_user.handler",
            code=functions.Code.from_asset(str(_HERE / "rotation"), exclude=["__pycache__"]),
            environment={"VALKEY_USER": VALKEY_USER},
            environment_encryption=self._key,
            log_group=log,
            role=role,
            # It waits until the user is changed, which takes seconds.
            timeout=Duration.minutes(3),
        )
        rotation.add_permission(
            "SecretsManager",
            principal=iam.ServicePrincipal("secretsmanager.amazonaws.com"),
            source_account=self.account,
            source_arn=self.valkey_secret.secret_arn,
        )
        secrets.CfnRotationSchedule(
            self,
            "ValkeyRotation",
            secret_id=self.valkey_secret.secret_arn,
            rotation_lambda_arn=rotation.function_arn,
            rotation_rules={"AutomaticallyAfterDays": ROTATION.to_days()},
            rotate_immediately_on_update=False,
        )

    def _postgres(self, size: Size) -> rds.DatabaseInstance:
        version = rds.PostgresEngineVersion.VER_17_9
        engine = rds.DatabaseInstanceEngine.postgres(version=version)
        group = self._group("DatabaseGroup", "PostgreSQL", outbound=False)
        group.add_ingress_rule(self.clients, ec2.Port.tcp(POSTGRES_PORT), "Tasks")
        return rds.DatabaseInstance(
            self,
            "Database",
            engine=engine,
            database_name=DATABASE,
            credentials=rds.Credentials.from_secret(self.owner_secret),
            instance_type=ec2.InstanceType(size.database),
            # A standby in another zone, written before each commit is acknowledged.
            multi_az=True,
            vpc=self._foundation.vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=self._subnets.subnets),
            security_groups=[group],
            port=POSTGRES_PORT,
            publicly_accessible=False,
            storage_encrypted=True,
            storage_encryption_key=self._key,
            storage_type=rds.StorageType.GP3,
            allocated_storage=size.database_gib,
            max_allocated_storage=4 * size.database_gib,
            parameter_group=rds.ParameterGroup(
                self,
                "DatabaseParameters",
                engine=engine,
                parameters={"rds.force_ssl": "1", "log_min_duration_statement": "1000"},
            ),
            backup_retention=Duration.days(BACKUP_DAYS),
            preferred_backup_window="18:00-19:00",
            preferred_maintenance_window="Sun:19:30-Sun:20:30",
            copy_tags_to_snapshot=True,
            deletion_protection=True,
            removal_policy=RemovalPolicy.SNAPSHOT,
            auto_minor_version_upgrade=False,
            iam_authentication=False,
            cloudwatch_logs_exports=["postgresql", "upgrade"],
            enable_performance_insights=True,
            performance_insight_encryption_key=self._key,
            monitoring_interval=Duration.minutes(1),
            ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
        )

    def _user_secret(self) -> secrets.ISecret:
        """Return the secret of the booking service's role, complete with its address.

        `in_task/prepare_database.py` makes the role.
        """
        made = rds.DatabaseSecret(
            self,
            "UserSecret",
            username="waitline",
            dbname=DATABASE,
            encryption_key=self._key,
            master_secret=self.owner_secret,
            exclude_characters=PUNCTUATION,
        )
        made.apply_removal_policy(RemovalPolicy.RETAIN)
        return made.attach(self.database)

    def _rotate_database(self) -> None:
        """Rotate both roles' passwords with AWS's own functions.

        The services' role has two names in turn, so the last password stays valid. `migrate` reads
        the owner's anew at each start.
        """
        where = {
            "vpc": self._foundation.vpc,
            "vpc_subnets": ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            "security_groups": [self.clients],
            "exclude_characters": PUNCTUATION,
        }
        owner = self.database.secret
        assert owner is not None
        owner.add_rotation_schedule(
            "OwnerRotation",
            automatically_after=ROTATION,
            rotate_immediately_on_update=False,
            hosted_rotation=secrets.HostedRotation.postgre_sql_single_user(**where),
        )
        self.user_secret.add_rotation_schedule(
            "UserRotation",
            automatically_after=ROTATION,
            rotate_immediately_on_update=False,
            hosted_rotation=secrets.HostedRotation.postgre_sql_multi_user(
                master_secret=owner, **where
            ),
        )
