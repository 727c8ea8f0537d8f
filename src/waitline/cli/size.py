"""`waitline size`: what a sale needs, on paper."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from waitline.cli import options
from waitline.cli.simulate import parsed, predict, require, sale_of
from waitline.kernel.escapes import json_line
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal
from waitline.queue.limits import Limits
from waitline.sales.durations import format_duration
from waitline.sales.simulation import notation
from waitline.sales.simulation.model import Prediction
from waitline.sales.sizing import figures, text
from waitline.sales.sizing.loads import SaleLoads, loads
from waitline.sales.sizing.model import SaleLoad, need

_DEFAULT = Limits()
_VISITORS = (300_000, 1_000_000, 10_000_000)
_EDGES = 50

Visitors = Annotated[
    list[int] | None,
    typer.Option(
        help="Number of visitors; repeat it for a column each; default 300,000, 1 and 10 million",
        show_default=False,
    ),
]
Within = Annotated[str, typer.Option(help="Time in which they arrive, at a constant rate")]
Seats = Annotated[int, typer.Option(help="Seats on sale", min=1, max=10_000_000)]
Rate = Annotated[float, typer.Option(help="Admissions per second")]
ActiveMax = Annotated[int, typer.Option(help="Slots: most visitors inside at once")]
UseTime = Annotated[str, typer.Option("--use", help="Time in the shop: 20s, or 5s..30s (uniform)")]
Hours = Annotated[
    float,
    typer.Option(help="How long everything runs for this sale, for its cost", min=0.1, max=744),
]


def size(
    visitors: Visitors = None,
    within: Within = "60s",
    seats: Seats = 10_000,
    rate: Rate = _DEFAULT.admit_per_s,
    active_max: ActiveMax = _DEFAULT.active_max,
    use: UseTime = "30s..3m",
    hours: Hours = 3.0,
    as_json: options.AsJson = False,
) -> None:
    """Work out what a sale needs: instances, shards, database, CDN requests and money.

    Needs no server: costs are measured ones, the load is that of `waitline simulate`, and prices
    are a provider's list prices. Prints the formulas, their sources, and how far they are from
    measurements. Then rehearse: only a rehearsal shows what your machines do.

    Example: waitline size --visitors 300000 --within 60s --seats 10000
    """
    require("numpy")
    sized = []
    for count in visitors or _VISITORS:
        sale = sale_of(
            parsed("--within", partial(notation.arrivals, within, count)),
            parsed("--use", lambda: notation.use(use)),
            0.0,
            admit_per_s=rate,
            active_max=active_max,
        )
        prediction = predict(sale, _EDGES, 1)
        sized.append((count, prediction, loads(sale, prediction, seats, hours)))
    if as_json:
        typer.echo(json_line(_document(sized)))
    else:
        _print(sized, within, seats)


Sized = Sequence[tuple[int, Prediction, SaleLoads]]


def _document(sized: Sized) -> dict[str, Any]:
    costs, prices = figures.costs(), figures.prices()

    def way(load: SaleLoad) -> dict[str, Any]:
        found = need(load, costs, prices)
        return {
            "load": asdict(load),
            "need": found.parts._asdict(),
            "limits": [limit._asdict() for limit in found.limits],
            "dollars": dict(found.dollars),
        }

    return {
        "sales": [
            {
                "visitors": count,
                "simulation": prediction.figures._asdict(),
                "direct": way(both.direct),
                "cdn": way(both.cdn),
            }
            for count, prediction, both in sized
        ],
        "costs": msgspec.to_builtins(costs),
        "prices": msgspec.to_builtins(prices),
    }


def _print(sized: Sized, within: str, seats: int) -> None:
    console = Terminal()
    costs, prices = figures.costs(), figures.prices()
    names = [f"{count:,}" for count, _, _ in sized]
    console.print(f"Visitors who arrive within {within}; {counted(seats, 'seat')}.")
    simulated = _table("Simulated (waitline simulate)", ["", *names])
    for name, field in (("wait, mean", "mean_ms"), ("everybody admitted after", "drained_ms")):
        values = (getattr(prediction.figures, field) for _, prediction, _ in sized)
        simulated.add_row(name, *(format_duration(ms) for ms in values))
    console.print(simulated)
    for title, which in (
        ("Every visitor polls the service", "direct"),
        (f"Polls through a CDN with {_EDGES} edges", "cdn"),
    ):
        rows = [
            (load, need(load, costs, prices)) for _, _, both in sized
            for load in (getattr(both, which),)
        ]  # fmt: skip
        _add(console, title, ["", *names], text.needs(rows))
        _add(console, "The same: its cost by part, $", ["", *names], text.dollars(rows))
        nearest = {found.limits[0].part: found.limits[0].remedy for _, found in rows}
        for part, remedy in nearest.items():
            console.print(f"First limit: {part}. Beyond it: {remedy}.")
    _add(console, "Formulas", ["", "formula", "measured by"], text.formulas(costs), left=True)
    _add(
        console, "Cores by the formulas / as measured", _COMPARED, text.agreement(costs), whole=True
    )
    console.print(f"\nPrices: {prices.provider}, {prices.as_of}. {prices.note}")


_COMPARED = (
    "", "requests/s", "workers", "error", "Valkey", "error",
)  # fmt: skip


def _add(
    console: Terminal, title: str, headings: Sequence[str], rows: list[text.Row], *,
    left: bool = False, whole: bool = False,
) -> None:  # fmt: skip
    table = _table(title, headings, left=left, whole=whole)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _table(
    title: str, headings: Sequence[str], *, left: bool = False, whole: bool = False
) -> Table:
    """Return an empty table; `whole`: the names in front are wrapped, and no value is."""
    table = Table(title=f"\n{title}", title_justify="left", box=None, pad_edge=False)
    table.add_column(headings[0], no_wrap=not whole)
    for heading in headings[1:]:
        table.add_column(heading, justify="left" if left else "right", no_wrap=whole)
    return table
