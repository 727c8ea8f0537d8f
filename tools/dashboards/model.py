"""Panels, dashboards and alerts, as data."""

from typing import NamedTuple

INSTANCE = 'instance=~"$instance"'
"""Selects the instances that are chosen in the dashboard."""

ROOM = f'concert_id=~"$room",{INSTANCE}'
"""Selects the rooms, too."""

RATE = "$__rate_interval"
"""Grafana's range for rates: four scrapes at least."""


class Query(NamedTuple):
    """One query of a panel.

    Attributes:
        expr: In PromQL, with the dashboard's variables.
        legend: Name of its lines, with labels in double braces.
    """

    expr: str
    legend: str


class Panel(NamedTuple):
    """One panel: lines over time.

    Attributes:
        title: Its title, unique in its dashboard.
        unit: Unit, as Grafana names it.
        description: What it shows, and what is normal.
        queries: Its queries.
        thresholds: Values from which it is yellow, and red.
    """

    title: str
    unit: str
    description: str
    queries: tuple[Query, ...]
    thresholds: tuple[float, ...] = ()


class Board(NamedTuple):
    """One dashboard.

    Attributes:
        uid: Name of its file, and part of its address.
        title: Its title.
        description: The question that it answers.
        panels: In order, two in a row.
    """

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]

    def panel_id(self, title: str) -> int:
        """Return the number of a panel."""
        return [one.title for one in self.panels].index(title) + 1


class Alert(NamedTuple):
    """One alert.

    Attributes:
        name: Its name, and the heading of its runbook in docs/operations.md.
        expr: Condition, in PromQL.
        lasting: How long it must hold.
        severity: `page`: somebody must act now; `ticket`: within a day.
        summary: What is wrong, in one line.
        board: Dashboard that shows it.
        panel: Panel of it.
    """

    name: str
    expr: str
    lasting: str
    severity: str
    summary: str
    board: str
    panel: str

    @property
    def runbook(self) -> str:
        """Where docs/operations.md says what to do."""
        return f"operations.md#{self.name.lower()}"


def per_second(counter: str, labels: str, by: str) -> str:
    """Return the rate of a counter, summed."""
    return f"sum by ({by}) (rate({counter}{{{labels}}}[{RATE}]))"


def quantile(share: float, histogram: str, labels: str, by: str) -> str:
    """Return a quantile of a histogram; without observations there is none, rather than NaN."""
    buckets = f"rate({histogram}_bucket{{{labels}}}[{RATE}])"
    return f"histogram_quantile({share}, sum by (le, {by}) ({buckets})) >= 0"


def of_room(gauge: str) -> str:
    """Return a figure of the rooms; every instance of the queue service reports it."""
    return f"max by (concert_id) ({gauge}{{{ROOM}}})"


def total_of_room(counter: str, more: str = "") -> str:
    """Return the rate of a counter of the rooms; every instance reports it."""
    by = ", ".join(filter(None, ("concert_id", more)))
    return f"max by ({by}) (rate({counter}{{{ROOM}}}[{RATE}]))"
