"""Front: certificate and firewall in the CDN's region, the CDN, and the names in DNS."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from aws_cdk import CfnOutput, Duration, Environment, Stack
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_cloudfront as cdn
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from waitline_aws.fargate import Services
from waitline_aws.foundation import log_bucket
from waitline_aws.lanes import HEADER, LANES

if TYPE_CHECKING:
    from waitline_aws.installation import Given

REQUESTS_PER_ADDRESS = 20_000
"""Requests of an address in five minutes, above which it is blocked: 67 a second. A visitor polls
every three seconds at most, and a mobile carrier puts thousands behind one address; the limits of a
room are the finer ones (`docs/operations.md`)."""

ENTRIES_PER_ADDRESS = 3_000
"""The same for `enter`: a visitor calls it once."""

FIREWALL_GROUPS = ("AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet")
"""Rules of AWS. Those against SQL and scripts are left out: they read bodies, and names of visitors
and concerts are free text."""

CACHED = {
    "/api/v1/rooms/*/now-serving": ("now-serving", Duration.seconds(1)),
    "/pages/*": ("files", Duration.days(365)),
    "/start/*": ("files", Duration.days(365)),
    "/shop/assets/*": ("files", Duration.days(365)),
    "/api/v1/concerts": ("catalogue", Duration.seconds(5)),
    "/api/v1/concerts/*": ("catalogue", Duration.seconds(5)),
}
"""Paths that are cached, with the longest time; the services' `Cache-Control` says how long. All
of them are the same for everybody. Nothing else is cached: not the list of seats either, which only
admitted visitors may see (decision 0067)."""

_LANE_SCRIPT = Path(__file__).parents[1] / "lane.js"


def lane_script() -> str:
    """Return the CDN's function, with the lanes."""
    shares = json.dumps([[lane.name, lane.share] for lane in LANES])
    text = _LANE_SCRIPT.read_text("utf-8")
    return text.replace("var LANES = [];", f"var LANES = {shares};").replace(
        "var LANE_HEADER = '';", f"var LANE_HEADER = {json.dumps(HEADER)};"
    )


class Global(Stack):
    """What AWS wants in the CDN's own region.

    Attributes:
        certificate: Of both hosts.
        firewall: The firewall.
    """

    def __init__(self, scope: Construct, name: str, what: "Given", *, env: Environment) -> None:
        super().__init__(scope, name, env=env, cross_region_references=True)
        zone = route53.HostedZone.from_hosted_zone_attributes(
            self, "Zone", hosted_zone_id=what.zone_id, zone_name=what.zone
        )
        self.certificate = certificates.Certificate(
            self,
            "Certificate",
            domain_name=what.queue_host,
            subject_alternative_names=[what.shop_host],
            validation=certificates.CertificateValidation.from_dns(zone),
        )
        enters = waf.CfnWebACL.StatementProperty(
            byte_match_statement=waf.CfnWebACL.ByteMatchStatementProperty(
                field_to_match=waf.CfnWebACL.FieldToMatchProperty(uri_path={}),
                positional_constraint="EXACTLY",
                search_string="/api/v1/queue/enter",
                text_transformations=[
                    waf.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")
                ],
            )
        )
        self.firewall = waf.CfnWebACL(
            self,
            "Firewall",
            scope="CLOUDFRONT",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visible("waitline"),
            rules=[
                _rate_rule("requests", 0, REQUESTS_PER_ADDRESS, None),
                _rate_rule("entries", 1, ENTRIES_PER_ADDRESS, enters),
                *(_managed_rule(group, 2 + at) for at, group in enumerate(FIREWALL_GROUPS)),
            ],
        )


def _visible(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=True
    )


def _rate_rule(
    name: str, priority: int, limit: int, narrower: waf.CfnWebACL.StatementProperty | None
) -> waf.CfnWebACL.RuleProperty:
    # Waitline's own refusal, so that clients wait as they do after any 429.
    blocked = waf.CfnWebACL.BlockActionProperty(
        custom_response=waf.CfnWebACL.CustomResponseProperty(
            response_code=429,
            response_headers=[
                waf.CfnWebACL.CustomHTTPHeaderProperty(name="Retry-After", value="60")
            ],
        )
    )
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        action=waf.CfnWebACL.RuleActionProperty(block=blocked),
        statement=waf.CfnWebACL.StatementProperty(
            rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP",
                limit=limit,
                evaluation_window_sec=300,
                scope_down_statement=narrower,
            )
        ),
        visibility_config=_visible(name),
    )


def _managed_rule(group: str, priority: int) -> waf.CfnWebACL.RuleProperty:
    return waf.CfnWebACL.RuleProperty(
        name=group,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS", name=group
            )
        ),
        visibility_config=_visible(group),
    )


