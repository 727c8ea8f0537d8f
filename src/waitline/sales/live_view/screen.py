"""Live figures for a terminal, readable at 80 columns."""

from collections.abc import Sequence

from rich.console import (
    Console,  # noqa: TID251 - as Rich's protocol names it; none is made here
    ConsoleOptions,
    Group,
    RenderResult,
)
from rich.table import Table
from rich.text import Text

from waitline.kernel.escapes import visible
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import styled
from waitline.sales.durations import format_duration
from waitline.sales.live_view.figures import (
    BoxOfficeFigures,
    CallRow,
    InstanceRow,
    LiveFigures,
    RoomRow,
)

ROWS_MAX = 50
"""Most rows of a table where the height is not limited: a pipe, a file."""

SHOPS_MAX = 2
"""Most rooms whose shop is shown."""

OTHER_LINES = 12 + SHOPS_MAX
"""Lines of the screen besides the rows of tables: headings, what is left out, the box office."""

SLOW_MS = 250.0
"""P95 from which a call is marked: that of the alert WaitlineSlow."""

LAGGING_S = 0.25
"""Event loop lag from which an instance is marked: that of the alert WaitlineLoopLag."""

NONE = "\u2013"

NAME_CHARS_MAX = 20
"""Most characters of a room's name in the line of its shop."""


class Screen:
    """The figures of an interval, as many rows as fit.

    Args:
        figures: The figures.
        fits: Whether it must fit into the terminal; otherwise tables have up to `ROWS_MAX` rows.
    """

    def __init__(self, figures: LiveFigures, *, fits: bool) -> None:
        self._figures = figures
        self._fits = fits

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it: Rich's protocol."""
        del options
        figures = self._figures
        # Now, because the terminal may have another size than when the figures came.
        free = max(3, console.height - OTHER_LINES) if self._fits else None
        instances = figures.instances[: _share(free, 4)]
        calls = figures.calls[: _share(free, 3)]
        rest = None if free is None else free - len(instances) - len(calls)
        rooms = figures.rooms[: _share(rest, 1)]
        yield Group(
            _heading(figures),
            _room_table(rooms),
            _more(len(figures.rooms) - len(rooms) + figures.rooms_omitted, "room"),
            _call_table(calls),
            _more(len(figures.calls) - len(calls), "call"),
            _instance_table(instances),
            _more(len(figures.instances) - len(instances), "instance"),
            *map(_shop, [room for room in rooms if room.free_seats is not None][:SHOPS_MAX]),
            *_box_office(figures.box_office),
            _decisions(figures),
        )


def _share(lines: int | None, parts: int) -> int:
    return ROWS_MAX if lines is None else max(1, lines // parts)


def _heading(figures: LiveFigures) -> Text:
    waiting = sum(room.waiting for room in figures.rooms)
    active = sum(room.active for room in figures.rooms)
    rate = sum(call.per_s for call in figures.calls)
    text = styled(
        (figures.at[11:19], "bold"),
        f" UTC  {counted(figures.rooms_total, 'room')}, "
        f"{counted(figures.admitters, 'admitter')}  waiting ", (f"{waiting:,}", "bold"),
        "  active ", (f"{active:,}", "bold"), "  requests/s ", (_number(rate), "bold"),
    )  # fmt: skip
    for source in figures.sources:
        if source.failure is not None:
            text += styled("\n", (f"{source.address}: {visible(source.failure)}", "red"))
    return text


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style="cyan")
    table.add_column(first, no_wrap=True, overflow="ellipsis", ratio=1)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _room_table(rooms: Sequence[RoomRow]) -> Table:
    table = _table("room", "waiting", "active", "of", "in/s", "adm/s", "out/s", "wait", "reason")
    for room in rooms:
        table.add_row(
            visible(room.room),
            f"{room.waiting:,}",
            f"{room.active:,}",
            f"{room.active_max:,}",
            _number(room.entered_per_s),
            _number(room.admitted_per_s),
            _number(room.left_per_s),
            NONE if room.wait_s is None else format_duration(room.wait_s * 1000),
            visible(room.reason or NONE),
        )
    return table


def _call_table(calls: Sequence[CallRow]) -> Table:
    table = _table("call", "per s", "4xx/s", "5xx/s", "p50 ms", "p95 ms", "p99 ms")
    for call in calls:
        slow = "red" if (call.p95_ms or 0) > SLOW_MS else ""
        table.add_row(
            visible(call.call.replace("/api/v1", "", 1)),
            _number(call.per_s),
            _number(call.refused_per_s),
            styled((_number(call.failed_per_s), "red" if call.failed_per_s else "")),
            _number(call.p50_ms),
            styled((_number(call.p95_ms), slow)),
            styled((_number(call.p99_ms), slow)),
        )
    return table


def _instance_table(instances: Sequence[InstanceRow]) -> Table:
    table = _table("instance", "service", "proc.", "per s", "cores", "MB", "lag ms", "streams")
    for one in instances:
        lag_ms = None if one.loop_lag_s is None else one.loop_lag_s * 1000
        table.add_row(
            visible(one.instance),
            visible(one.service),
            str(one.processes),
            _number(one.per_s),
            _number(one.cpu_cores),
            f"{one.memory_bytes / 1e6:,.0f}",
            styled((_number(lag_ms), "red" if (one.loop_lag_s or 0) > LAGGING_S else "")),
            f"{one.streams:,}",
        )
    return table


def _shop(room: RoomRow) -> Text:
    return styled(
        ("shop", "cyan"), f"  {visible(room.room)[:NAME_CHARS_MAX]}  free {room.free_seats:,}  "
        f"unpaid {room.live_reservations:,}  load {_number(room.shop_load)}  "
        f"limit {_number(room.limit_per_s)}/s  report {_number(room.report_age_s)} s old",
    )  # fmt: skip


def _box_office(found: BoxOfficeFigures | None) -> list[Text]:
    if found is None:
        return []
    paid = ", ".join(
        f"{_number(per_s)} {visible(name)}" for name, per_s in found.paid_per_s.items()
    )
    return [
        styled(
            ("box office", "cyan"), f"  paid per s, in minor units: {paid or NONE}  pending "
            f"{found.payments_pending:,}  refunding {found.payments_refunding:,}  ",
            (f"need an operator {found.payments_attention:,}", _alarm(found.payments_attention)),
        ),
        styled(
            ("database", "cyan"), f"  connections {found.connections_in_use} of "
            f"{found.connections}, statements waiting {found.statements_waiting}  ",
            ("events", "cyan"), f" waiting {found.events_waiting:,}, ",
            (f"dead {found.events_dead:,}", _alarm(found.events_dead)),
        ),
    ]  # fmt: skip


def _decisions(figures: LiveFigures) -> Text:
    rates = "  ".join(
        f"{visible(reason)} {_number(per_s)}" for reason, per_s in figures.decisions_per_s.items()
    )
    return styled(("decisions/s", "cyan"), f"  {rates or NONE}")


def _alarm(count: int) -> str:
    return "red" if count else ""


def _more(count: int, noun: str) -> Text:
    return styled((f"… and {counted(count, f'more {noun}')}" if count > 0 else "", "dim"))


def _number(value: float | None) -> str:
    """Return a number with three digits or so."""
    if value is None:
        return NONE
    if value >= 100 or value == int(value):  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004 - three digits
