"""Rotation of the services' Valkey user, as Secrets Manager calls it: four steps.

A user of ElastiCache may have two passwords. The new one is added beside the current one, which
stays valid until the next rotation, so running tasks go on.

Source: AWS Secrets Manager User Guide, "Rotation by Lambda function".
"""

import json
import os
import time
from typing import Any

import boto3

PASSWORD_CHARS = 48
"""Of an alphabet of 62. ElastiCache takes 16 to 128."""

CHANGED_S = 150
"""How long a change of the user may take, in s: below the function's timeout."""

POLL_S = 3
"""Interval of asking whether it is done, in s."""


def handler(event: dict[str, str], _context: object) -> None:
    """Carry out a step of a rotation; a repeat changes nothing.

    Raises:
        ValueError: The version is not the one to come, or the step is unknown.
        TimeoutError: The user did not change in time; Secrets Manager repeats the step.
    """
    secrets = boto3.client("secretsmanager")
    secret, version, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    stages = secrets.describe_secret(SecretId=secret)["VersionIdsToStages"].get(version)
    if stages is None:
        raise ValueError(f"the secret has no version {version}")
    if "AWSCURRENT" in stages:
        return
    if "AWSPENDING" not in stages:
        raise ValueError(f"version {version} is not pending")
    match step:
        case "createSecret":
            _create(secrets, secret, version)
        case "setSecret":
            _set(secrets, secret, version)
        case "testSecret":
            _await_active(boto3.client("elasticache"))
        case "finishSecret":
            _finish(secrets, secret, version)
        case _:
            raise ValueError(f"unknown step {step}")


def _create(secrets: Any, secret: str, version: str) -> None:
    try:
        secrets.get_secret_value(SecretId=secret, VersionId=version, VersionStage="AWSPENDING")
    except secrets.exceptions.ResourceNotFoundException:
        fields = json.loads(_current(secrets, secret)["SecretString"])
        fields["password"] = secrets.get_random_password(
            PasswordLength=PASSWORD_CHARS, ExcludePunctuation=True
        )["RandomPassword"]
        secrets.put_secret_value(
            SecretId=secret,
            ClientRequestToken=version,
            SecretString=json.dumps(fields),
            VersionStages=["AWSPENDING"],
        )


def _set(secrets: Any, secret: str, version: str) -> None:
    pending = secrets.get_secret_value(
        SecretId=secret, VersionId=version, VersionStage="AWSPENDING"
    )
    both = [
        json.loads(found["SecretString"])["password"]
        for found in (_current(secrets, secret), pending)
    ]
    cache = boto3.client("elasticache")
    _await_active(cache)
    cache.modify_user(
        UserId=os.environ["VALKEY_USER"],
        AuthenticationMode={"Type": "password", "Passwords": both},
    )
    _await_active(cache)


def _finish(secrets: Any, secret: str, version: str) -> None:
    secrets.update_secret_version_stage(
        SecretId=secret,
        VersionStage="AWSCURRENT",
        MoveToVersionId=version,
        RemoveFromVersionId=_current(secrets, secret)["VersionId"],
    )


def _current(secrets: Any, secret: str) -> Any:
    return secrets.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")


def _await_active(cache: Any) -> None:
    """Wait until the user's last change has reached the servers."""
    until_s = time.monotonic() + CHANGED_S
    while True:
        (user,) = cache.describe_users(UserId=os.environ["VALKEY_USER"])["Users"]
        if user["Status"] == "active":
            return
        if time.monotonic() > until_s:
            raise TimeoutError(f"the user is {user['Status']}")
        time.sleep(POLL_S)
