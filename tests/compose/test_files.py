"""The files of the compositions: settings that exist, and the rules that each service keeps."""

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its library has no types

from waitline import settings

COMPOSE = Path(__file__).resolve().parents[2] / "deploy" / "compose"
STACKS = {"single": ("single",), "scale": ("single", "scale"), "cluster": ("cluster",)}
"""Files of each composition: the later ones add to the first."""

# Of Waitline, whose root file system is read-only and which has no rights at all.
CONFINED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}


def _document(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / folder / "compose.yml").read_text("utf-8"))
    return found


def _services(stack: str) -> dict[str, dict[str, Any]]:
    """Return the services of a composition, each with what it takes from other files."""
    shared = yaml.safe_load((COMPOSE / "services.yml").read_text("utf-8"))["services"]
    services: dict[str, dict[str, Any]] = {}
    for folder in STACKS[stack]:
        for service, given in _document(folder)["services"].items():
            known = services.get(service, {})
            of = shared.get(given.get("extends", {}).get("service"), {})
            environment = {
                name: value
                for one in (of, known, given)
                for name, value in one.get("environment", {}).items()
            }
            services[service] = {**of, **known, **given, "environment": environment}
    return services


ALL = [
    pytest.param(name, service, given, id=f"{name}-{service}")
    for name in STACKS
    for service, given in _services(name).items()
]
each_service = pytest.mark.parametrize(("name", "service", "given"), ALL)


@each_service
def test_every_setting_exists(name: str, service: str, given: dict[str, Any]) -> None:
    secret_files = {
        f"{variable}{settings.FILE_SUFFIX}"
        for variable, declared in settings.VARIABLES.items()
        if declared.secret
    }
    for variable, value in given["environment"].items():
        if not variable.startswith(settings.PREFIX):
            continue
        assert variable in settings.VARIABLES or variable in secret_files, f"{name}: {service}"
        # A secret is a file that is mounted into this service.
        if variable in secret_files:
            assert value.removeprefix("/run/secrets/") in given["secrets"]
        else:
            assert not settings.VARIABLES[variable].secret


@each_service
def test_a_service_has_no_rights_and_has_limits(
    name: str, service: str, given: dict[str, Any]
) -> None:
    where = f"{name}: {service}"
    assert {key: given.get(key) for key in CONFINED} == CONFINED, where
    assert not {"privileged", "cap_add", "network_mode", "pid"} & given.keys(), where
    for limit in ("mem_limit", "cpus", "pids_limit"):
        assert given.get(limit), where
    once = service in ONCE or given.get("profiles") in (["tools"], ["load"])
    assert (given.get("restart") == "unless-stopped") != once, where
    # Only nginx is reached from outside, and Grafana from this machine.
    assert ("ports" in given) == (service in {"nginx", "grafana"}), where
    if service == "grafana":
        assert all(port.startswith("127.0.0.1:") for port in given["ports"])


ONCE = frozenset(("migrate", "valkey-init"))
"""They do one thing, and end."""


@pytest.mark.parametrize("name", STACKS)
def test_networks_are_closed_but_the_one_of_published_ports(name: str) -> None:
    networks = _document(STACKS[name][0])["networks"]
    closed = {net for net, made in networks.items() if made.get("internal") is True}
    assert networks.keys() - closed == {"edge"}
    open_to = {one for one, given in _services(name).items() if "edge" in given["networks"]}
    assert open_to <= {"nginx", "grafana"}


@pytest.mark.parametrize("name", STACKS)
def test_what_needs_the_tables_starts_after_their_migration(name: str) -> None:
    for service, given in _services(name).items():
        if given["environment"].get("WAITLINE_DATABASE_URL_FILE") and service in {
            "booking", "migrate",
        }:  # fmt: skip
            assert given["depends_on"]["postgres"] == {"condition": "service_healthy"}
        if service == "booking":
            completed = {"condition": "service_completed_successfully"}
            assert given["depends_on"]["migrate"] == completed


