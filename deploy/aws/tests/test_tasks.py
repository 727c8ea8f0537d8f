"""Tasks: their settings are Waitline's, what starts them works, their metrics exist."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waitline_aws.containers import MANAGEMENT_PORTS, METRICS, NAMESPACE, PREPARE, START

from tests.conftest import REPOSITORY, Installation

WAITLINE = REPOSITORY / ".venv" / "bin" / "waitline"

STARTERS = {"SIGNING_KEYS", "VALKEY_SECRET", "VALKEY_HOST", "DATABASE_SECRET"}
"""What `in_task/start.py` turns into settings."""

OWN = {"prepare": {"OWNER_SECRET", "USER_SECRET"}, "collector": {"AOT_CONFIG_CONTENT"}}

SECRET = {"username": "waitline_clone", "password": "p@ss/w:rd?", "host": "db", "port": 5432}


@pytest.fixture(scope="session")
def settings() -> dict[str, Any]:
    """Return the settings of Waitline, with their defaults, by name."""
    found = json.loads(
        subprocess.check_output(
            [WAITLINE, "settings", "--json"],
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        )
    )
    return {one["variable"]: one for one in found}


def containers(installation: Installation) -> list[tuple[str, dict[str, Any]]]:
    """Return each task's family and each of its containers."""
    return [
        (task["Family"], container)
        for task in installation.resources("AWS::ECS::TaskDefinition").values()
        for container in task["ContainerDefinitions"]
    ]


def names(container: dict[str, Any]) -> set[str]:
    """Return the names in a container's environment, secrets too."""
    return {one["Name"] for kind in ("Environment", "Secrets") for one in container.get(kind, [])}


def test_every_name_is_a_setting(installation: Installation, settings: dict[str, Any]) -> None:
    seen = set()
    for family, container in containers(installation):
        known = set(settings) | STARTERS | OWN.get(container["Name"], set())
        assert names(container) <= known, family
        seen |= names(container)
    assert seen & set(settings) >= {"WAITLINE_OPERATOR_KEY", "WAITLINE_PAYMENT_KEY"}


def test_the_settings_are_accepted(installation: Installation, tmp_path: Path) -> None:
    """Each service's environment, as its starter makes it, is one that Waitline accepts."""
    for family, container in containers(installation):
        if container["Name"] not in {"queue", "booking", "admitter", "tools"}:
            continue
        given = {one["Name"]: one["Value"] for one in container["Environment"]}
        assert isinstance(given.pop("VALKEY_HOST"), dict), "known once Valkey is there"
        for one in container["Secrets"]:
            given[one["Name"]] = {
                "VALKEY_SECRET": json.dumps(SECRET),
                "DATABASE_SECRET": json.dumps({**SECRET, "dbname": "waitline"}),
                "SIGNING_KEYS": '{"version": 1, "keys": []}',
                "WAITLINE_PAYMENT_KEY": "sk_live_" + "a1b2" * 8,
                "WAITLINE_WEBHOOK_SECRET": "whsec_" + "a1b2" * 8,
            }.get(one["Name"], "a1b2c3d4" * 4)
        given |= {"VALKEY_HOST": "valkey.example:6379", "WAITLINE_DATA_DIR": str(tmp_path)}
        assert container["EntryPoint"] == ["python", "-c", START]
        if container["Name"] != "tools":
            assert container["Command"] == ["waitline", container["Name"]]
        shown = json.loads(
            subprocess.check_output(
                [sys.executable, "-c", START, WAITLINE, "settings", "--json"],
                env={"PATH": os.environ["PATH"], **given},
            )
        )
        values = {one["variable"]: one for one in shown}
        expected = {name for name in given if name.startswith("WAITLINE_")}
        expected.add("WAITLINE_VALKEY_URL")
        if container["Name"] in {"booking", "tools"}:
            expected.add("WAITLINE_DATABASE_URL")
        changed = {name for name, one in values.items() if one["from"] != "default"}
        assert changed == expected, family


