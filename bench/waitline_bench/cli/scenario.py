"""Load scenarios by k6: a command for each, and `run` for other scripts."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured, WaitlineError
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal, styled
from waitline.queue.limits import Limits
from waitline.sales.simulation import notation
from waitline_bench.cli import output
from waitline_bench.scenario import report, result_text
from waitline_bench.scenario.run import (
    RunProgress,
    ScenarioPlan,
    Show,
    run_scenario,
)

LIMITS = Limits()
STORM_PER_S = 500
"""Admissions/s of all rooms of a storm: half of the arrivals, so that lines form."""

USE = "5s..30s"
"""Time in the shop. Source: the wire contract, section 5."""

SOAK_MINUTES = 30.0

Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes of the queue service; default: one per two cores, which leaves half to k6",
        min=1,
        show_default=False,
    ),
]
Scale = Annotated[
    float,
    typer.Option(help="Factor of all rates, also of rooms; durations stay", min=0.001, max=10),
]
Seconds = Annotated[
    int | None,
    typer.Option(help="Length of each steady phase, in s", min=1, show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for the results; default out/<scenario>-<time>", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Setting of the installation, for example room_active_max=1000; repeatable",
        metavar="NAME=VALUE", show_default=False,
    ),
]  # fmt: skip
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--env", "-e", help="Variable of the script, as -e of k6; repeatable",
        metavar="NAME=VALUE", show_default=False,
    ),
]  # fmt: skip
Seats = Literal["whole", "sections"]
Size = Literal["full", "10k", "100k", "extreme"]


class Missed(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """A run failed its criteria."""


def entry(
    size: Annotated[
        Size, typer.Option(help="full: 310,000 visitors; extreme: 300,000 in 30 s")
    ] = "full",
    scale: Scale = 1.0,
    workers: Workers = None,
    seconds: Seconds = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Load test of the opening of a sale: 1,000 entries/s, then 5,000/s.

    Exit status 1 if it fails. The criteria are at the head of bench/scenarios/entry.js.
    """
    _run("entry", {"SIZE": size}, _room(scale, 1), scale, seconds, workers, settings, out)


