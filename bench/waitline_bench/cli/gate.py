"""`waitline-bench gate`: what the gate costs a site."""

from typing import Annotated, Any

import typer
from rich.table import Table

from waitline.kernel.terminal import Terminal
from waitline_bench import gate as subject
from waitline_bench.cli import output


def gate(
    seconds: Annotated[int, typer.Option(help="Length of one measurement, in s", min=1)] = 2,
    rounds: Annotated[int, typer.Option(help="Measurements of each side", min=1)] = 5,
    out: output.Out = output.OUT,
) -> None:
    """Measure what the gate costs a site: a worker by itself, then nginx in front of a site.

    One worker answers requests with a good pass, without one, and of a bypass rule, next to an
    empty handler. Then nginx with deploy/nginx/gate.conf serves a static page to visitors with a
    pass: without the gate, with a call of the gate per request, and with answers that nginx keeps
    for a second. Ratios are of the same round. Needs wrk, nginx and a checkout.
    """
    with output.progress() as on_progress:
        figures = subject.run_gate(on_progress, seconds, rounds)
    console = Terminal()
    _show(console, "The gate: one worker on one core, 64 connections", figures["calls"])
    _show(console, "\nnginx on one core; gate, site and wrk share the other", figures["nginx"])
    console.print(f"\nThe host took at most {figures['stolen']:.0%} of the CPU time (steal).")
    output.keep(out, "gate", figures, seconds=seconds, rounds=rounds)


def _show(console: Terminal, title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for heading in ("requests/s", "ratio", "least", "most", "CPU us", "ratio per core"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        ratio = row["ratio"]
        table.add_row(
            row["name"],
            f"{row['per_s']:,.0f}",
            *(f"{ratio[name]:.2f}" for name in ("median", "least", "most")),
            f"{row['cpu_us']:.0f}",
            f"{row['per_core']['median']:.2f}",
        )
    console.print(table)
