"""Prometheus text format, version 0.0.4: rendering of metric families.

The Prometheus library builds a dictionary of labels per sample and sorts it; for a page of 1 000
rooms that took ten times as long as this (decision 0050).

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate
from math import isfinite

from waitline.http.metric_families import FamilySamples
from waitline.kernel.instruments import Family, HistogramState, Labels

LABEL_TEXTS_MAX = 16_384
"""Label sets whose text is cached: those of 1 000 rooms, by reason too, and of all requests. Some
200 bytes each, 3 MB."""


def rendered(
    metrics: Iterable[FamilySamples], shared: Mapping[str, str], on_dropped: Callable[[str], None]
) -> bytes:
    """Render metrics.

    Args:
        metrics: The metrics, each family once.
        shared: Labels of every sample.
        on_dropped: Called with the name of a sample that is not a finite number; it is left out.
    """
    names = tuple(sorted(shared))
    common = label_text(names, tuple(shared[name] for name in names)).removesuffix(",")
    lines: list[str] = []
    for family, values, states in metrics:
        name = family.exposed
        lines += (f"# HELP {name} {_escaped(family.meaning)}", f"# TYPE {name} {family.kind}")
        for labels, value in values:
            if isfinite(value):
                own = label_text(family.labels, labels)
                lines.append(f"{name}{{{own}{common}}} {float(value)!r}")
            else:
                on_dropped(name)
        for labels, state in states:
            lines += _histogram(family, label_text(family.labels, labels), common, state)
    lines.append("")
    # A name that another program wrote into the store must not cost the page.
    return "\n".join(lines).encode(errors="replace")


@lru_cache(maxsize=LABEL_TEXTS_MAX)
def label_text(names: Labels, values: Labels) -> str:
    """Return labels as they are between the braces, each with a comma after it."""
    return "".join(
        f'{name}="{_escaped(value, quotes=True)}",'
        for name, value in zip(names, values, strict=True)
    )


def _histogram(family: Family, own: str, common: str, state: HistogramState) -> Iterator[str]:
    name = family.name
    for bound, count in zip(_bounds(family.bounds), accumulate(state.counts), strict=True):
        yield f'{name}_bucket{{{own}le="{bound}",{common}}} {count}'
    yield f"{name}_count{{{own}{common}}} {sum(state.counts)}"
    yield f"{name}_sum{{{own}{common}}} {state.total!r}"


@lru_cache(maxsize=64)
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """Return the bounds as label values, as the Prometheus libraries write them."""
    return (*(repr(float(bound)) for bound in bounds), "+Inf")


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
