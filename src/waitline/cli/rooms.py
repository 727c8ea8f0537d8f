"""`waitline rooms`: commands on rooms.

They use Valkey directly, so they also work while no service runs.
"""

from collections.abc import Awaitable, Callable
from shlex import quote
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import change_log, options
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.ids import REHEARSALS, RoomId
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal, styled
from waitline.queue.addresses import Addresses, AddressTotals
from waitline.queue.decision import Reason
from waitline.queue.model import (
    RoomExists,
    RoomNameReserved,
    RoomNameUnreachable,
    RoomOccupied,
    RoomUnknown,
    Survey,
    TooManyRooms,
)
from waitline.queue.room_log import CHANGES_MAX, RoomChange
from waitline.queue.rooms import PAGE_MAX, Rooms
from waitline.queue.settings import ROOM_SETTINGS, Rules
from waitline.settings import Settings
from waitline.valkey.client import ValkeyClient

app = typer.Typer(
    help="Create, change, list, show, reset and delete rooms; show the log of changes.",
    no_args_is_help=True,
)

_REASONS = {
    Reason.FULL: "the shop has capacity; the room's own limits apply",
    Reason.BUSY: "the shop is overloaded; the rate is reduced",
    Reason.RECOVERING: "the shop has spare capacity again; the rate rises step by step",
    Reason.LAST_SEATS: "the admitted visitors are enough to buy every available seat",
    Reason.SOLD_OUT: "no seats are available; admission resumes when a seat becomes free",
    Reason.SILENT_KEEP: "the shop does not report; the room's own limits apply",
    Reason.SILENT_SLOW: "the shop does not report; admission runs at a tenth of the rate",
    Reason.SILENT_HOLD: "the shop does not report; nobody is admitted",
}

T = TypeVar("T")


@app.command("create")
@options.one_for_each(ROOM_SETTINGS)
def create(
    room: options.Room,
    asked: options.Asked,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Create a room. Omitted options use the installation's defaults.

    Example: waitline rooms create spring-tour --active-max 5000 --admit-per-second 50
    """
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)

    async def use(rooms: Rooms) -> Rules:
        rules = settings.new_room().changed(asked)
        await rooms.create(RoomId(room), rules)
        return rules

    _print_rules(room, _with_rooms(settings, room, use), as_json=as_json)


@app.command("set")
@options.one_for_each(ROOM_SETTINGS)
def change(
    room: options.Room,
    asked: options.Asked,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Change a room, also during a sale. Omitted options keep their values.

    Examples: waitline rooms set spring-tour --mode paused (stops admission);
    waitline rooms set spring-tour --admit-per-second 20
    """
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)
    rules = _with_rooms(settings, room, lambda rooms: rooms.change(RoomId(room), asked))
    _print_rules(room, rules, as_json=as_json)


@app.command("list")
def list_rooms(
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=PAGE_MAX, help="Maximum number of rooms")
    ] = PAGE_MAX,
    after: Annotated[str, typer.Option("--after", help="List only rooms after this name")] = "",
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """List all rooms: mode, visitors waiting and admitted, admissions per second.

    Admissions per second are smoothed over 30 s; they fall to 0 while nobody is admitted.
    """
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)

    async def use(rooms: Rooms) -> tuple[list[dict[str, Any]], RoomId | None]:
        found = []
        names, more = await rooms.page(limit, after)
        for name in names:
            try:
                survey = await rooms.survey(name)
            except RoomUnknown:
                # A room is in the registry shortly before it exists.
                continue
            found.append(
                {
                    "room": name,
                    "mode": survey.mode_now,
                    "waiting": survey.waiting,
                    "admitted": survey.admitted,
                    "perSecond": round(survey.rate_recent, 1),
                }
            )
        return found, more

    found, more = _with_rooms(settings, "", use)
    if as_json:
        typer.echo(json_line(found))
        return
    table = Table("room", "mode", box=None)
    for heading in ("waiting", "admitted", "admitted/s"):
        table.add_column(heading, justify="right")
    for row in found:
        numbers = (f"{row['waiting']:,}", f"{row['admitted']:,}", f"{row['perSecond']:g}")
        table.add_row(row["room"], row["mode"], *numbers)
    empty = f"No rooms after {after!r}." if after else "No rooms yet: waitline rooms create NAME"
    Terminal().print(table if found else empty)
    if more is not None:
        Terminal(stderr=True).print(f"More rooms: waitline rooms list --after {quote(more)}")


@app.command("show")
def show(
    room: options.Room,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Show a room: settings, counts, and the reason for the current admission rate."""
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)
    survey = _with_rooms(settings, room, lambda rooms: rooms.survey(RoomId(room)))
    numbers = {
        "state": str(survey.state),
        "waiting": survey.waiting,
        "admitted": survey.admitted,
        "serving": survey.serving,
        "last_place": survey.last_place,
        "admitted_per_s": round(survey.rate_recent, 1),
        "admitted_per_s_while_waiting": (
            round(survey.rate_mean, 1) if survey.rate_samples else None
        ),
        **{f"total_{name}": count for name, count in survey.counters.items()},
        **_decided(survey),
    }
    _print({**_flat(room, survey.rules), **numbers}, as_json=as_json)


@app.command("addresses")
def addresses(
    room: options.Room,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the client addresses and networks with the most places and refused calls.

    Mobile carriers put thousands of visitors behind one address: look at an ordinary sale before
    you set a limit.
    """
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)

    async def use(store: ValkeyClient) -> list[AddressTotals]:
        await Rooms(store).survey(RoomId(room))
        return await Addresses(store).top(RoomId(room))

    try:
        found = options.with_store(settings, use)
    except RoomUnknown:
        raise Misconfigured(
            f"room {room!r} not found; `waitline rooms list` lists the rooms"
        ) from None
    if as_json:
        typer.echo(json_line([one._asdict() for one in found]))
        return
    table = Table("address", box=None)
    for heading in ("places", "in the last minute", "held now", "refused calls"):
        table.add_column(heading, justify="right")
    for one in found:
        numbers = (one.taken, one.taken_in_minute, one.held, one.refused)
        table.add_row(one.address, *(f"{number:,}" for number in numbers))
    Terminal().print(table if found else "No addresses counted in this room yet.")


