"""`waitline simulate`: predict a sale by discrete-event simulation, without a server."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from waitline.admission import policy as admission
from waitline.cli import options
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.setting import SettingError
from waitline.kernel.terminal import Terminal, styled
from waitline.queue import hints as asking
from waitline.queue.limits import Limits
from waitline.queue.model import CHUNK_MAX
from waitline.sales.simulation import notation
from waitline.sales.simulation.model import Prediction, Sale, SaleImpossible, Spread
from waitline.sales.simulation_check import agreement as agreeing
from waitline.sales.simulation_check.agreement import Agreement
from waitline.sales.simulation_report import page, prediction_text
from waitline.trial import machine

T = TypeVar("T")

_DEFAULT = Limits()
_VISITORS = 300_000
_FLAGS = {
    "active_max": "--active-max",
    "admit_per_s": "--rate",
    "admit_burst": "--burst",
    "ready_ttl_ms": "--ready",
    "waiting_max": "--visitors",
}

Visitors = Annotated[
    int | None,
    typer.Option(help=f"Number of visitors; default {_VISITORS:,}", show_default=False),
]
Over = Annotated[
    str,
    typer.Option(
        help="Arrivals: 60s (constant rate), ramp:60s (rising rate), burst (all at once), or "
        "phases: 1000/s*10s,5000/s*60s"
    ),
]
Rate = Annotated[float, typer.Option(help="Admissions per second")]
Burst = Annotated[
    int,
    typer.Option(help="Burst size of the token bucket; 0: a quarter of a second's admissions"),
]
ActiveMax = Annotated[int, typer.Option(help="Slots: most visitors inside at once")]
UseTime = Annotated[
    str,
    typer.Option("--use", help="Time in the shop: 20s, or 5s..30s (uniform)"),
]
NoShows = Annotated[
    float,
    typer.Option(help="Share of admitted visitors who never activate, 0 to 1", min=0, max=1),
]
Ready = Annotated[
    str, typer.Option(help="Time to activate after admission; a no-show holds its slot that long")
]
Edges = Annotated[int, typer.Option(help="CDN edges that cache now-serving", min=1)]
Seed = Annotated[int, typer.Option(help="Random seed; the same seed gives the same sale", min=0)]
Check = Annotated[
    bool,
    typer.Option(
        "--check", help="Also replay the sale in real time against local servers, and compare"
    ),
]
Shards = Annotated[
    int | None,
    typer.Option(
        help="Also play the room spread over this many shards, by designs that are not built "
        "(decision 0043)",
        min=2,
        max=64,
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for simulation.json and simulation.html")]


def simulate(
    visitors: Visitors = None,
    over: Over = "60s",
    rate: Rate = _DEFAULT.admit_per_s,
    burst: Burst = _DEFAULT.admit_burst,
    active_max: ActiveMax = _DEFAULT.active_max,
    use: UseTime = "5s..30s",
    no_shows: NoShows = 0.0,
    ready: Ready = f"{_DEFAULT.ready_ttl_ms // 1000}s",
    edges: Edges = 50,
    seed: Seed = 1,
    check: Check = False,
    shards: Shards = None,
    as_json: options.AsJson = False,
    out: Out = Path("out"),
) -> None:
    """Predict a sale: how long visitors wait, and how many requests they send while waiting.

    Needs no server: the admission policy runs in virtual time, for up to 10 million visitors. With
    --check the sale is also replayed in real time; exit status 1 means that the prediction is more
    than 5 % off.

    Example: waitline simulate --visitors 1000000 --over 5m --use 1m..8m
    """
    require("numpy", "matplotlib")
    if visitors is None and "/s" not in over:
        visitors = _VISITORS
    sale = sale_of(
        parsed("--over", lambda: notation.arrivals(over, visitors)),
        parsed("--use", lambda: notation.use(use)),
        no_shows,
        admit_per_s=rate,
        admit_burst=burst,
        active_max=active_max,
        ready_ttl_ms=parsed("--ready", lambda: notation.duration_ms(ready)),
    )
    options.prepare_out(out)
    outcome = predict(sale, edges, seed)
    designs = _spread(sale, shards, seed) if shards else []
    agreement = _play(sale, outcome, seed) if check else None
    title = prediction_text.described(sale, over)
    document = {"title": title, "seed": seed, "edges": edges} | _document(sale, outcome, agreement)
    if shards:
        document["shards"] = {"count": shards, "designs": [row._asdict() for row in designs]}
    if as_json:
        typer.echo(json_line(document))
    else:
        _show(Terminal(), title, outcome, agreement)
        if shards:
            spread = _table(f"The room spread over {shards} shards", prediction_text.SPREAD)
            for row in prediction_text.spread(designs):
                spread.add_row(*row)
            Terminal().print(spread)
    figures, drawn = out / "simulation.json", out / "simulation.html"
    figures.write_text(json.dumps(document, indent=1), "utf-8")
    drawn.write_text(page.report(title, outcome, agreement), "utf-8")
    Terminal(stderr=True).print(f"All figures: {figures}\nCharts: {drawn}")
    if agreement is not None and not agreement.holds:
        raise typer.Exit(1)


def require(*modules: str) -> None:
    """Check that optional modules are installed.

    Raises:
        Misconfigured: Some are not.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise Misconfigured(
            f"not installed: {', '.join(missing)}; run pip install {' '.join(missing)}"
        )


