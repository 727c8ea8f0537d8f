"""What PromQL expressions of dashboards and alerts name, and how they read with all variables."""

import re

from waitline.kernel.collected_metrics import FAMILIES

# Of Prometheus itself, about its targets.
OF_PROMETHEUS = {"up", "scrape_duration_seconds", "scrape_samples_scraped"}

EXPOSED = {
    f"{family.exposed}{suffix}": family
    for family in FAMILIES.values()
    for suffix in (("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",))
}

_SELECTOR = re.compile(r"\b([a-z]\w*_\w+|up)(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})?")
_NOT_METRICS = {"histogram_quantile", "clamp_min", "concert_id"}


def filled(expr: str) -> str:
    """Return an expression with Grafana's variables replaced, as if all were chosen."""
    return re.sub(r"\$(instance|room)", ".*", expr).replace("$__rate_interval", "30s")


def metrics(expr: str) -> dict[str, set[str]]:
    """Return the metrics that an expression names, with the labels that select them."""
    found: dict[str, set[str]] = {}
    # Labels to group by are no metrics.
    bare = re.sub(r"\bby \([^)]*\)", "", expr)
    for name, selector in _SELECTOR.findall(bare):
        if name not in _NOT_METRICS and not _is_label(name, bare):
            labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", selector))
            found.setdefault(name, set()).update(labels)
    return found


def _is_label(name: str, expr: str) -> bool:
    """Return whether a name only occurs before an operator of a selector."""
    return all(
        re.match(r"(=~|!~|!=|=)\"", expr[at.end() :]) for at in re.finditer(rf"\b{name}\b", expr)
    )
