"""The scripts, memory, and admission, without the web."""

from rich.console import Console
from rich.table import Table

from waitline_bench import scripts
from waitline_bench.cli import output


def rates(
    seconds: output.Seconds = 1.0, scale: output.Scale = 1.0, out: output.Out = output.OUT
) -> None:
    """Measure visitors/s of each script, by how many visitors a call carries."""
    with output.progress() as note:
        figures = scripts.rates(note, seconds, scale)
    table = Table(title="Scripts: visitors/s by visitors in a call", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for size in scripts.SIZES:
        table.add_column(str(size), justify="right")
    for name, by_size in figures.items():
        table.add_row(name, *(f"{by_size[str(size)]:,.0f}" for size in scripts.SIZES))
    Console().print(table)
    output.keep(out, "scripts", figures, scale=scale)


def memory(scale: output.Scale = 1.0, out: output.Out = output.OUT) -> None:
    """Measure what a waiting visitor takes in the store."""
    with output.progress() as note:
        figures = scripts.memory(note, scale)
    table = Table(title="Memory of Valkey", title_justify="left", box=None)
    for heading in ("waiting visitors", "bytes a visitor", "MB in all"):
        table.add_column(heading, justify="right")
    for row in figures:
        megabytes = row["bytes"] / 1e6
        table.add_row(f"{row['visitors']:,}", f"{row['per_visitor']:.0f}", f"{megabytes:,.0f}")
    Console().print(table)
    output.keep(out, "memory", figures, scale=scale)


def admit(scale: output.Scale = 1.0, out: output.Out = output.OUT) -> None:
    """Measure how long it takes to admit everybody without a rate limit."""
    with output.progress() as note:
        figures = scripts.admission(note, scale)
    Console().print(
        f"Admitting {figures['visitors']:,} visitors without a rate limit took "
        f"{figures['seconds']:.2f} s in {figures['calls']:,} calls; a call took "
        f"{figures['server_p50_ms']:.2f} ms at p50 and {figures['server_p99_ms']:.2f} ms at p99 in "
        f"the server, {figures['p50_ms']:.2f} and {figures['p99_ms']:.2f} ms to there and back"
    )
    output.keep(out, "admit", figures, scale=scale)