class Front(Stack):
    """The CDN and the names.

    Attributes:
        distribution: The CDN.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        what: "Given",
        services: Services,
        everywhere: Global,
        *,
        env: Environment,
    ) -> None:
        super().__init__(scope, name, env=env, cross_region_references=True)
        self._origin = origins.VpcOrigin.with_application_load_balancer(
            services.balancer,
            protocol_policy=cdn.OriginProtocolPolicy.HTTPS_ONLY,
            origin_ssl_protocols=[cdn.OriginSslPolicy.TLS_V1_2],
            https_port=443,
            # Above the 15 s of an event stream's comments, below the balancer's idle timeout.
            read_timeout=Duration.seconds(30),
            keepalive_timeout=Duration.seconds(50),
        )
        self._lane = cdn.FunctionAssociation(
            event_type=cdn.FunctionEventType.VIEWER_REQUEST,
            function=cdn.Function(
                self,
                "Lane",
                code=cdn.FunctionCode.from_inline(lane_script()),
                runtime=cdn.FunctionRuntime.JS_2_0,
                comment="Puts each visitor into a lane",
            ),
        )
        self._policies = self._cache_policies()
        # Cached answers are the same for everybody, so nothing of a visitor reaches the origin.
        self._narrow = cdn.OriginRequestPolicy(
            self,
            "Narrow",
            comment="Host and lane only",
            header_behavior=cdn.OriginRequestHeaderBehavior.allow_list("Host", HEADER),
            cookie_behavior=cdn.OriginRequestCookieBehavior.none(),
            query_string_behavior=cdn.OriginRequestQueryStringBehavior.none(),
        )
        self.distribution = self._distribution(what, everywhere)
        self._names(what)

    def _cache_policies(self) -> dict[str, cdn.CachePolicy]:
        keyed_by_language = {"catalogue"}
        longest = dict(CACHED.values())
        return {
            kind: cdn.CachePolicy(
                self,
                f"Cache-{kind}",
                comment=f"{kind}: as long as the service says",
                min_ttl=Duration.seconds(0),
                default_ttl=Duration.seconds(0),
                max_ttl=ttl,
                header_behavior=(
                    cdn.CacheHeaderBehavior.allow_list("Host", "Accept-Language")
                    if kind in keyed_by_language
                    else cdn.CacheHeaderBehavior.allow_list("Host")
                ),
                cookie_behavior=cdn.CacheCookieBehavior.none(),
                query_string_behavior=cdn.CacheQueryStringBehavior.none(),
                enable_accept_encoding_gzip=True,
                enable_accept_encoding_brotli=True,
            )
            for kind, ttl in longest.items()
        }

    def _cached(self, kind: str) -> cdn.BehaviorOptions:
        return cdn.BehaviorOptions(
            origin=self._origin,
            allowed_methods=cdn.AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
            cached_methods=cdn.CachedMethods.CACHE_GET_HEAD,
            viewer_protocol_policy=cdn.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            cache_policy=self._policies[kind],
            origin_request_policy=self._narrow,
            function_associations=[self._lane],
            compress=True,
        )

    def _distribution(self, what: "Given", everywhere: Global) -> cdn.Distribution:
        log = log_bucket(self, "CdnLog", s3.ObjectOwnership.OBJECT_WRITER)
        return cdn.Distribution(
            self,
            "Cdn",
            comment="Waitline",
            domain_names=[what.queue_host, what.shop_host],
            certificate=everywhere.certificate,
            web_acl_id=everywhere.firewall.attr_arn,
            minimum_protocol_version=cdn.SecurityPolicyProtocol.TLS_V1_2_2021,
            http_version=cdn.HttpVersion.HTTP2_AND_3,
            enable_ipv6=True,
            enable_logging=True,
            log_bucket=log,
            # Names of visitors and passes are in cookies and addresses.
            log_includes_cookies=False,
            default_behavior=cdn.BehaviorOptions(
                origin=self._origin,
                allowed_methods=cdn.AllowedMethods.ALLOW_ALL,
                viewer_protocol_policy=cdn.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                cache_policy=cdn.CachePolicy.CACHING_DISABLED,
                origin_request_policy=cdn.OriginRequestPolicy.ALL_VIEWER,
                function_associations=[self._lane],
                # The services compress by themselves, and event streams must not be held back.
                compress=False,
            ),
            additional_behaviors={path: self._cached(kind) for path, (kind, _) in CACHED.items()},
            # A file of a new version is missing in a lane that has the old one for a moment only.
            error_responses=[
                cdn.ErrorResponse(http_status=status, ttl=Duration.seconds(0))
                for status in (404, 500, 502, 503, 504)
            ],
        )

    def _names(self, what: "Given") -> None:
        zone = route53.HostedZone.from_hosted_zone_attributes(
            self, "Zone", hosted_zone_id=what.zone_id, zone_name=what.zone
        )
        here = route53.RecordTarget.from_alias(targets.CloudFrontTarget(self.distribution))
        for name, host in (("Queue", what.queue_host), ("Shop", what.shop_host)):
            route53.ARecord(self, f"{name}4", zone=zone, record_name=f"{host}.", target=here)
            route53.AaaaRecord(self, f"{name}6", zone=zone, record_name=f"{host}.", target=here)
            CfnOutput(self, f"{name}Address", value=f"https://{host}")
