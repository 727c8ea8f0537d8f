"""Workflows of .github: pinned actions, least permissions, verbs of make, and what waits for what.

`make check-deploy` checks them against the published schema, and with zizmor and actionlint.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

FOLDER = Path(".github/workflows")
TEXTS = {file.stem: file.read_text("utf-8") for file in sorted(FOLDER.glob("*.yml"))}
# YAML 1.1 reads the key `on` as true.
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
JOBS = {
    f"{name}: {job}": found
    for name, workflow in WORKFLOWS.items()
    for job, found in workflow["jobs"].items()
}
OWN = {name: job for name, job in JOBS.items() if "uses" not in job}

MAY_WRITE = {
    "benchmark: comment": {"pull-requests"},
    "release: images": {"packages", "id-token"},
    "release: provenance": {"packages", "id-token", "attestations"},
    "release: publish": {"contents"},
}
"""What a job may write, beside nothing."""

WITHOUT_MAKE = (
    ".ci/run", "sudo sh tools/debian-packages", "gh pr comment", "gh release create",
    "tools/push-images", 'echo "$REGISTRY_PASSWORD" | docker login', "rm -f",
    "install -m 0600 /dev/null", "passed=$(gh run list", 'echo "$GH_TOKEN" | docker login',
)  # fmt: skip
"""Beginnings of the other commands: of the platform, which nobody runs elsewhere."""


def steps(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from job.get("steps", ())


@pytest.mark.parametrize("name", TEXTS)
def test_actions_are_pinned_by_commit(name: str) -> None:
    for line in TEXTS[name].splitlines():
        used = re.search(r"uses: (.*)", line)
        if used and not used[1].startswith("./"):
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*", used[1])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_only_and_no_stranger_starts_it_with_rights(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    triggers = WORKFLOWS[name][True]
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers)


@pytest.mark.parametrize("name", OWN)
def test_a_job_has_no_more_rights_than_it_uses(name: str) -> None:
    given = OWN[name].get("permissions", {})
    assert {right for right, kind in given.items() if kind == "write"} == MAY_WRITE.get(name, set())
    assert 0 < OWN[name]["timeout-minutes"] <= 60
    for step in steps(OWN[name]):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_jobs_call_verbs_of_make() -> None:
    makefile = Path("Makefile").read_text("utf-8")
    verbs = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    matrix = WORKFLOWS["nightly"]["jobs"]["long"]["strategy"]["matrix"]["verb"]
    called = set(matrix)
    for job in OWN.values():
        for step in steps(job):
            run = step.get("run", "").strip()
            if run.startswith("make "):
                called.add(run.split()[1])
            elif run:
                assert run.startswith(WITHOUT_MAKE)
    # That of the matrix, in a variable.
    assert called - {'"$VERB"'} <= verbs


def test_the_long_suites_run_nightly_and_before_a_release() -> None:
    nightly = WORKFLOWS["nightly"]
    assert {"schedule", "workflow_call"} <= set(nightly[True])
    matrix = nightly["jobs"]["long"]["strategy"]["matrix"]["verb"]
    assert {"test-long", "faults", "compose-test"} <= set(matrix)
    release = WORKFLOWS["release"]["jobs"]
    assert release["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert release["long"]["uses"] == "./.github/workflows/nightly.yml"
    for job in ("packages", "images"):
        assert set(release[job]["needs"]) == {"ci", "long"}
    assert set(release["publish"]["needs"]) >= {"packages", "images", "provenance"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_that_another_calls_has_a_group_of_its_own(name: str) -> None:
    """`github.workflow` is the caller's name, so two that it calls would cancel each other."""
    assert WORKFLOWS[name]["concurrency"]["group"].startswith(name)


def test_a_deployment_is_verified_and_approved() -> None:
    jobs = WORKFLOWS["deploy"]["jobs"]
    assert set(WORKFLOWS["deploy"][True]) == {"workflow_dispatch"}
    assert jobs["deploy"]["needs"] == "verify"
    # Its reviewers and its secrets are those of the environment.
    assert jobs["deploy"]["environment"] == "${{ inputs.environment }}"
    assert all("secrets." not in str(job) for name, job in jobs.items() if name != "deploy")


@pytest.mark.parametrize("name", OWN)
def test_no_expression_is_pasted_into_a_shell(name: str) -> None:
    for step in steps(OWN[name]):
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize(
    ("version", "package", "log", "said"),
    [
        ("1.2.0", "1.2.0", "## Unreleased\n\n## 1.2.0 (2027)\n- A\n\n## 1.1.0\n- B\n", "- A\n"),
        ("1.2.0", "1.1.0", "## 1.2.0\n- A\n", "is not the version"),
        ("1.2.0", "1.2.0", "## Unreleased\n- A\n", "has no section 1.2.0"),
        ("1.2.0", "1.2.0", "## 1.2.0\n\n## 1.1.0\n- B\n", "has no section 1.2.0"),
    ],
    ids=["section", "another version", "unreleased", "empty"],
)
def test_a_release_has_its_notes(
    tmp_path: Path, version: str, package: str, log: str, said: str
) -> None:
    init = tmp_path / "src" / "waitline" / "__init__.py"
    init.parent.mkdir(parents=True)
    init.write_text(f'__version__ = "{package}"\n', "utf-8")
    (tmp_path / "CHANGELOG.md").write_text(log, "utf-8")
    ended = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, Path("tools/release-notes").absolute(), version],
        cwd=tmp_path, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if said.startswith("-"):
        assert (ended.returncode, ended.stdout) == (0, said)
    else:
        assert (ended.returncode, ended.stdout) == (1, "")
        assert said in ended.stderr
