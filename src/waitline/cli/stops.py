"""`waitline schedules cancel`, `postpone`, `resume`, `progress`: stop a show, track its refunds.

They use the database directly. The refunds themselves are made by the booking service.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar

import typer

from waitline import settings as chosen
from waitline.booking.catalogue_model import ScheduleUnknown
from waitline.booking.model import ScheduleStopped
from waitline.booking.sale_state import ScheduleState
from waitline.booking.stopping import (
    REASON_CHARS_MAX,
    REFUND_YEARS_MAX,
    RefundDeadlineImpossible,
    ScheduleNotPostponed,
    ScheduleStops,
    StopProgress,
)
from waitline.cli import options
from waitline.cli.change_log import who
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line, visible
from waitline.kernel.instants import EXAMPLE, parse_instant
from waitline.postgres.pool import Database

ROUNDS_MAX = 100_000
"""Chunks that one command works on: ten million reservations. The booking service does the rest."""

NUMBER_MAX = 2**63 - 1
"""Largest number of a schedule: the range of PostgreSQL's bigint."""

app = typer.Typer(
    help="Cancel or postpone a performance, put it on sale again, and track its refunds.",
    no_args_is_help=True,
)

Schedule = Annotated[
    int, typer.Argument(min=1, max=NUMBER_MAX, help="Schedule number, as in `concerts list`")
]
Reason = Annotated[
    str | None, typer.Option(help="Reason, kept with the schedule; at most 200 characters")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation")]

T = TypeVar("T")


@app.command("cancel")
def cancel(
    schedule: Schedule,
    reason: Reason = None,
    yes: Yes = False,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Cancel a performance: its sale stops at once, and all payments are refunded.

    This cannot be undone. The booking service makes the refunds and retries those that fail. An
    interrupted command can be repeated; otherwise the booking service completes it.

    Example: waitline schedules cancel 5 --reason "The hall is flooded"
    """
    if not yes:
        typer.confirm(f"Cancel schedule {schedule} and refund every ticket?", abort=True)

    async def use(stops: ScheduleStops) -> StopProgress:
        await stops.cancel(schedule, _checked(reason), who=who())
        return await _worked(stops, schedule)

    _show(_with_stops(data_dir, database_url, use), as_json=as_json)


@app.command("postpone")
def postpone(
    schedule: Schedule,
    refund_until: Annotated[
        str,
        typer.Option(help=f"Refund deadline for buyers, ISO 8601 with a UTC offset: {EXAMPLE}"),
    ],
    reason: Reason = None,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Postpone a performance: its sale stops at once, and tickets stay valid.

    Buyers can cancel for a full refund until the refund deadline, even after the usual cancellation
    deadline. Unpaid reservations end. `waitline schedules resume` puts it on sale again.

    Example: waitline schedules postpone 5 --refund-until 2030-06-01T00:00+09:00
    """
    try:
        until = parse_instant(refund_until)
    except ValueError as error:
        raise Misconfigured(f"--refund-until: {refund_until[:40]!r} {error}") from None

    async def use(stops: ScheduleStops) -> StopProgress:
        await stops.postpone(schedule, _checked(reason), until.time, who=who())
        return await _worked(stops, schedule)

    _show(_with_stops(data_dir, database_url, use), as_json=as_json)


@app.command("resume")
def resume(
    schedule: Schedule,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Put a postponed performance on sale again.

    Example: waitline schedules resume 5
    """

    async def use(stops: ScheduleStops) -> None:
        await stops.resume(schedule, who=who())

    _with_stops(data_dir, database_url, use)
    typer.echo(f"Schedule {schedule} is on sale again.")


@app.command("progress")
def progress(
    schedule: Schedule,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the refund progress of a cancelled performance.

    Exit status 1 while refunds fail at the provider; `waitline payments` shows why.

    Example: waitline schedules progress 5
    """
    found = _with_stops(data_dir, database_url, lambda stops: stops.progress(schedule))
    _show(found, as_json=as_json)
    if found.failed:
        raise typer.Exit(1)


async def _worked(stops: ScheduleStops, schedule: int) -> StopProgress:
    for _ in range(ROUNDS_MAX):
        if (await stops.end_chunk(schedule)).ended == 0:
            break
    return await stops.progress(schedule)


def _checked(reason: str | None) -> str | None:
    return None if reason is None else options.short_text("--reason", reason, REASON_CHARS_MAX)


def _plain(state: ScheduleState) -> str:
    return state.lower().replace("_", " ")


def _show(found: StopProgress, *, as_json: bool) -> None:
    if as_json:
        times = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in found._asdict().items()
        }
        typer.echo(json_line({**times, "done": found.done}))
        return
    number = found.schedule_id
    state = _plain(found.state)
    reason = f" ({visible(found.state_reason)})" if found.state_reason else ""
    typer.echo(f"Schedule {number}: {state}{reason}")
    typer.echo(f"  unpaid reservations        {found.pending:,}")
    typer.echo(f"  valid tickets              {found.sold:,}")
    if found.state is ScheduleState.CANCELLED:
        typer.echo(f"  payments in progress       {found.paying:,}")
        typer.echo(f"  refunded                   {found.refunded:,} of {found.refunds:,}")
        typer.echo(f"  need attention             {found.failed:,}")
        typer.echo(
            "All refunds are complete."
            if found.done
            else f"The booking service continues. Check: waitline schedules progress {number}"
        )


def _with_stops(
    data_dir: options.DataDir,
    database_url: options.DatabaseUrl,
    use: Callable[[ScheduleStops], Awaitable[T]],
) -> T:
    settings = chosen.load(data_dir=data_dir, database_url=database_url)

    async def run() -> T:
        database = Database(settings.database_address(), "waitline.booking", connections_max=1)
        try:
            return await use(ScheduleStops(database))
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except ScheduleUnknown:
        raise Misconfigured("schedule not found; `waitline concerts list` lists them") from None
    except ScheduleStopped:
        raise Misconfigured("the schedule is cancelled; this cannot be undone") from None
    except RefundDeadlineImpossible as error:
        reason = "is in the past" if error.past else f"is more than {REFUND_YEARS_MAX} years away"
        raise Misconfigured(
            f"--refund-until: {reason}; name the day until which buyers may return their tickets"
        ) from None
    except ScheduleNotPostponed as error:
        state = _plain(error.state)
        raise Misconfigured(f"the schedule is {state}, not postponed") from None