def test_valkey_evicts_nothing_and_writes_before_it_replies() -> None:
    lines = (COMPOSE / "files" / "valkey.conf").read_text("utf-8").splitlines()
    wanted = {"maxmemory-policy noeviction", "appendonly yes", "appendfsync always"}
    assert wanted <= set(lines)


def _prepared(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own script
        ["sh", str(folder / "prepare"), name, "queue.example"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["single", "cluster"])
def test_prepare_makes_secrets_that_waitline_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / "prepare").write_bytes((COMPOSE / "prepare").read_bytes())
    _prepared(tmp_path, name)
    secrets = tmp_path / name / "secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    values = {path.name: path.read_text("utf-8") for path in secrets.iterdir()}
    named = [
        secret["file"].removeprefix("./secrets/")
        for stack, folders in STACKS.items()
        if folders[0] == name
        for folder in STACKS[stack]
        for secret in _document(folder)["secrets"].values()
    ]
    assert set(named) <= values.keys()
    for secret in (
        "operator_key",
        "site_key",
        "payment_key",
        "webhook_secret",
        "valkey_url",
        "database_url",
    ):
        monkeypatch.setenv(f"WAITLINE_{secret.upper()}_FILE", str(secrets / secret))
    monkeypatch.setenv("WAITLINE_PAYMENTS", "play-money")
    monkeypatch.setenv("WAITLINE_PAYMENT_URL", "http://sandbox:8082")
    loaded = settings.load(mode="production")
    settings.require_all(loaded.require_payments, loaded.require_money)
    assert values["valkey_password"].strip() in loaded.store_url()
    # A second time nothing is replaced: the stores know the first.
    again = _prepared(tmp_path, name)
    assert "nothing is changed" in again.stdout
    assert {path.name: path.read_text("utf-8") for path in secrets.iterdir()} == values


@pytest.mark.parametrize("path", [COMPOSE / "services.yml", *COMPOSE.glob("*/compose.yml")])
def test_images_that_are_not_ours_name_a_version(path: Path) -> None:
    for service, given in yaml.safe_load(path.read_text("utf-8"))["services"].items():
        image = given.get("image", "waitline-")
        if not image.startswith("waitline-"):
            assert json.dumps(image).count(":") >= 2, f"{service}: {image}"
            assert "latest" not in image


def test_grafana_is_provisioned_with_our_dashboards() -> None:
    files = COMPOSE / "files"
    sources = yaml.safe_load((files / "grafana-datasource.yml").read_text("utf-8"))["datasources"]
    assert [(one["type"], one["url"]) for one in sources] == [
        ("prometheus", "http://prometheus:9090")
    ]
    (provider,) = yaml.safe_load((files / "grafana-dashboards.yml").read_text("utf-8"))["providers"]
    mounts = dict(mount.split(":")[:2][::-1] for mount in _services("scale")["grafana"]["volumes"])
    folder = (COMPOSE / "scale" / mounts[provider["options"]["path"]]).resolve()
    dashboards = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
    assert len(dashboards) >= 7
    for dashboard in dashboards:
        # Each finds the provisioned source by its type, whatever its name.
        variables = {one["name"]: one for one in dashboard["templating"]["list"]}
        assert variables["datasource"]["query"] == "prometheus"


def test_prometheus_scrapes_each_kind_of_process_on_its_management_port() -> None:
    config = yaml.safe_load((COMPOSE / "files" / "prometheus.yml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    scraped = {name: one["port"] for one in job["dns_sd_configs"] for name in one["names"]}
    default = settings.VARIABLES
    assert scraped == {
        "queue": int(default["WAITLINE_QUEUE_MANAGEMENT_PORT"].default),
        "booking": int(default["WAITLINE_BOOKING_MANAGEMENT_PORT"].default),
        "admitter": 9082,
    }
    dockerfile = (COMPOSE.parent / "images" / "Dockerfile").read_text("utf-8")
    assert "WAITLINE_ADMITTER_MANAGEMENT_PORT=9082" in dockerfile
    assert job["honor_labels"] is True
