"""Fixtures: an installation of each size, synthesised once."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# The last version of Node.js that Debian has may be older than CDK's authors still support.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "true")
os.environ.setdefault("JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION", "true")
os.environ.setdefault("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "true")

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks
from waitline_aws.installation import build
from waitline_aws.sizes import SIZES, Size

ROOT = Path(__file__).parents[1]
REPOSITORY = ROOT.parents[1]

GIVEN = {
    "account": "111122223333",
    "region": "ap-northeast-2",
    "zone": "shop.example.com",
    "zone_id": "Z0123456789ABCDEFGHIJ",
    "version": "1.4.0",
    "prefix_list": "pl-22a6434b",
    "alarm_email": "oncall@example.com",
    "payments": "stripe",
}


@dataclass(frozen=True)
class Installation:
    """A synthesised installation.

    Attributes:
        size: Its size.
        folder: The templates, and the report of cdk-nag.
        templates: By stack, without `waitline-`.
    """

    size: Size
    folder: Path
    templates: dict[str, Any]

    def resources(self, kind: str) -> dict[str, Any]:
        """Return the properties of all resources of a type, by logical id."""
        return {
            name: resource.get("Properties", {})
            for template in self.templates.values()
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind
        }

    def alarms(self) -> dict[str, Any]:
        """Return the alarms by name, without those that scaling makes for itself."""
        return {
            one["AlarmName"]: one
            for one in self.resources("AWS::CloudWatch::Alarm").values()
            if "AlarmName" in one
        }

    def only(self, kind: str) -> Any:
        """Return the properties of the only resource of a type."""
        (found,) = self.resources(kind).values()
        return found


@pytest.fixture(scope="session", params=["large", pytest.param("small", marks=pytest.mark.long)])
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """Synthesise an installation, with cdk-nag."""
    folder = tmp_path_factory.mktemp(request.param)
    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    app = App(context={**context, **GIVEN, "size": request.param}, outdir=str(folder))
    stacks = build(app)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    return Installation(
        size=SIZES[request.param],
        folder=folder,
        templates={
            name.removeprefix("waitline-"): json.loads(
                (folder / f"{name}.template.json").read_text("utf-8")
            )
            for name in stacks
        },
    )
