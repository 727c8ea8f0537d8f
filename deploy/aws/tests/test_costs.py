"""Costs: what is counted is what the templates make, and the document has the same figures."""

import json

from waitline_aws import costs
from waitline_aws.sizes import SIZES

from tests.conftest import REPOSITORY, Installation


def test_every_size_has_its_prices() -> None:
    for size in SIZES.values():
        found = costs.costs(size)
        assert 0 < found.hour < found.busy_per_hour
    assert costs.costs(SIZES["small"]).month < costs.costs(SIZES["large"]).month


def test_prices_say_when_and_where_they_come_from() -> None:
    assert costs.PRICES["noted"]
    assert costs.PRICES["source"]
    assert costs.PRICES["verified"] is False, "then docs/aws.md must not call them estimates"


def test_the_document_has_these_figures() -> None:
    text = (REPOSITORY / "docs" / "aws.md").read_text("utf-8")
    assert costs.table() in text
    assert f"adds {costs.sale():.0f} US dollars" in text
    assert costs.PRICES["noted"] in text


def test_what_is_counted_is_what_is_made(installation: Installation) -> None:
    count = {
        kind: len(installation.resources(kind))
        for kind in (
            "AWS::EC2::NatGateway",
            "AWS::KMS::Key",
            "AWS::CloudWatch::Alarm",
            "AWS::SecretsManager::Secret",
        )
    }
    assert count["AWS::EC2::NatGateway"] == costs.ZONES
    assert count["AWS::KMS::Key"] == costs.KEYS
    # Three more secrets are the operator's own.
    assert count["AWS::SecretsManager::Secret"] + 3 == costs.SECRETS
    # Target tracking makes two more for each of its seven policies.
    assert count["AWS::CloudWatch::Alarm"] + 14 == costs.ALARMS
    rules = installation.only("AWS::WAFv2::WebACL")["Rules"]
    assert len(rules) == costs.FIREWALL_RULES
    size = installation.size
    targets = installation.resources("AWS::ApplicationAutoScaling::ScalableTarget").values()
    for service in ("queue", "booking"):
        mine = [one for one in targets if service in json.dumps(one["ResourceId"])]
        assert sum(one["MinCapacity"] for one in mine) == sum(
            lane.part(getattr(size, service).least) for lane in costs.LANES
        )
