"""The manifests of deploy/kubernetes, as written: settings, sandbox, probes, networks, secrets.

`make check-deploy` renders them, and validates them against the published schemas.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.deploy.named_settings import ALIKE, DEPLOY, SECRETS_BY_FILE, unknown_settings
from tests.servers import IN_CI
from waitline.settings import VARIABLES

FOLDER = DEPLOY / "kubernetes"
FILES = sorted(FOLDER.rglob("*.yaml"))

SERVICES = ("queue", "booking", "admitter")


def documents() -> Iterator[dict[str, Any]]:
    for file in FILES:
        yield from yaml.safe_load_all(file.read_text("utf-8"))


BY_NAME = {
    (found["kind"], found["metadata"]["name"]): found
    for found in documents()
    if "metadata" in found
}


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for (kind, name), found in BY_NAME.items():
        if kind in ("Deployment", "Job"):
            yield name, found["spec"]["template"]


PODS = dict(pods())


def settings_of(name: str) -> dict[str, str]:
    base = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text("utf-8"))
    maps = {
        one["name"]: dict(literal.split("=", 1) for literal in one["literals"])
        for one in base["configMapGenerator"]
    }
    container = PODS[name]["spec"]["containers"][0]
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]
    return found | {one["name"]: str(one.get("value", "")) for one in container["env"]}


def test_every_setting_named_is_one_of_the_product() -> None:
    assert unknown_settings([*FILES, Path("docs/kubernetes.md")]) == []


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_rights(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}
    for volume in spec["volumes"]:
        assert "secret" in volume or "sizeLimit" in volume["emptyDir"]


@pytest.mark.parametrize("name", PODS)
def test_a_secret_is_a_file_that_is_mounted(name: str) -> None:
    spec = PODS[name]["spec"]
    mounts = [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]]
    assert all(
        mount.get("readOnly")
        for mount in spec["containers"][0]["volumeMounts"]
        if mount["name"] not in ("data", "tmp")
    )
    given = settings_of(name)
    assert not {key for key in given if key in VARIABLES and VARIABLES[key].secret}
    files = {path for key, path in given.items() if key in SECRETS_BY_FILE}
    assert {str(Path(path).parent) for path in files} <= set(mounts)
    for volume in (volume["secret"] for volume in spec["volumes"] if "secret" in volume):
        # A list of keys names those that the process reads.
        assert {one["key"] for one in volume.get("items", ())} <= {
            Path(path).name for path in files
        }


def test_instances_generate_no_key_of_their_own() -> None:
    assert set(settings_of("waitline-queue")) >= ALIKE
    mounts = PODS["waitline-queue"]["spec"]["containers"][0]["volumeMounts"]
    assert "/var/lib/waitline/keys" in {mount["mountPath"] for mount in mounts}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_probes_budget_and_spread(service: str) -> None:
    name = f"waitline-{service}"
    template = PODS[name]
    container = template["spec"]["containers"][0]
    for probe, path in (("startup", "liveness"), ("liveness", "liveness"),
                        ("readiness", "readiness")):  # fmt: skip
        get = container[f"{probe}Probe"]["httpGet"]
        assert get["path"] == f"/actuator/health/{path}"
        assert get["port"] in {port["name"] for port in container["ports"]}
    labels = {"app.kubernetes.io/name": name}
    assert template["metadata"]["labels"] == labels
    assert BY_NAME["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"] == labels
    spread = template["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {
        "topology.kubernetes.io/zone", "kubernetes.io/hostname",
    }  # fmt: skip
    assert all(one["labelSelector"]["matchLabels"] == labels for one in spread)


@pytest.mark.parametrize("service", SERVICES)
def test_a_pod_is_killed_only_after_it_has_drained(service: str) -> None:
    drain_s = float(settings_of(f"waitline-{service}")["WAITLINE_DRAIN_S"])
    grace_s = PODS[f"waitline-{service}"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s >= drain_s + 11
    # The endpoint is removed once readiness has failed.
    probe = PODS[f"waitline-{service}"]["spec"]["containers"][0]["readinessProbe"]
    assert drain_s > probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_port_of_the_container_is_the_one_the_service_listens_on(service: str) -> None:
    ports = {
        port["name"]: port["containerPort"]
        for port in PODS[f"waitline-{service}"]["spec"]["containers"][0]["ports"]
    }
    given = settings_of(f"waitline-{service}")
    of = f"WAITLINE_{service.upper()}"
    for name, variable in (("http", f"{of}_PORT"), ("management", f"{of}_MANAGEMENT_PORT")):
        if name in ports:
            assert str(ports[name]) == given.get(variable, VARIABLES[variable].default)


def test_the_line_and_the_processors_set_the_number_of_pods() -> None:
    queue = BY_NAME["HorizontalPodAutoscaler", "waitline-queue"]["spec"]
    kinds = {metric["type"]: metric for metric in queue["metrics"]}
    assert set(kinds) == {"Resource", "External"}
    metric = kinds["External"]["external"]["metric"]["name"]
    rule = Path("docs/kubernetes.md").read_text("utf-8")
    assert metric in rule
    assert "queue_wait_size" in rule
    assert queue["minReplicas"] >= 2
    # All pods of the box office have their connections to the database.
    booking = BY_NAME["HorizontalPodAutoscaler", "waitline-booking"]["spec"]
    assert booking["maxReplicas"] * 12 + 28 <= 150


def test_management_ports_are_for_prometheus_alone() -> None:
    rules = BY_NAME["NetworkPolicy", "waitline"]["spec"]["ingress"]
    to_management = [rule for rule in rules if {"port": "management"} in rule["ports"]]
    assert [rule["from"] for rule in to_management] == [
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    ]
    for service in ("queue", "booking"):
        public = BY_NAME["Service", f"waitline-{service}"]["spec"]["ports"]
        assert [port["targetPort"] for port in public] == ["http"]
    assert BY_NAME["ServiceMonitor", "waitline"]["spec"]["endpoints"][0]["port"] == "management"
    for service in SERVICES:
        spec = BY_NAME["Service", f"waitline-{service}-management"]["spec"]
        assert spec["clusterIP"] == "None"


def egress_of(name: str) -> dict[int, list[str]]:
    """Return the ports that a workload's pods may call, each with its blocks, [] for anywhere."""
    labels = PODS[name]["metadata"]["labels"] | {"app.kubernetes.io/part-of": "waitline"}
    found: dict[int, list[str]] = {}
    for (kind, _), policy in BY_NAME.items():
        if kind != "NetworkPolicy" or "Egress" not in policy["spec"]["policyTypes"]:
            continue
        if policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items():
            for rule in policy["spec"]["egress"]:
                blocks = [to["ipBlock"]["cidr"] for to in rule.get("to", ()) if "ipBlock" in to]
                found |= {port["port"]: blocks for port in rule["ports"]}
    return found


