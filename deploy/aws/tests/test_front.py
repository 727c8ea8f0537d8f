"""The CDN: what it caches, and what it never does; lanes; the firewall."""

import json
import subprocess
from pathlib import Path
from typing import Any

from waitline_aws.front import CACHED, lane_script
from waitline_aws.lanes import HEADER, LANES

from tests.conftest import Installation

VISITORS = 20_000

DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
"""AWS's id of the policy that caches nothing. Source: CloudFront, "Use managed cache policies"."""


def cdn(installation: Installation) -> Any:
    return installation.only("AWS::CloudFront::Distribution")["DistributionConfig"]


def test_what_is_cached(installation: Installation) -> None:
    found = {one["PathPattern"]: one for one in cdn(installation)["CacheBehaviors"]}
    assert (
        set(found)
        == set(CACHED)
        == {
            "/api/v1/rooms/*/now-serving",
            "/pages/*",
            "/start/*",
            "/shop/assets/*",
            "/api/v1/concerts",
            "/api/v1/concerts/*",
        }
    )
    assert cdn(installation)["DefaultCacheBehavior"]["CachePolicyId"] == DISABLED
    policies = installation.resources("AWS::CloudFront::CachePolicy")
    for path, one in found.items():
        policy = policies[one["CachePolicyId"]["Ref"]]["CachePolicyConfig"]
        # The service decides: what it does not allow is not kept.
        assert policy["MinTTL"] == policy["DefaultTTL"] == 0
        assert policy["MaxTTL"] == CACHED[path][1].to_seconds()


def test_nothing_of_a_visitor_is_cached(installation: Installation) -> None:
    """No cookie, token or query is in a key, so none may reach the service and shape an answer."""
    policies = installation.resources("AWS::CloudFront::CachePolicy")
    for one in policies.values():
        keyed = one["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
        assert keyed["CookiesConfig"] == {"CookieBehavior": "none"}
        assert keyed["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
        assert set(keyed["HeadersConfig"]["Headers"]) <= {"Host", "Accept-Language"}
    narrow = installation.only("AWS::CloudFront::OriginRequestPolicy")["OriginRequestPolicyConfig"]
    assert narrow["CookiesConfig"] == {"CookieBehavior": "none"}
    assert narrow["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
    assert set(narrow["HeadersConfig"]["Headers"]) == {"Host", HEADER}
    name = next(iter(installation.resources("AWS::CloudFront::OriginRequestPolicy")))
    for one in cdn(installation)["CacheBehaviors"]:
        assert one["OriginRequestPolicyId"] == {"Ref": name}


def test_every_request_gets_a_lane(installation: Installation) -> None:
    config = cdn(installation)
    for one in (config["DefaultCacheBehavior"], *config["CacheBehaviors"]):
        (function,) = one["FunctionAssociations"]
        assert function["EventType"] == "viewer-request"
        assert one["ViewerProtocolPolicy"] == "redirect-to-https"
    assert installation.only("AWS::CloudFront::Function")["FunctionCode"] == lane_script()


def test_the_lanes_have_their_shares(tmp_path: Path) -> None:
    """The CDN's function itself, run by Node.js for visitors with neighbouring addresses."""
    script = tmp_path / "lane.js"
    script.write_text(
        lane_script()
        + f"""
const counts = {{}};
for (let at = 0; at < {VISITORS}; at++) {{
  const ip = at % 2
    ? `203.0.${{at >> 8 & 255}}.${{at & 255}}`
    : `2001:db8:${{at.toString(16)}}::1`;
  const headers = {{ '{HEADER}': {{ value: 'rest' }}, traceparent: {{ value: 'x' }},
    'x-request-id': {{ value: 'x' }}, cookie: {{ value: 'kept' }} }};
  const request = handler({{ viewer: {{ ip }}, request: {{ headers }} }});
  const again = handler({{ viewer: {{ ip }}, request: {{ headers: {{}} }} }});
  const lane = request.headers['{HEADER}'].value;
  if (lane !== again.headers['{HEADER}'].value) throw new Error(ip);
  if (Object.keys(request.headers).sort().join() !== 'cookie,{HEADER}') throw new Error('headers');
  counts[lane] = (counts[lane] || 0) + 1;
}}
console.log(JSON.stringify(counts));
"""
    )
    counts = json.loads(subprocess.check_output(["node", script], text=True))
    assert set(counts) == {lane.name for lane in LANES}
    for lane in LANES:
        share = 100 * counts[lane.name] / VISITORS
        # Four standard deviations of a fair draw.
        spread = 4 * (lane.share * (100 - lane.share) / VISITORS) ** 0.5
        assert abs(share - lane.share) < spread, counts


def test_the_firewall_limits_addresses(installation: Installation) -> None:
    firewall = installation.only("AWS::WAFv2::WebACL")
    assert firewall["Scope"] == "CLOUDFRONT"
    limits = {
        rule["Name"]: rule["Statement"]["RateBasedStatement"]["Limit"]
        for rule in firewall["Rules"]
        if "RateBasedStatement" in rule["Statement"]
    }
    assert limits == {"requests": 20_000, "entries": 3_000}
    assert "WebACLId" in cdn(installation)


def test_the_names_lead_to_the_cdn(installation: Installation) -> None:
    records = installation.resources("AWS::Route53::RecordSet").values()
    assert sorted((one["Name"], one["Type"]) for one in records) == [
        ("queue.shop.example.com.", "A"),
        ("queue.shop.example.com.", "AAAA"),
        ("tickets.shop.example.com.", "A"),
        ("tickets.shop.example.com.", "AAAA"),
    ]


def test_both_ways_to_the_services_have_a_certificate(installation: Installation) -> None:
    for stack in ("global", "services"):
        (one,) = (
            resource["Properties"]
            for resource in installation.templates[stack]["Resources"].values()
            if resource["Type"] == "AWS::CertificateManager::Certificate"
        )
        assert one["DomainName"] == "queue.shop.example.com"
        assert one["SubjectAlternativeNames"] == ["tickets.shop.example.com"]
