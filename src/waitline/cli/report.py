"""`waitline report sale`: report on a past sale. Other reports are in `report_*.py`."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options, report_panels, report_performance
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import file_name, json_line
from waitline.kernel.ids import RoomId
from waitline.kernel.terminal import Terminal, styled
from waitline.queue.model import RoomUnknown
from waitline.queue.rooms import Rooms
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient

if TYPE_CHECKING:
    from waitline.booking.sale_totals import SaleTotals
    from waitline.sales.sale_report.summary import Aftermath

app = typer.Typer(
    help="Reports as pages: a past sale, panels of a dashboard, benchmarks.", no_args_is_help=True
)

Out = Annotated[Path, typer.Option(help="Folder for sale-ROOM.html and sale-ROOM.json")]


app.command("panels")(report_panels.panels)
app.command("performance")(report_performance.performance)


@app.command("sale")
def sale(
    room: options.RoomOfSale,
    out: Out = Path("out"),
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Report the visitors, their waits, the order of admission and the seats sold.

    Writes sale-ROOM.html with charts and sale-ROOM.json with all figures. With --json it prints the
    figures and writes no file. Each figure says what it counts, and figures that look alike but
    differ are explained. Without a box office it reports on the waiting room only. Exit status 1 if
    a visitor was admitted out of order.

    Example: waitline report sale --room demo
    """
    # A late import: the box office takes longer to import than most commands run.
    from waitline.sales.audit import takes_play_money  # noqa: PLC0415
    from waitline.sales.sale_report import summary  # noqa: PLC0415

    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url, database_url=database_url)
    if not as_json:
        options.prepare_out(out)
    aftermath = asyncio.run(_gathered(settings, RoomId(room)))
    document = summary.document(aftermath)
    if as_json:
        typer.echo(json_line(document))
    else:
        _show(Terminal(), aftermath)
        if aftermath.sale_totals is not None and takes_play_money(settings):
            Terminal().print("\nPaid with play money.")
        name = f"sale-{file_name(aftermath.room)}"
        figures, page = out / f"{name}.json", out / f"{name}.html"
        figures.write_text(json.dumps(document, indent=1), "utf-8")
        page.write_text(_page(aftermath), "utf-8")
        console = Terminal(stderr=True, soft_wrap=True)
        console.print(f"All figures: {figures}\nCharts: {page}")
    if aftermath.overtaken:
        raise typer.Exit(1)


async def _gathered(settings: chosen.Settings, room: RoomId) -> "Aftermath":
    from waitline.sales.sale_report.summary import Aftermath  # noqa: PLC0415

    store = ValkeyClient(settings.store_url(), timeout_s=OPERATOR_TIMEOUT_S)
    try:
        rooms = Rooms(store)
        survey, record = await rooms.survey(room), await rooms.sale_record(room)
    except RoomUnknown:
        raise Misconfigured(
            f"room {room!r} not found; `waitline rooms list` lists the rooms"
        ) from None
    finally:
        await store.close()
    return Aftermath(room, survey, record, await _sale_totals(settings, room))


async def _sale_totals(settings: chosen.Settings, room: RoomId) -> "SaleTotals | None":
    from waitline.booking import sale_totals  # noqa: PLC0415
    from waitline.postgres.pool import Database  # noqa: PLC0415

    try:
        address = settings.database_address()
    except Misconfigured:
        return None
    database = Database(address, "waitline.booking", connections_max=1)
    try:
        found = await sale_totals.load_sale_totals(database, room)
    finally:
        await database.close()
    return found if found.totals.concerts else None


def _page(aftermath: "Aftermath") -> str:
    from waitline.sales.sale_report import page  # noqa: PLC0415

    return page.report(aftermath)


def _show(console: Terminal, aftermath: "Aftermath") -> None:
    from waitline.sales.sale_report import summary  # noqa: PLC0415

    colour = "red" if aftermath.overtaken else "green"
    console.print(
        styled((aftermath.room, "bold"), ": ", (summary.order(aftermath), colour)), soft_wrap=True
    )
    sections = [("The line", summary.line(aftermath))]
    if aftermath.sale_totals is not None:
        sections.append(("The box office", summary.sold(aftermath.sale_totals)))
    for title, rows in sections:
        table = Table(title=f"\n{title}", title_justify="left", box=None, show_header=False)
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(style="dim")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    differences = summary.differences(aftermath)
    if differences:
        console.print("\nWhere figures differ")
        for text in differences:
            console.print(styled("  ", ("-", "cyan"), f" {text}"))
    if aftermath.sale_totals is None:
        console.print("\nNo concert uses this room.")
