"""The rotation of Valkey's password: what it asks of AWS, by AWS's own description of its API."""

import importlib.util
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tests.conftest import ROOT

SECRET, VERSION = "arn:aws:secretsmanager:ap-northeast-2:111122223333:secret:valkey", "b" * 32
STAGES = {"VersionIdsToStages": {"a" * 32: ["AWSCURRENT"], VERSION: ["AWSPENDING"]}}
NEW, OLD = "new-password-of-48-characters", "old-password-of-48-characters"


def value(password: str, version: str) -> dict[str, str]:
    text = json.dumps({"username": "waitline", "password": password})
    return {"SecretString": text, "VersionId": version}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, dict[str, Stubber]]]:
    """Return the function's module, and AWS's answers by service."""
    monkeypatch.setenv("VALKEY_USER", "waitline")
    spec = importlib.util.spec_from_file_location("valkey_user", ROOT / "rotation/valkey_user.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    clients = {
        name: boto3.client(
            name, region_name="ap-northeast-2", aws_access_key_id="x", aws_secret_access_key="x"
        )
        for name in ("secretsmanager", "elasticache")
    }
    stubs = {name: Stubber(client) for name, client in clients.items()}
    monkeypatch.setattr(module.boto3, "client", clients.__getitem__)
    for stub in stubs.values():
        stub.activate()
    yield module, stubs
    for stub in stubs.values():
        stub.assert_no_pending_responses()


def run(module: ModuleType, step: str) -> None:
    module.handler({"SecretId": SECRET, "ClientRequestToken": VERSION, "Step": step}, None)


def test_a_password_is_made_once(aws: tuple[ModuleType, dict[str, Any]]) -> None:
    module, stubs = aws
    secrets = stubs["secretsmanager"]
    pending = {"SecretId": SECRET, "VersionId": VERSION, "VersionStage": "AWSPENDING"}
    secrets.add_response("describe_secret", STAGES)
    secrets.add_client_error(
        "get_secret_value", "ResourceNotFoundException", expected_params=pending
    )
    secrets.add_response("get_secret_value", value(OLD, "a" * 32))
    secrets.add_response("get_random_password", {"RandomPassword": NEW})
    secrets.add_response(
        "put_secret_value",
        {},
        {
            "SecretId": SECRET,
            "ClientRequestToken": VERSION,
            "SecretString": json.dumps({"username": "waitline", "password": NEW}),
            "VersionStages": ["AWSPENDING"],
        },
    )
    run(module, "createSecret")
    secrets.add_response("describe_secret", STAGES)
    secrets.add_response("get_secret_value", value(NEW, VERSION), pending)
    run(module, "createSecret")


def test_the_last_password_stays_valid(aws: tuple[ModuleType, dict[str, Any]]) -> None:
    module, stubs = aws
    secrets, cache = stubs["secretsmanager"], stubs["elasticache"]
    secrets.add_response("describe_secret", STAGES)
    secrets.add_response("get_secret_value", value(NEW, VERSION))
    secrets.add_response("get_secret_value", value(OLD, "a" * 32))
    active = {"Users": [{"UserId": "waitline", "Status": "active"}]}
    cache.add_response("describe_users", active, {"UserId": "waitline"})
    cache.add_response(
        "modify_user",
        {},
        {
            "UserId": "waitline",
            "AuthenticationMode": {"Type": "password", "Passwords": [OLD, NEW]},
        },
    )
    cache.add_response("describe_users", active, {"UserId": "waitline"})
    run(module, "setSecret")


def test_the_new_version_becomes_current(aws: tuple[ModuleType, dict[str, Any]]) -> None:
    module, stubs = aws
    secrets = stubs["secretsmanager"]
    secrets.add_response("describe_secret", STAGES)
    secrets.add_response("get_secret_value", value(OLD, "a" * 32))
    secrets.add_response(
        "update_secret_version_stage",
        {},
        {
            "SecretId": SECRET,
            "VersionStage": "AWSCURRENT",
            "MoveToVersionId": VERSION,
            "RemoveFromVersionId": "a" * 32,
        },
    )
    run(module, "finishSecret")


def test_a_version_that_is_not_pending_is_refused(aws: tuple[ModuleType, dict[str, Any]]) -> None:
    module, stubs = aws
    stubs["secretsmanager"].add_response(
        "describe_secret", {"VersionIdsToStages": {VERSION: ["AWSPREVIOUS"]}}
    )
    with pytest.raises(ValueError, match="not pending"):
        run(module, "setSecret")