def circulation(
    use: Annotated[str, typer.Option(help="Time in the shop, for example 10s..20s")] = USE,
    scale: Scale = 1.0,
    workers: Workers = None,
    seconds: Seconds = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Load test of complete visits: enter, wait, shop, leave; 2,000/s for 90 s.

    Exit status 1 if it fails. The criteria are at the head of bench/scenarios/circulation.js.
    """
    stay = notation.use(use)
    if not 0 < stay.least_ms <= stay.most_ms <= LIMITS.active_ttl_ms:
        most_s = LIMITS.active_ttl_ms // 1_000
        raise Misconfigured(f"--use {use}: must be a range such as 10s..20s, at most {most_s}s")
    variables = {
        "USE_LEAST_S": f"{stay.least_ms / 1_000:g}",
        "USE_MOST_S": f"{stay.most_ms / 1_000:g}",
    }
    _run(
        "circulation", variables, _room(scale, 1), scale, seconds, workers, settings, out,
        typed=[] if use == USE else ["--use", use], empties=True,
    )  # fmt: skip


def validation(
    scale: Scale = 1.0,
    workers: Workers = None,
    seconds: Seconds = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Load test of token validation from a cold start: 100 to 2,000/s.

    Exit status 1 if it fails. The criteria are at the head of bench/scenarios/validation.js.
    """
    # The number of visitors and their wait do not depend on the scale.
    _run("validation", {}, {}, scale, seconds, workers, settings, out)


def storm(
    rooms: Annotated[int, typer.Option(help="Number of rooms: 1, 3 or 10", min=1)] = 1,
    scale: Scale = 1.0,
    workers: Workers = None,
    seconds: Seconds = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Load test of mixed calls at the same time: 1,000/s for 60 s.

    Exit status 1 if it fails. The criteria are at the head of bench/scenarios/storm.js.
    """
    limits = _room(scale * STORM_PER_S / LIMITS.admit_per_s, rooms)
    _run("storm", {"ROOMS": str(rooms)}, limits, scale, seconds, workers, settings, out)


def booking_journey(
    seats: Annotated[
        Seats, typer.Option(help="Fetch the whole seat map, or the sections and then one")
    ] = "whole",
    retries: Annotated[
        int, typer.Option(help="Further attempts of a buyer whose seat is taken", min=0, max=10)
    ] = 0,
    scale: Scale = 1.0,
    workers: Workers = None,
    seconds: Seconds = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Load test of a complete sale: enter, wait, choose a seat, reserve, pay; 100/s for 70 s.

    For the box office without the line: `waitline-bench booking`. Exit status 1 if it fails. The
    criteria are at the head of bench/scenarios/booking.js.
    """
    variables = {"SEATS": seats, "RETRIES": str(retries)}
    _run(
        "booking", variables, _room(scale, 1), scale, seconds, workers, settings, out,
        command="booking-journey", box_office=True, empties=True,
    )  # fmt: skip


def soak(
    minutes: Annotated[
        float, typer.Option(help="Arrival period, in min", min=0.01, max=1_440)
    ] = SOAK_MINUTES,
    scale: Scale = 1.0,
    workers: Workers = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Soak test: 200 visitors/s for 30 minutes, of whom one in ten buys.

    In runs of 10 minutes or more, memory and open files of each process must not grow over the
    second half. Exit status 1 if it fails. The criteria are at the head of bench/scenarios/soak.js.
    """
    variables = {} if minutes == SOAK_MINUTES else {"SECONDS": f"{minutes * 60:g}"}
    # Rooms are not scaled with the load, or a line that forms once would stay.
    _run(
        "soak", variables, {}, scale, None, workers, settings, out,
        typed=[] if minutes == SOAK_MINUTES else ["--minutes", f"{minutes:g}"],
        box_office=True, empties=True,
    )  # fmt: skip


def run(
    script: Annotated[Path, typer.Argument(help="k6 script, run unchanged")],
    workers: Workers = None,
    variables: Variables = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Run any k6 script unchanged against a new installation in trial mode.

    In the script http://queue-service:8081 is the queue service, and http://core-service:8080 the
    booking service. It fails by its own thresholds, by dropped arrivals, by findings of the audit,
    and by failed checks unless a threshold allows some.
    """
    plan = ScenarioPlan(
        name="run",
        script=script,
        variables=_pairs(variables, "--env"),
        workers=_workers(workers),
        settings=_pairs(settings, "--set"),
        box_office=True,
        own=False,
        command=_typed("run", [str(script)], workers, settings, variables),
    )
    _carry_out(plan, out or _folder(script.stem))


def _run(
    name: str,
    variables: Mapping[str, str],
    limits: Mapping[str, str],
    scale: float,
    seconds: int | None,
    workers: int | None,
    settings: list[str] | None,
    out: Path | None,
    *,
    command: str = "",
    typed: Sequence[str] | None = None,
    box_office: bool = False,
    empties: bool = False,
) -> None:
    """Run one of our scenarios.

    Args:
        name: Name of the scenario and of its script.
        variables: Variables of the script, besides scale and length.
        limits: Limits of the rooms.
        scale: Factor of every rate.
        seconds: Length of the steady phases; `None`: that of the script.
        workers: Processes of the queue service.
        settings: Further settings, as given on the command line.
        out: Folder for the results.
        command: Name of the command, if it is not the scenario's name.
        typed: Options for the variables, if their names differ.
        box_office: Whether visitors buy.
        empties: Whether every visitor has left or paid at the end.
    """
    given = {**variables, "SCALE": f"{scale:g}"}
    named = [word for key, value in variables.items() for word in (f"--{key.lower()}", value)]
    options = named if typed is None else list(typed)
    if seconds is not None:
        given["SECONDS"] = str(seconds)
        options += ["--seconds", str(seconds)]
    if scale != 1:
        options += ["--scale", f"{scale:g}"]
    plan = ScenarioPlan(
        name=name,
        script=_scripts() / f"{name}.js",
        variables=given,
        workers=_workers(workers),
        settings={**limits, **_pairs(settings, "--set")},
        box_office=box_office,
        empties=empties,
        scale=scale,
        command=_typed(command or name, options, workers, settings),
    )
    _carry_out(plan, out or _folder(command or name))


def _carry_out(plan: ScenarioPlan, folder: Path) -> None:
    with _progress() as on_progress:
        result = run_scenario(plan, folder, on_progress)
    console = Terminal()
    show(console, result)
    console.print(f"\nReport: {folder / 'report.html'}")
    if not result["verdict"]["ok"]:
        raise Missed(result["verdict"]["line"])


def show(console: Terminal, result: Mapping[str, Any]) -> None:
    """Print the criteria and the measured figures."""
    table = Table(box=None, title=result_text.title(result), title_justify="left")
    # In a narrow terminal, shorten the texts rather than the figures.
    table.add_column("")
    for heading in ("must be", "measured", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in result["thresholds"]:
        name, condition = one["subject"], one["condition"]
        table.add_row(
            result_text.subject(name),
            result_text.condition(name, condition),
            result_text.measured(name, condition, one["value"]),
            styled(("holds", "green") if one["ok"] else ("fails", "red")),
        )
    console.print(table)
    offer = result["offered"]
    console.print(
        f"\n{counted(offer['arrivals'], 'arrival')}: "
        f"{result_text.amount(offer['offered_per_s'])}/s offered, "
        f"{result_text.amount(offer['achieved_per_s'])}/s carried out, "
        f"{offer['dropped']:,} dropped"
    )
    for text in report.notes(result):
        console.print(styled((text, "yellow")))


def _room(share: float, rooms: int) -> dict[str, str]:
    """Return the limits of a room that carries its share of the contract's."""
    each = share / rooms
    return {
        "room_active_max": str(max(1, round(LIMITS.active_max * each))),
        "room_admit_per_s": f"{LIMITS.admit_per_s * each:g}",
        "room_admit_burst": str(max(1, round(LIMITS.burst * each))),
    }


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        name, found, value = text.partition("=")
        if not found or not name:
            raise Misconfigured(f"{option} takes NAME=VALUE, not {text!r}")
        pairs[name] = value
    return pairs


def _workers(chosen: int | None) -> int:
    return chosen or max(1, len(os.sched_getaffinity(0)) // 2)


def _typed(
    name: str,
    options: list[str],
    workers: int | None,
    settings: list[str] | None,
    variables: list[str] | None = None,
) -> str:
    typed = ["waitline-bench", name, *options]
    typed += ["--workers", str(workers)] if workers else []
    for option, pairs in (("--set", settings), ("--env", variables)):
        typed += [word for pair in pairs or () for word in (option, pair)]
    return shlex.join(typed)


def _folder(name: str) -> Path:
    at = datetime.fromtimestamp(SystemClock().now_ms() / 1_000, UTC)
    return output.OUT / f"{name}-{at:%Y%m%dT%H%M%SZ}"


def _scripts() -> Path:
    folder = Path(__file__).parents[2] / "scenarios"
    if not folder.exists():
        raise Misconfigured("the scenarios are not here: run this in a checkout")
    return folder


class _Elapsed(ProgressColumn):
    """Elapsed and expected seconds."""

    @override
    def render(self, task: Task) -> Text:
        if not task.total:
            return Text(f"{task.elapsed or 0:.0f} s")
        return Text(f"{task.completed:.0f} of {task.total:.0f} s")


@contextmanager
def _progress() -> Iterator[Show]:
    columns = SpinnerColumn(), BarColumn(24), _Elapsed(), TextColumn("{task.description}")
    console = Terminal(stderr=True)
    # Without a terminal, this would print an empty line.
    disabled = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=disabled) as bar:
        task = bar.add_task("", total=None)

        def show(sight: RunProgress) -> None:
            text = sight.doing
            if sight.requests_per_s is not None:
                text += (
                    f": {sight.requests_per_s:,.0f} answers/s, {sight.waiting:,} wait, "
                    f"{sight.admitted:,} let in"
                )
            total = max(sight.expected_s, sight.elapsed_s) or None
            bar.update(task, description=text, completed=sight.elapsed_s, total=total)

        yield show
