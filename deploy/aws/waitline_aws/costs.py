"""Costs of an installation, from the list prices in `prices.json`: `python -m waitline_aws.costs`.

An estimate: what runs all the time is exact but for the prices, what depends on visitors is that of
one sale.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from waitline_aws.lanes import LANES
from waitline_aws.sizes import SIZES, Size, Tasks

PRICES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "prices.json").read_text("utf-8"))

SERVICES_IN_LANES = ("queue", "booking")
VALKEY_NODES = 6
ZONES = 3
ALARMS, METRICS, SECRETS, KEYS, FIREWALL_RULES = 45, 15, 6, 1, 4

SALE = {
    "cdn_million_requests": 8.0,
    "firewall_million_requests": 8.0,
    "cdn_gib": 60.0,
    "nat_gib": 5.0,
    "load_balancer_capacity_hour": 700.0,
}
"""A sale of 300 000 visitors who wait 4 minutes on average and poll every 10 s: 7.2 million polls,
some 8 kB of pages and files for most of them, 12 400 requests a second for ten minutes at the peak
(a unit of the load balancer's capacity is 25 new connections a second, or 1 GiB an hour)."""


class Costs(NamedTuple):
    """Costs, in US dollars.

    Attributes:
        idle_per_hour: With the fewest tasks, by part.
        busy_per_hour: In all, with the most tasks.
    """

    idle_per_hour: dict[str, float]
    busy_per_hour: float

    @property
    def hour(self) -> float:
        """An hour without visitors."""
        return sum(self.idle_per_hour.values())

    @property
    def month(self) -> float:
        """A month without visitors."""
        return self.hour * PRICES["hours_per_month"]


def costs(size: Size) -> Costs:
    """Return the costs of a size."""
    hour, month = PRICES["per_hour"], PRICES["per_month"]
    per_hour = 1 / PRICES["hours_per_month"]
    watched = (
        ALARMS * month["alarm"]
        + METRICS * month["metric"]
        + SECRETS * month["secret"]
        + KEYS * month["key"]
        + month["dashboard"]
        + month["hosted_zone"]
        + month["firewall"]
        + FIREWALL_RULES * month["firewall_rule"]
    )
    fixed = {
        "Valkey": VALKEY_NODES * hour[size.valkey_node],
        # With its standby.
        "PostgreSQL": hour[f"multi_az.{size.database}"]
        + size.database_gib * month["multi_az_gib"] * per_hour,
        "load balancer and NAT": hour["load_balancer"] + ZONES * hour["nat_gateway"],
        "secrets, alarms, firewall, DNS": watched * per_hour,
    }
    return Costs(
        {"tasks": _tasks(size, busy=False), **fixed},
        _tasks(size, busy=True) + sum(fixed.values()),
    )


def _tasks(size: Size, *, busy: bool) -> float:
    found = 0.0
    for service in (*SERVICES_IN_LANES, "admitter"):
        tasks: Tasks = getattr(size, service)
        count = tasks.most if busy else tasks.least
        if service in SERVICES_IN_LANES:
            count = sum(lane.part(count) for lane in LANES)
        found += count * (
            tasks.cpu / 1_024 * PRICES["per_hour"]["fargate_vcpu"]
            + tasks.memory_mib / 1_024 * PRICES["per_hour"]["fargate_gib"]
        )
    return found


def sale() -> float:
    """Return what one sale of 300 000 visitors adds, in US dollars."""
    return sum(amount * PRICES["per_use"][what] for what, amount in SALE.items())


def table() -> str:
    """Return the costs of both sizes as a table in Markdown."""
    found = {name: costs(size) for name, size in SIZES.items()}
    names = list(found)
    rows = [
        f"| US dollars | {' | '.join(names)} |",
        "|---|" + "--:|" * len(names),
        *(
            f"| {part}, an hour | "
            + " | ".join(f"{found[name].idle_per_hour[part]:.2f}" for name in names)
            + " |"
            for part in found[names[0]].idle_per_hour
        ),
        "| **all, an hour** | "
        + " | ".join(f"**{found[name].hour:.2f}**" for name in names)
        + " |",
        "| **all, a month** | "
        + " | ".join(f"**{found[name].month:,.0f}**" for name in names)
        + " |",
        "| an hour with the most tasks | "
        + " | ".join(f"{found[name].busy_per_hour:.2f}" for name in names)
        + " |",
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
    print(f"\nA sale of 300,000 visitors adds {sale():.0f} US dollars.")