PUBLIC = ["0.0.0.0/0", "::/0"]


@pytest.mark.parametrize(
    ("name", "public"),
    [
        pytest.param("waitline-queue", {443: PUBLIC}, id="queue: key sets of shops"),
        pytest.param("waitline-booking", {443: PUBLIC}, id="booking: payment provider"),
        pytest.param("waitline-admitter", {}, id="admitter"),
        pytest.param("waitline-migrate", {}, id="migrate"),
    ],
)
def test_a_workload_calls_what_it_needs_and_no_more(
    name: str, public: dict[int, list[str]]
) -> None:
    assert egress_of(name) == {53: [], 6379: [], 26379: [], 5432: []} | public


def test_every_workload_has_its_egress_tested() -> None:
    assert set(PODS) == {f"waitline-{name}" for name in (*SERVICES, "migrate")}


def test_public_addresses_are_never_those_of_the_network() -> None:
    for name in ("waitline-payments", "waitline-key-sets"):
        (rule,) = BY_NAME["NetworkPolicy", name]["spec"]["egress"]
        four, six = (to["ipBlock"]["except"] for to in rule["to"])
        assert set(four) == {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"}
        assert set(six) == {"fc00::/7", "fe80::/10"}


def test_images_have_a_version() -> None:
    for file in FOLDER.glob("example/**/kustomization.yaml"):
        for image in yaml.safe_load(file.read_text("utf-8"))["images"]:
            assert re.fullmatch(r"\d+\.\d+\.\d+", image["newTag"])


def test_the_tables_come_first(tmp_path: Path) -> None:
    """Run roll-out with a kubectl that records its calls, and fails where the test asks for it."""
    log = tmp_path / "calls"
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\necho "$*" >> {log}\n[ "$1" = kustomize ] && echo "  namespace: shop"\n'
        '[ "$1" != "$FAILS" ]\n',
        "utf-8",
    )
    kubectl.chmod(0o755)

    def roll_out(fails: str) -> tuple[int, list[str]]:
        log.unlink(missing_ok=True)
        ended = subprocess.run(  # noqa: S603 - our own script
            [FOLDER / "roll-out", FOLDER / "example"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "FAILS": fails},
            check=False,
            capture_output=True,
        )
        return ended.returncode, [line.split()[0] for line in log.read_text("utf-8").splitlines()]

    status, calls = roll_out("")
    assert status == 0
    assert calls == ["kustomize", "kustomize", "delete", "apply", "wait", "apply", *["rollout"] * 3]
    status, calls = roll_out("wait")
    assert status == 1
    assert calls[-1] == "wait"


@pytest.mark.skipif(shutil.which("kubectl") is None and not IN_CI, reason="needs kubectl")
@pytest.mark.parametrize("overlay", ["example", "example/migrate"])
def test_it_can_be_rendered(overlay: str) -> None:
    rendered = subprocess.run(  # noqa: S603 - of our own folder
        ["kubectl", "kustomize", FOLDER / overlay],  # noqa: S607 - whichever there is
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = list(yaml.safe_load_all(rendered))
    for one in found:
        if one["kind"] in ("Deployment", "Job"):
            template = one["spec"]["template"]
            assert template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "waitline"
            assert all("example/" in box["image"] for box in template["spec"]["containers"])
        assert one["metadata"].get("namespace", "waitline") == "waitline"
