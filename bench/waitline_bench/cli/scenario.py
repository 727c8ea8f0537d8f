"""Scenarios of k6: one command each, and one for scripts of others."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured, WaitlineError
from waitline.queue.settings import Limits
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
"""What the rooms of a storm let in together: half of those who come, so that lines form."""

USE = "5s..30s"
"""How long visitors shop. Source: the wire contract, section 5."""

SOAK_MINUTES = 30.0

Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes of the queue service; default: one per two cores, as k6 takes the other",
        min=1,
        show_default=False,
    ),
]
Scale = Annotated[
    float,
    typer.Option(help="Share of every rate, the rooms' own too; times stay", min=0.001, max=10),
]
Seconds = Annotated[
    int | None,
    typer.Option(help="Length of each steady part, instead of its own", min=1, show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the results; default out/<scenario>-<time>", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="A setting of the installation, as in room_active_max=1000; repeatable",
        metavar="NAME=VALUE", show_default=False,
    ),
]  # fmt: skip
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--env", "-e", help="Variable of the script, as by k6's own -e; repeatable",
        metavar="NAME=VALUE", show_default=False,
    ),
]  # fmt: skip
Seats = Literal["whole", "sections"]
Size = Literal["full", "10k", "100k", "extreme"]


class Missed(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """A run did not reach what it had to."""


def entry(
    size: Annotated[
        Size, typer.Option(help="310 000 visitors, fewer, or 300 000 in 30 s")
    ] = "full",
    scale: Scale = 1.0,
    workers: Workers = None,
    seconds: Seconds = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Can everybody get into the line when the sale opens? 1 000/s, then 5 000/s.

    Exit status 1 if it does not pass; what passes is at the head of bench/scenarios/entry.js.
    """
    _run("entry", {"SIZE": size}, _room(scale, 1), scale, seconds, workers, settings, out)