@app.command("log")
def log(
    room: options.Room,
    last: Annotated[
        int, typer.Option("--last", min=1, max=CHANGES_MAX, help="Number of changes")
    ] = 50,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Show who changed a room, when, from what to what; the latest change first.

    The latest 1,000 changes of a room are kept, and those of a deleted room for 90 days.

    Example: waitline rooms log spring-tour
    """
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)
    changes = _with_rooms(
        settings, room, lambda rooms: rooms.changes(RoomId(room), changes_max=last)
    )
    if as_json:
        typer.echo(json_line([_logged(one) for one in changes]))
        return
    table = Table("at", "who", "what", "before", "after", box=None)
    for one in changes:
        sides = change_log.short(one.before), change_log.short(one.after)
        table.add_row(one.at.iso, one.who, one.what, *sides)
    Terminal().print(table if changes else "No changes yet.")


@app.command("reset")
def reset(
    room: options.Room,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation")] = False,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
) -> None:
    """Remove all visitors from a room. Its settings and totals stay."""
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)
    if not yes:
        typer.confirm(f"All visitors in {room!r} lose their place or slot. Continue?", abort=True)
    removed = _with_rooms(settings, room, lambda rooms: rooms.reset(RoomId(room)))
    typer.echo(f"Removed {counted(removed, 'visitor')} from {room!r}")


@app.command("delete")
def delete(
    room: options.Room,
    force: Annotated[
        bool, typer.Option("--force", help="Delete it even if visitors are waiting or admitted")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation")] = False,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
) -> None:
    """Delete a room with its settings, line, totals and sale record.

    The log of its changes stays for 90 days: waitline rooms log ROOM
    """
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)
    if not yes:
        typer.confirm(f"{room!r} and its sale record will be deleted. Continue?", abort=True)
    removed = _with_rooms(settings, room, lambda rooms: rooms.delete(RoomId(room), force=force))
    typer.echo(f"Deleted {room!r}; visitors removed: {removed:,}")


def _logged(change: RoomChange) -> dict[str, Any]:
    return {
        "changeNo": change.change_no,
        "at": change.at.iso,
        "who": change.who,
        "what": change.what,
        "before": change.before,
        "after": change.after,
    }


def _with_rooms(settings: Settings, room: str, use: Callable[[Rooms], Awaitable[T]]) -> T:
    def using(store: ValkeyClient) -> Awaitable[T]:
        return use(Rooms(store, change_log.who()))

    try:
        return options.with_store(settings, using)
    except RoomUnknown:
        raise Misconfigured(
            f"room {room!r} not found; `waitline rooms list` lists the rooms"
        ) from None
    except RoomExists:
        raise Misconfigured(
            f"room {room!r} already exists; `waitline rooms set` changes it"
        ) from None
    except RoomNameReserved:
        raise Misconfigured(
            f"ROOM: names that begin with {REHEARSALS} belong to rehearsals, whose clean-up "
            "deletes such rooms; choose another name"
        ) from None
    except RoomNameUnreachable:
        raise Misconfigured(
            f"ROOM: no web address leads to a room named {room!r}: a name must not be . or .. or "
            "have them between slashes, nor end with /addresses, /changes or /now-serving; choose "
            "another name"
        ) from None
    except RoomOccupied as occupied:
        raise Misconfigured(
            f"room {room!r} is in use: {occupied.waiting:,} waiting, {occupied.admitted:,} "
            "admitted; `waitline rooms reset` removes them, `delete --force` deletes the room too"
        ) from None
    except TooManyRooms:
        raise Misconfigured("too many rooms; `waitline rooms delete` removes one") from None


def _flat(room: str, rules: Rules) -> dict[str, Any]:
    values = rules.values
    for setting in ROOM_SETTINGS:
        if setting.is_time:
            values[setting.name] = setting.to_wire(values[setting.name])
    return {"room": room, **values}


def _decided(survey: Survey) -> dict[str, Any]:
    """Return the current admission decision and its reason; empty if the shop never reported."""
    decision = survey.decision
    if decision is None:
        return {}
    report = decision.report
    more = None if decision.until is None else decision.until - survey.counters["admitted"]
    return {
        "now": f"{decision.reason}: {_REASONS[decision.reason]}",
        "now_admit_per_s": round(decision.per_s, 2),
        "now_may_admit": "any number" if more is None else max(more, 0),
        "now_decided_s_ago": round((survey.at_ms - decision.at_ms) / 1000, 1),
        "shop_free_seats": report.free,
        "shop_live_reservations": report.live,
        "shop_load": round(report.load, 2),
        "shop_reported_s_ago": round((survey.at_ms - report.reported_ms) / 1000, 1),
        "no_show_share": round(decision.no_show_share, 3),
    }


def _print_rules(room: str, rules: Rules, *, as_json: bool) -> None:
    _print(_flat(room, rules), as_json=as_json)


def _print(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_line(values))
        return
    table = Table(box=None, show_header=False)
    for name, value in values.items():
        shown = f"{value:,}" if isinstance(value, (int, float)) else str(value or "none")
        table.add_row(styled((name, "cyan")), shown)
    Terminal().print(table)
