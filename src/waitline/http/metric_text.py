"""Prometheus text format, version 0.0.4, and OpenMetrics: rendering of metric families.

The Prometheus library builds a dictionary of labels per sample and sorts it; for a page of 1 000
rooms that took ten times as long as this (decision 0050).

Source: https://prometheus.io/docs/instrumenting/exposition_formats/; OpenMetrics 1.0.0.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate
from math import isfinite

from waitline.http.metric_families import FamilySamples
from waitline.kernel.instruments import Exemplar, Family, HistogramState, Labels

LABEL_TEXTS_MAX = 16_384
"""Label sets whose text is cached: those of 1 000 rooms, by reason too, and of all requests. Some
200 bytes each, 3 MB."""


def rendered(
    metrics: Iterable[FamilySamples],
    shared: Mapping[str, str],
    on_dropped: Callable[[str], None],
    *,
    openmetrics: bool = False,
) -> bytes:
    """Render metrics.

    Args:
        metrics: The metrics, each family once.
        shared: Labels of every sample.
        on_dropped: Called with the name of a sample that is not a finite number; it is left out.
        openmetrics: Whether to render OpenMetrics, which has exemplars, instead of the text format.
    """
    names = tuple(sorted(shared))
    common = label_text(names, tuple(shared[name] for name in names)).removesuffix(",")
    lines: list[str] = []
    for family, values, states in metrics:
        name = family.exposed
        title = family.name if openmetrics else name
        lines += (f"# HELP {title} {_escaped(family.meaning)}", f"# TYPE {title} {family.kind}")
        for labels, value in values:
            if isfinite(value):
                own = label_text(family.labels, labels)
                lines.append(f"{name}{{{own}{common}}} {float(value)!r}")
            else:
                on_dropped(name)
        for labels, state in states:
            exemplars = state.exemplars if openmetrics else {}
            own = label_text(family.labels, labels)
            lines += _histogram(family, own, common, state, exemplars)
    lines += ["# EOF", ""] if openmetrics else [""]
    # A name that another program wrote into the store must not cost the page.
    return "\n".join(lines).encode(errors="replace")


@lru_cache(maxsize=LABEL_TEXTS_MAX)
def label_text(names: Labels, values: Labels) -> str:
    """Return labels as they are between the braces, each with a comma after it."""
    return "".join(
        f'{name}="{_escaped(value, quotes=True)}",'
        for name, value in zip(names, values, strict=True)
    )


def _histogram(
    family: Family,
    own: str,
    common: str,
    state: HistogramState,
    exemplars: Mapping[int, Exemplar],
) -> Iterator[str]:
    name = family.name
    buckets = zip(_bounds(family.bounds), accumulate(state.counts), strict=True)
    for index, (bound, count) in enumerate(buckets):
        shown = exemplars.get(index)
        example = "" if shown is None else _exemplar(shown)
        yield f'{name}_bucket{{{own}le="{bound}",{common}}} {count}{example}'
    yield f"{name}_count{{{own}{common}}} {sum(state.counts)}"
    yield f"{name}_sum{{{own}{common}}} {state.total!r}"


def _exemplar(one: Exemplar) -> str:
    return f' # {{trace_id="{one.trace_id}"}} {one.observed!r} {one.at_s!r}'


@lru_cache(maxsize=64)
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """Return the bounds as label values, as the Prometheus libraries write them."""
    return (*(repr(float(bound)) for bound in bounds), "+Inf")


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