def run_starter(folder: Path, given: dict[str, str]) -> dict[str, str]:
    """Return the environment that the starter gives to a command."""
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    return json.loads(
        subprocess.check_output(
            [sys.executable, "-c", START, sys.executable, "-c", show],
            env={"PATH": os.environ["PATH"], "WAITLINE_DATA_DIR": str(folder), **given},
        )
    )


def test_the_starter_encodes_passwords_and_passes_no_secret_on(tmp_path: Path) -> None:
    found = run_starter(
        tmp_path,
        {
            "VALKEY_SECRET": json.dumps(SECRET),
            "VALKEY_HOST": "valkey.example:6379",
            "DATABASE_SECRET": json.dumps({**SECRET, "dbname": "waitline"}),
            "SIGNING_KEYS": "the keys",
        },
    )
    login = "waitline_clone:p%40ss%2Fw%3Ard%3F"
    assert found["WAITLINE_VALKEY_URL"] == f"rediss+cluster://{login}@valkey.example:6379"
    assert (
        found["WAITLINE_DATABASE_URL"] == f"postgresql://{login}@db:5432/waitline?sslmode=require"
    )
    assert STARTERS.isdisjoint(found)


def test_only_its_user_reads_the_keys(tmp_path: Path) -> None:
    for text in ("first", "second"):
        run_starter(tmp_path, {"SIGNING_KEYS": text})
        file = tmp_path / "keys" / "keys.json"
        assert file.read_text("utf-8") == text
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_tables_are_ready_before_the_box_office_starts(installation: Installation) -> None:
    for family, container in containers(installation):
        before = {
            (one["ContainerName"], one["Condition"]) for one in container.get("DependsOn", [])
        }
        if container["Name"] == "booking":
            assert before == {("prepare", "SUCCESS")}, family
        elif container["Name"] in {"queue", "admitter", "prepare"}:
            assert before == {("folder", "SUCCESS")}, family
        if container["Name"] == "prepare":
            assert container["Command"] == ["python", "-c", PREPARE]


def test_there_is_time_to_drain(installation: Installation) -> None:
    """SIGTERM to SIGKILL: `WAITLINE_DRAIN_S` + 11 s, and the health checks are faster."""
    for _, container in containers(installation):
        if container["Name"] in {"queue", "booking", "admitter"}:
            plain = {one["Name"]: one["Value"] for one in container["Environment"]}
            drain_s = float(plain["WAITLINE_DRAIN_S"])
            assert container["StopTimeout"] >= drain_s + 11
    for group in installation.resources("AWS::ElasticLoadBalancingV2::TargetGroup").values():
        assert group["HealthCheckIntervalSeconds"] * group["UnhealthyThresholdCount"] < drain_s


def test_metrics_that_are_collected_exist(installation: Installation) -> None:
    declared = set(
        re.findall(
            r"^\| `(\w+)` \|", (REPOSITORY / "docs" / "metrics.md").read_text(), re.MULTILINE
        )
    )
    for family, container in containers(installation):
        if container["Name"] != "collector":
            continue
        service = family.split("-")[1]
        assert set(METRICS[service]) <= declared
        (plain,) = container["Environment"]
        configuration = json.loads(plain["Value"])
        (scrape,) = configuration["receivers"]["prometheus"]["config"]["scrape_configs"]
        page = f"127.0.0.1:{MANAGEMENT_PORTS[service]}"
        assert scrape["static_configs"] == [{"targets": [page]}]
        (one,) = configuration["exporters"]["awsemf"]["metric_declarations"]
        (selector,) = one["metric_name_selectors"]
        assert all(re.search(selector, name) for name in METRICS[service])


def test_alarms_and_scaling_use_metrics_that_are_collected(installation: Installation) -> None:
    used = {one["MetricName"] for one in _metrics(installation.templates)}
    assert {"queue_wait_size", "queue_admission_stuck_seconds", "scheduler_admitters"} <= used
    assert used <= {name for found in METRICS.values() for name in found}


def _metrics(part: Any) -> Iterator[dict[str, Any]]:
    """Return every metric of ours that a template names."""
    if isinstance(part, dict):
        if part.get("Namespace") == NAMESPACE:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _metrics(one)
