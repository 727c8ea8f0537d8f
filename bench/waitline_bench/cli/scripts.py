"""`waitline-bench scripts`, `memory` and `admit`: the Lua scripts and Valkey, without HTTP."""

from rich.table import Table

from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal
from waitline_bench import scripts
from waitline_bench.cli import output


def rates(
    seconds: output.Seconds = 1.0, scale: output.Scale = 1.0, out: output.Out = output.OUT
) -> None:
    """Measure visitors/s of each Lua script, by visitors per call."""
    with output.progress() as on_progress:
        figures = scripts.rates(on_progress, seconds, scale)
    table = Table(title="Scripts: visitors/s by visitors per call", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for size in scripts.SIZES:
        table.add_column(str(size), justify="right")
    for name, by_size in figures.items():
        table.add_row(name, *(f"{by_size[str(size)]:,.0f}" for size in scripts.SIZES))
    Terminal().print(table)
    output.keep(out, "scripts", figures, scale=scale)


def memory(scale: output.Scale = 1.0, out: output.Out = output.OUT) -> None:
    """Measure the memory of Valkey per waiting visitor."""
    with output.progress() as on_progress:
        figures = scripts.memory(on_progress, scale)
    table = Table(title="Memory of Valkey", title_justify="left", box=None)
    for heading in ("waiting visitors", "bytes per visitor", "MB in total"):
        table.add_column(heading, justify="right")
    for row in figures:
        megabytes = row["bytes"] / 1e6
        table.add_row(f"{row['visitors']:,}", f"{row['per_visitor']:.0f}", f"{megabytes:,.0f}")
    Terminal().print(table)
    output.keep(out, "memory", figures, scale=scale)


def admit(scale: output.Scale = 1.0, out: output.Out = output.OUT) -> None:
    """Measure how long it takes to admit a full line without a rate limit."""
    with output.progress() as on_progress:
        figures = scripts.admission(on_progress, scale)
    Terminal().print(
        f"Admitting {counted(int(figures['visitors']), 'visitor')} without a rate limit took "
        f"{figures['seconds']:.2f} s in {counted(int(figures['calls']), 'call')}; a call took "
        f"p50 {figures['server_p50_ms']:.2f} ms and p99 {figures['server_p99_ms']:.2f} ms inside "
        f"Valkey, {figures['p50_ms']:.2f} and {figures['p99_ms']:.2f} ms including the round trip"
    )
    output.keep(out, "admit", figures, scale=scale)
