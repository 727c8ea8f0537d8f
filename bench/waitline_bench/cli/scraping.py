"""`waitline-bench scrape`: time and size of a scrape, and what visitors notice of it."""

from typing import Annotated

import typer
from rich.table import Table

from waitline.kernel.terminal import Terminal
from waitline_bench import scraping
from waitline_bench.cli import output


def scrape(
    seconds: output.Seconds = 3.0,
    rounds: Annotated[int, typer.Option(help="Rounds with and without a scraper", min=1)] = 2,
    out: output.Out = output.OUT,
) -> None:
    """Measure scrapes of the metrics page with 1, 100 and 1,000 rooms, and 1 and 8 workers.

    Visitors enter at 500/s all the time. Their latency is measured with and without a scraper.
    """
    with output.progress() as on_progress:
        figures = scraping.run_scrapes(on_progress, seconds, rounds)
    table = Table(title="Scrapes", title_justify="left", box=None)
    for heading in ("workers", "rooms", "asleep", "ms", "most ms", "kB", "kB gzip", "samples"):
        table.add_column(heading, justify="right")
    for row in figures["scrapes"]:
        table.add_row(
            str(row["workers"]),
            f"{row['rooms']:,}",
            f"{row['sleeping']:,}",
            f"{row['ms']:.0f}",
            f"{row['most_ms']:.0f}",
            f"{row['bytes'] / 1000:,.0f}",
            f"{row['gzip_bytes'] / 1000:,.0f}",
            f"{row['samples']:,}",
        )
    Terminal().print(table)
    latency = Table(title="\nEntering at 500/s", title_justify="left", box=None)
    for heading in ("workers", "p50 / p99 ms", "with a scrape every second"):
        latency.add_column(heading, justify="right")
    for row in figures["visitors"]:
        latency.add_row(
            str(row["workers"]),
            f"{row['p50_ms_without']:.1f} / {row['p99_ms_without']:.1f}",
            f"{row['p50_ms_with']:.1f} / {row['p99_ms_with']:.1f}",
        )
    Terminal().print(latency)
    output.keep(out, "scrape", figures, seconds=seconds, rounds=rounds)
