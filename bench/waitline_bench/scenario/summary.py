"""Parse the summary and the log of k6. Pure.

Source: `--summary-export` of k6 1.x. A threshold there is `true` if it was crossed, so `false` is a
pass.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

QUANTILES = {"p50_ms": "med", "p95_ms": "p(95)", "p99_ms": "p(99)", "max_ms": "max"}
"""Our names for k6's statistics; a script that sets its own may lack some."""

_CONDITION = re.compile(r"^\s*([\w.]+(?:\([\d.]+\))?)\s*(<=|>=|<|>|===?|!=)")
_NUMBER = re.compile(r"(\d+)")
_NAMED = re.compile(r"^http_req_duration\{name:([^}]+)\}$")

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Threshold:
    """One threshold of a run.

    Attributes:
        subject: What is measured.
        condition: Condition on it.
        value: Measured value; `None` if it is missing.
        ok: Whether the condition holds.
        by: Where it was measured: `k6` (client) or `server`.
    """

    subject: str
    condition: str
    value: float | None
    ok: bool
    by: str = "k6"


@dataclass(frozen=True, slots=True)
class Check:
    """One check of k6, with its passes and failures."""

    name: str
    passes: int
    fails: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of k6.

    Attributes:
        iterations: Completed arrivals.
        dropped: Arrivals dropped for lack of a free virtual user.
        requests: Requests sent.
        lasted_s: Time from the first arrival to the end of the last.
        times: Latencies by call, in ms, by the names in `QUANTILES`; `all` for all calls.
        failed: Share of the requests that failed.
        rates: Share of successes of each custom rate.
        trends: Custom trends, in ms.
        thresholds: Thresholds, in the order of the metrics.
        checks: Checks, in the order of the script.
        errors: Exceptions of the script, one line each.
    """

    iterations: int
    dropped: int
    requests: int
    lasted_s: float
    times: Mapping[str, Figures]
    failed: float
    rates: Figures
    trends: Mapping[str, Figures]
    thresholds: Sequence[Threshold]
    checks: Sequence[Check]
    errors: Sequence[str]

    @property
    def answers_checked(self) -> int:
        """Number of checked answers."""
        return sum(check.passes + check.fails for check in self.checks)

    @property
    def checks_failed(self) -> int:
        """Number of failed checks."""
        return sum(check.fails for check in self.checks)

    @property
    def tolerates(self) -> bool:
        """Whether the script has a threshold on checks."""
        return any(threshold.subject.partition("{")[0] == "checks" for threshold in self.thresholds)


def parse_summary(text: str, log: str) -> Summary:
    """Parse k6's summary and log."""
    document = json.loads(text)
    metrics: dict[str, Any] = document["metrics"]
    iterations = metrics.get("iterations", {})
    rate = iterations.get("rate") or 0.0
    times = {"all": _times(metrics.get("http_req_duration", {}))}
    for name, metric in metrics.items():
        if found := _NAMED.match(name):
            times[found[1]] = _times(metric)
    return Summary(
        iterations=int(iterations.get("count", 0)),
        dropped=int(metrics.get("dropped_iterations", {}).get("count", 0)),
        requests=int(metrics.get("http_reqs", {}).get("count", 0)),
        lasted_s=iterations["count"] / rate if rate else 0.0,
        times=times,
        failed=float(metrics.get("http_req_failed", {}).get("value", 0.0)),
        rates={name: float(metrics[name]["value"]) for name in _own(metrics, "passes")},
        trends={name: _times(metrics[name]) for name in _own(metrics, "med")},
        thresholds=[
            _threshold(name, condition, crossed, metric)
            for name, metric in sorted(metrics.items(), key=_naturally)
            for condition, crossed in sorted(metric.get("thresholds", {}).items())
        ],
        checks=_checks(document["root_group"]) or _unnamed(metrics.get("checks", {})),
        errors=thrown(log),
    )


def _naturally(item: tuple[str, Any]) -> list[tuple[int, str]]:
    """Sort numbers within names by their size."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in _NUMBER.split(item[0])]


def thrown(log: str) -> list[str]:
    """Return the exceptions of the script, from k6's log, which alone has them."""
    errors = []
    for line in log.splitlines():
        # k6 logs JSON; other lines are skipped.
        if line.startswith("{"):
            said = json.loads(line)
            if said.get("source") == "stacktrace":
                errors.append(" ".join(str(said["msg"]).split()))
    return errors


def _own(metrics: Mapping[str, Any], figure: str) -> list[str]:
    """Return the script's own metrics that have a figure."""
    builtin = ("http_", "checks", "iteration", "group_duration", "ws_", "grpc_", "browser_")
    return [
        name
        for name, metric in sorted(metrics.items())
        if figure in metric and "{" not in name and not name.startswith(builtin)
    ]


def _times(metric: Mapping[str, Any]) -> dict[str, float]:
    times = {name: float(metric[word]) for name, word in QUANTILES.items() if word in metric}
    if "count" in metric:
        times["count"] = float(metric["count"])
    return times


def _threshold(name: str, condition: str, crossed: bool, metric: Mapping[str, Any]) -> Threshold:  # noqa: FBT001
    found = _CONDITION.match(condition)
    word = found[1] if found else ""
    # k6 writes the median under the requested name, and a rate as `value`.
    for key in {"p(50)": ("p(50)", "med"), "rate": ("value", "rate")}.get(word, (word,)):
        if key in metric:
            return Threshold(name, condition, float(metric[key]), not crossed)
    return Threshold(name, condition, None, not crossed)


def _unnamed(metric: Mapping[str, Any]) -> list[Check]:
    """Return the checks of a script that has k6 drop their names."""
    passes, fails = int(metric.get("passes", 0)), int(metric.get("fails", 0))
    return [Check("all checks", passes, fails)] if passes + fails else []


def _checks(group: Mapping[str, Any]) -> list[Check]:
    own = [
        Check(check["name"], int(check["passes"]), int(check["fails"]))
        for check in group.get("checks", {}).values()
    ]
    return own + [check for inner in group.get("groups", {}).values() for check in _checks(inner)]
