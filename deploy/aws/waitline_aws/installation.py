"""An installation: what the operator gives (`cdk -c NAME=VALUE`), and its stacks in their order."""

import re
from dataclasses import dataclass

from aws_cdk import App, Environment, Stack, Tags

from waitline_aws.fargate import Services
from waitline_aws.findings import accept
from waitline_aws.foundation import Foundation
from waitline_aws.front import Front, Global
from waitline_aws.sizes import SIZES, Size
from waitline_aws.stores import Stores
from waitline_aws.watch import Watch

GLOBAL_REGION = "us-east-1"
"""Where AWS keeps the certificate and the firewall of a CDN."""

_GIVEN = {
    "account": (r"\d{12}", "the AWS account: 123456789012"),
    "region": (r"[a-z]{2}(-[a-z]+)+-\d", "the region: ap-northeast-2"),
    "zone": (r"([a-z0-9-]+\.)+[a-z]{2,}", "the hosted zone's name in Route 53: example.com"),
    "zone_id": (r"Z[A-Z0-9]+", "the hosted zone's id: Z0123456789ABCDEFGHIJ"),
    "version": (r"[0-9A-Za-z_][0-9A-Za-z._-]{0,127}", "the images' tag: 1.4.0"),
    "prefix_list": (
        r"pl-[0-9a-f]+",
        "the id of the region's prefix list com.amazonaws.global.cloudfront.origin-facing",
    ),
    "alarm_email": (r"[^@\s]+@[^@\s]+", "who gets the alarms: oncall@example.com"),
    "payments": ("stripe|toss", "the payment provider: stripe or toss"),
    "size": ("|".join(SIZES), f"the size: {' or '.join(SIZES)}"),
}
"""What must be given: how it looks, and what it is."""


class NotGiven(SystemExit):
    """A value is missing or wrong; the message is one line with the remedy."""


@dataclass(frozen=True)
class Given:
    """What the operator gives.

    Attributes:
        environment: Account and region.
        zone: Name of the hosted zone; the hosts are `queue.` and `tickets.` below it.
        zone_id: The hosted zone's id.
        version: Tag of the images.
        prefix_list: CloudFront's addresses as the region's prefix list.
        alarm_email: Address that gets the alarms.
        payments: The payment provider.
        size: The size.
    """

    environment: Environment
    zone: str
    zone_id: str
    version: str
    prefix_list: str
    alarm_email: str
    payments: str
    size: Size

    @property
    def queue_host(self) -> str:
        """Host of the waiting room."""
        return f"queue.{self.zone}"

    @property
    def shop_host(self) -> str:
        """Host of the box office."""
        return f"tickets.{self.zone}"


def given(app: App) -> Given:
    """Read what the operator gives.

    Raises:
        NotGiven: Something is missing or malformed.
    """
    values: dict[str, str] = {}
    for name, (pattern, meaning) in _GIVEN.items():
        value = app.node.try_get_context(name)
        if value is None:
            raise NotGiven(f"-c {name}=… is missing: {meaning}")
        if not re.fullmatch(pattern, str(value)):
            raise NotGiven(f"-c {name}={value} is not {meaning}")
        values[name] = str(value)
    return Given(
        environment=Environment(account=values["account"], region=values["region"]),
        zone=values["zone"],
        zone_id=values["zone_id"],
        version=values["version"],
        prefix_list=values["prefix_list"],
        alarm_email=values["alarm_email"],
        payments=values["payments"],
        size=SIZES[values["size"]],
    )


def build(app: App) -> dict[str, Stack]:
    """Add the stacks of an installation to an app; return them by name."""
    what = given(app)
    home = what.environment
    world = Environment(account=home.account, region=GLOBAL_REGION)
    foundation = Foundation(app, "waitline-foundation", what.alarm_email, env=home)
    stores = Stores(app, "waitline-stores", foundation, what.size, env=home)
    services = Services(app, "waitline-services", what, foundation, stores, env=home)
    everywhere = Global(app, "waitline-global", what, env=world)
    front = Front(app, "waitline-front", what, services, everywhere, env=home)
    watch = Watch(app, "waitline-watch", foundation, stores, services, env=home)
    stacks = (foundation, stores, services, everywhere, front, watch)
    for stack in stacks:
        stack.termination_protection = True
        Tags.of(stack).add("application", "waitline")
    accept(app)
    return {stack.stack_name: stack for stack in stacks}