def parsed(option: str, parse: Callable[[], T]) -> T:
    """Parse the value of an option; a refusal names the option.

    Raises:
        SaleImpossible: The value is not in the notation.
    """
    try:
        return parse()
    except SaleImpossible as error:
        text = str(error)
        raise SaleImpossible(text if text.startswith("--") else f"{option}: {text}") from None


def sale_of(arrivals: Any, use: Any, no_shows: float, **limits: Any) -> Sale:  # noqa: ANN401
    """Return the sale of some options.

    Raises:
        SaleImpossible: They do not make a sale; the message names the option.
    """
    total = sum(group.visitors for group in arrivals)
    try:
        room = Limits(**limits, waiting_max=total)
    except SettingError as error:
        raise SaleImpossible(f"{_FLAGS[error.setting.name]}: {error.reason}") from None
    return Sale(arrivals, room, use, no_shows)


def predict(sale: Sale, edges: int, seed: int) -> Prediction:
    """Simulate a sale, and show the progress."""
    # Late imports: numpy is an optional extra, and the services take long to import.
    import numpy as np  # noqa: PLC0415

    from waitline.sales.simulation.sale import outcome  # noqa: PLC0415
    from waitline.services.queue.now_serving import FRESH_S  # noqa: PLC0415

    with _progress("simulating") as on_progress:
        rng = np.random.default_rng(seed)
        return outcome(sale, rng, edges=edges, fresh_s=FRESH_S, on_progress=on_progress)


def _spread(sale: Sale, shards: int, seed: int) -> list[Spread]:
    # Late imports, as in `predict`.
    import numpy as np  # noqa: PLC0415

    from waitline.sales.simulation.sale import joining  # noqa: PLC0415
    from waitline.sales.simulation.shards import simulate_shards  # noqa: PLC0415

    rng = np.random.default_rng(seed)
    return simulate_shards(sale, joining(sale.arrivals), shards, rng)


def _play(sale: Sale, predicted: Prediction, seed: int) -> Agreement:
    # A late import: the code that starts servers takes long to import.
    from waitline.sales.simulation_check import replay  # noqa: PLC0415

    agreeing.require_playable(sale, predicted)
    with _progress("replaying in real time") as on_progress:
        measured = replay.replay_sale(sale, Random(seed), on_progress)  # noqa: S311 - no secret
    return agreeing.agreement(predicted, measured)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None]]:
    columns = TextColumn(what), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    console = Terminal(stderr=True)
    # Without a terminal, a bar leaves an empty line behind.
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _show(
    console: Terminal, title: Sequence[str], outcome: Prediction, agreement: Agreement | None
) -> None:
    console.print(*title, sep="\n")
    console.print()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, value in prediction_text.figures(outcome):
        table.add_row(name, value)
    console.print(table)
    if outcome.late:
        console.print(styled("\n", (prediction_text.warning(outcome), "yellow")))
    requests = _table("Requests to the queue service while waiting", prediction_text.REQUESTS)
    for row in prediction_text.requests(outcome):
        requests.add_row(*row)
    console.print(requests)
    if agreement is not None:
        compared = _table("Predicted and measured", prediction_text.AGREEMENT)
        for *cells, off, near in prediction_text.compared(agreement):
            compared.add_row(*map(str, cells), styled((str(off), "green" if near else "red")))
        console.print(compared)
        console.print(prediction_text.beside(agreement))
        for broken in agreement.broken:
            console.print(styled((broken, "red")))


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", box=None)
    table.add_column(headings[0], no_wrap=True)
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def _document(sale: Sale, outcome: Prediction, agreement: Agreement | None) -> dict[str, Any]:
    return {
        "machine": machine.described(),
        "policy": {
            "tick_ms": admission.TICK_MS,
            "sweep_ms": admission.SWEEP_MS,
            "chunk_max": CHUNK_MAX,
            "poll_near_ms": asking.POLL_NEAR_MS,
            "poll_far_ms": asking.POLL_FAR_MS,
            "poll_max_ms": asking.POLL_MAX_MS,
        },
        "sale": asdict(sale),
        "outcome": {
            **asdict(outcome),
            "figures": outcome.figures._asdict(),
            "loads": [load._asdict() for load in outcome.loads],
        },
        "check": agreement
        and {
            **asdict(agreement),
            "differences": [row._asdict() for row in agreement.differences],
            "holds": agreement.holds,
        },
    }
