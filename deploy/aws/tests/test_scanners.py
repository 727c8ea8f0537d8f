"""cfn-lint, cdk-nag and checkov find nothing that is not explained in `findings.py`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from waitline_aws.findings import ACCEPTED

from tests.conftest import REPOSITORY, ROOT, Installation

CHECKOV = REPOSITORY / ".venv-checkov" / "bin" / "checkov"


def test_cfn_lint(installation: Installation) -> None:
    templates = sorted(map(str, installation.folder.glob("*.template.json")))
    found = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--format", "parseable", "--", *templates],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout.splitlines()) == (0, []), found.stderr


def test_cdk_nag(installation: Installation) -> None:
    report = json.loads((installation.folder / "validation-report.json").read_text("utf-8"))
    (nag,) = report["pluginReports"]
    assert nag["conclusion"] == "success"
    assert not nag.get("violations")
    accepted = {one["ruleName"] for one in nag["suppressedViolations"]}
    explained = {one.finding for one in ACCEPTED if not one.finding.startswith("CKV")}
    assert accepted == explained, "an explanation without a finding"


@pytest.mark.long
def test_checkov(installation: Installation) -> None:
    found = subprocess.run(
        [
            CHECKOV, "--directory", installation.folder, "--framework", "cloudformation",
            "--output", "json", "--skip-download", "--compact",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    results = json.loads(found.stdout)["results"]
    assert len(results["passed_checks"]) > 400, "it read the templates"
    unexplained = [
        f"{one['check_id']} {one['check_name']}: {one['resource']}"
        for one in results["failed_checks"]
        if not any(
            each.finding == one["check_id"]
            and re.search(each.where, _path(installation, one["resource"]))
            for each in ACCEPTED
        )
    ]
    assert unexplained == []
    seen = {one["check_id"] for one in (*results["failed_checks"], *results["skipped_checks"])}
    assert seen == {one.finding for one in ACCEPTED if one.finding.startswith("CKV")}


def _path(installation: Installation, resource: str) -> str:
    """Return a resource's path in the app: CDK adds some after the explanations are written."""
    name = resource.rpartition(".")[2]
    (path,) = (
        template["Resources"][name].get("Metadata", {}).get("aws:cdk:path", name)
        for template in installation.templates.values()
        if name in template["Resources"]
    )
    return str(path)