def circulation(
    use: Annotated[str, typer.Option(help="How long visitors shop, as in 10s..20s")] = USE,
    scale: Scale = 1.0,
    workers: Workers = None,
    seconds: Seconds = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Do visitors come through? Enter, wait, shop, leave: 2 000/s for 90 s.

    Exit status 1 if it does not pass; what passes is at the head of bench/scenarios/circulation.js.
    """
    stay = notation.use(use)
    if not 0 < stay.least_ms <= stay.most_ms <= LIMITS.active_ttl_ms:
        most_s = LIMITS.active_ttl_ms // 1_000
        raise Misconfigured(f"--use {use}: as 10s..20s, and {most_s}s at most: then slots run out")
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
    """How fast are tokens checked from a cold start? 100 to 2 000/s.

    Exit status 1 if it does not pass; what passes is at the head of bench/scenarios/validation.js.
    """
    # As many visitors whatever the scale, and the same wait for them to be let in.
    _run("validation", {}, {}, scale, seconds, workers, settings, out)


def storm(
    rooms: Annotated[int, typer.Option(help="Rooms that they come to: 1, 3, 10", min=1)] = 1,
    scale: Scale = 1.0,
    workers: Workers = None,
    seconds: Seconds = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Does it hold when everybody does something else at once? 1 000/s for 60 s.

    Exit status 1 if it does not pass; what passes is at the head of bench/scenarios/storm.js.
    """
    limits = _room(scale * STORM_PER_S / LIMITS.admit_per_s, rooms)
    _run("storm", {"ROOMS": str(rooms)}, limits, scale, seconds, workers, settings, out)


def booking_journey(
    seats: Annotated[
        Seats, typer.Option(help="Ask for all free seats, or for the sections and then for one")
    ] = "whole",
    retries: Annotated[
        int, typer.Option(help="How often who found a seat taken chooses again", min=0, max=10)
    ] = 0,
    scale: Scale = 1.0,
    workers: Workers = None,
    seconds: Seconds = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Can a sale be carried? Enter, wait, choose a seat, reserve, pay: 100/s for 70 s.

    The box office by itself, without the line before it: `waitline-bench booking`. Exit status 1 if
    it does not pass; what passes is at the head of bench/scenarios/booking.js.
    """
    variables = {"SEATS": seats, "RETRIES": str(retries)}
    _run(
        "booking", variables, _room(scale, 1), scale, seconds, workers, settings, out,
        command="booking-journey", box_office=True, empties=True,
    )  # fmt: skip


def soak(
    minutes: Annotated[
        float, typer.Option(help="How long visitors come", min=0.01, max=1_440)
    ] = SOAK_MINUTES,
    scale: Scale = 1.0,
    workers: Workers = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Does it stay as it is? 200 visitors/s for 30 minutes, of whom one in ten buys.

    Memory and open files of every part are judged by how they grow over the second half, in runs of
    10 minutes and more. Exit status 1 if it does not pass; what passes is at the head of
    bench/scenarios/soak.js.
    """
    variables = {} if minutes == SOAK_MINUTES else {"SECONDS": f"{minutes * 60:g}"}
    # Rooms as large as ever: were they as small as the load, a line that forms once would stay.
    _run(
        "soak", variables, {}, scale, None, workers, settings, out,
        typed=[] if minutes == SOAK_MINUTES else ["--minutes", f"{minutes:g}"],
        box_office=True, empties=True,
    )  # fmt: skip


def run(
    script: Annotated[Path, typer.Argument(help="A k6 script, as it is")],
    workers: Workers = None,
    variables: Variables = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Run a script of your own, or of others, as it is.

    Its http://queue-service:8081 and http://core-service:8080 are the queue service and the booking
    service of an installation that is started for it, in trial mode. The script
    judges by its own thresholds; dropped arrivals and what the audit finds count too, and so do
    failed checks unless a threshold says how many may fail.
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
    """Carry out one of our scenarios.

    Args:
        name: Of the scenario, and of its script.
        variables: Variables of the script, beside scale and length.
        limits: Of the rooms.
        scale: Share of every rate.
        seconds: Length of the steady parts; `None` leaves it to the script.
        workers: Processes of the queue service.
        settings: Further settings, as they were typed.
        out: Folder of the results.
        command: What it is called here, if not by the scenario's name.
        typed: Options that stand for the variables, if they do not bear their names.
        box_office: Whether it buys.
        empties: Whether everybody has left or paid in the end.
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
    with _progress() as note:
        result = run_scenario(plan, folder, note)
    console = Console(highlight=False)
    show(console, result)
    console.print(f"\nReport: {folder / 'report.html'}")
    if not result["verdict"]["ok"]:
        raise Missed(result["verdict"]["line"])


def show(console: Console, result: Mapping[str, Any]) -> None:
    """Print what was promised and what was measured."""
    table = Table(box=None, title=result_text.title(result), title_justify="left")
    # Where there is little room, the words give way and not the figures.
    table.add_column("")
    for heading in ("must be", "measured", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in result["thresholds"]:
        name, condition = one["subject"], one["condition"]
        table.add_row(
            result_text.subject(name),
            result_text.condition(name, condition),
            result_text.measured(name, condition, one["value"]),
            "[green]holds[/]" if one["ok"] else "[red]fails[/]",
        )
    console.print(table)
    offer = result["offered"]
    console.print(
        f"\n{offer['arrivals']:,} arrivals, {result_text.amount(offer['offered_per_s'])}/s offered "
        f"and {result_text.amount(offer['achieved_per_s'])}/s carried out, "
        f"{offer['dropped']:,} dropped"
    )
    for text in report.notes(result):
        console.print(f"[yellow]{text}[/]")


def _room(share: float, rooms: int) -> dict[str, str]:
    """Return the limits of a room that carries its share of the contract's."""
    each = share / rooms
    return {
        "room_active_max": str(max(1, round(LIMITS.active_max * each))),
        "room_admit_per_s": f"{LIMITS.admit_per_s * each:g}",
        "room_admit_burst": str(max(1, round(LIMITS.admit_burst * each))),
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
    """Seconds that have gone by, of those that are expected."""

    @override
    def render(self, task: Task) -> Text:
        if not task.total:
            return Text(f"{task.elapsed or 0:.0f} s")
        return Text(f"{task.completed:.0f} of {task.total:.0f} s")


@contextmanager
def _progress() -> Iterator[Show]:
    columns = SpinnerColumn(), BarColumn(24), _Elapsed(), TextColumn("{task.description}")
    console = Console(stderr=True)
    # What is not a terminal would get an empty line.
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
