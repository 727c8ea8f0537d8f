"""`waitline rehearse`: load test of an installation with a complete sale; go or no-go."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.ids import RoomId
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal, styled
from waitline.queue.model import RoomUnknown, Survey
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.valkey.client import ValkeyClient

if TYPE_CHECKING:
    from waitline.sales.rehearsal.plan import RehearsalPlan
    from waitline.sales.rehearsal.run import OnSample, RehearsalTarget
    from waitline.sales.rehearsal.watch import RoomSample

STOPPED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells report it."""

Visitors = Annotated[int, typer.Option(help="Number of simulated visitors")]
Seats = Annotated[int, typer.Option(help="Number of seats on sale")]
Minutes = Annotated[
    float,
    typer.Option(help="Arrival period, in minutes; half of the visitors arrive in the first tenth"),
]
QueueUrl = Annotated[
    str | None,
    typer.Option(
        help="Queue service, with its path if a proxy serves it below one, such as "
        "https://shop.example/queue; default http://127.0.0.1:8081",
        show_default=False,
    ),
]
BookingUrl = Annotated[
    str | None,
    typer.Option(
        help="Booking service, in the same way; default http://127.0.0.1:8080", show_default=False
    ),
]
Clean = Annotated[
    bool, typer.Option("--clean", help="Only remove what an interrupted rehearsal left behind")
]


def rehearse(
    visitors: Visitors = 10_000,
    seats: Seats = 2_000,
    minutes: Minutes = 5.0,
    like: options.RoomLike = None,
    queue_url: QueueUrl = None,
    booking_url: BookingUrl = None,
    clean: Clean = False,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Load-test the running installation with a complete sale; the result is GO or NO-GO.

    Creates a temporary room and a temporary concert; both are deleted at the end, also after
    Ctrl-C. Simulated visitors enter, wait, choose seats and pay with play money. Exit status 1
    means NO-GO; the reasons are listed. Do not run it while real visitors are waiting: it puts the
    load of a sale on the installation.

    The room has the limits of the room that --like names: rate, slots, burst, times and the like,
    but those of client addresses, since all its visitors come from this machine. Without --like it
    has the limits of new rooms (WAITLINE_ROOM_…).

    Example: waitline rehearse --like spring-tour --visitors 50000 --seats 10000 --minutes 10
    """
    # A late import: the box office takes longer to import than most commands run.
    from waitline.sales.rehearsal import run  # noqa: PLC0415
    from waitline.sales.rehearsal.plan import RehearsalPlan  # noqa: PLC0415
    from waitline.sales.rehearsal.stage import hall  # noqa: PLC0415

    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url, database_url=database_url)
    # SIGTERM cleans up as Ctrl-C does. A background job of a shell starts with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda _signum, _frame: signal.raise_signal(signal.SIGINT))
    if clean:
        if like is not None:
            raise Misconfigured("--like: --clean plays no sale; leave one of the two out")
        removed = run.clear(settings.store_url(), settings.database_address())
        typer.echo(json_line(removed._asdict()) if as_json else _removed(removed))
        return
    plan = RehearsalPlan(visitors, seats, minutes)
    next(hall(seats))
    there = _target(settings, queue_url, booking_url, like)
    rng = Random()  # noqa: S311 - no secret
    try:
        with _progress(plan) as on_progress:
            outcome = run.run_rehearsal(plan, there, on_progress, lambda: _audited(settings), rng)
    except KeyboardInterrupt:
        typer.echo("Stopped. The rehearsal was cleaned up.", err=True)
        raise typer.Exit(STOPPED) from None
    figures = run.figures(outcome, plan, there)
    if as_json:
        typer.echo(json_line(figures))
    else:
        _show(Terminal(), figures, _removed(outcome.removed))
    if outcome.reasons:
        raise typer.Exit(1)


def _target(
    settings: chosen.Settings, queue_url: str | None, booking_url: str | None, like: str | None
) -> "RehearsalTarget":
    from waitline.sales.rehearsal.run import RehearsalTarget  # noqa: PLC0415

    return RehearsalTarget(
        queue_url=queue_url or f"http://127.0.0.1:{settings.queue_port}",
        booking_url=booking_url or f"http://127.0.0.1:{settings.booking_port}",
        store_url=settings.store_url(),
        database_url=settings.database_address(),
        operator_key=chosen.operator_key(settings),
        rules=_rules(settings, like),
        like=like,
    )


def _rules(settings: chosen.Settings, like: str | None) -> Rules:
    """Return the rules of the rehearsal's room."""
    from waitline.sales.rehearsal.stage import rules_like  # noqa: PLC0415

    if like is None:
        return settings.new_room()

    async def survey(store: ValkeyClient) -> Survey:
        return await Rooms(store).survey(RoomId(like))

    try:
        return rules_like(options.with_store(settings, survey).rules)
    except RoomUnknown:
        raise Misconfigured(
            f"--like: room {like!r} not found; `waitline rooms list` lists the rooms"
        ) from None


def _audited(settings: chosen.Settings) -> Sequence[str]:
    """Audit the box office, and check that the waiting room freed the slots of buyers."""
    from waitline.sales import audit  # noqa: PLC0415

    findings = audit.audited(settings).findings
    return [f"{finding.invariant}: {finding.text}" for finding in findings]


@contextmanager
def _progress(plan: "RehearsalPlan") -> Iterator["OnSample"]:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    console = Terminal(stderr=True)
    # Without a terminal, a bar leaves an empty line behind.
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("preparing the rehearsal", total=plan.visitors)

        def on_progress(sample: "RoomSample") -> None:
            text = (
                f"{sample.waiting:,} waiting, {sample.inside:,} inside, "
                f"{sample.done:,} of {plan.visitors:,} done"
            )
            bar.update(task, description=text, completed=sample.done)

        yield on_progress


def _removed(removed: Any) -> str:  # noqa: ANN401 - of a module that is imported late
    if not removed.rooms:
        return "Nothing to clean up."
    return (
        f"Cleaned up: {counted(removed.rooms, 'room')}, "
        f"{counted(removed.rows, 'database row')}, {counted(removed.entries, 'event')}."
    )


def _show(console: Terminal, figures: dict[str, Any], removed: str) -> None:
    from waitline.sales.rehearsal import outcome_text  # noqa: PLC0415

    console.print(outcome_text.described(figures))
    word, colour = ("GO", "green") if figures["go"] else ("NO-GO", "red")
    console.print(styled("\n", (word, f"bold {colour}")))
    for reason in figures["reasons"]:
        console.print(styled("  ", ("-", "red"), f" {reason}"))
    table = Table(title="\nCalls", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for heading in outcome_text.CALLS[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, *cells, good in outcome_text.calls(figures):
        row = [*map(styled, map(str, cells))]
        row[2].stylize("" if good else "red")
        table.add_row(str(name), *row)
    console.print(table)
    for title, rows in outcome_text.sections(figures):
        facts = Table(title=f"\n{title}", title_justify="left", box=None, show_header=False)
        facts.add_column(style="cyan", no_wrap=True)
        facts.add_column()
        for name, text in rows:
            facts.add_row(name, text)
        console.print(facts)
    console.print(f"\n{removed}")
