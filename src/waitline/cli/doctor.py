"""`waitline doctor`: check an installation, and say what to do."""

import asyncio
from typing import Annotated

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options
from waitline.doctor.checks import Diagnosis, Level
from waitline.kernel.addresses import address_fault
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.escapes import json_line
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal, styled
from waitline.queue.rooms import Rooms
from waitline.settings import Settings
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient

ROOMS_MAX = 100
"""Most rooms whose shop is visited: one request each, all at once."""

_STYLES = {
    Level.OK: "green",
    Level.SKIPPED: "dim",
    Level.WARNING: "yellow",
    Level.FAULT: "red",
}


def doctor(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL]...",
            help="Services as visitors reach them, or each instance: https://queue.example. "
            "Without any, only this machine and the stores are checked",
        ),
    ] = None,
    mode: options.Mode = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Check this machine, the stores and the services, and say what to do, line by line.

    Run it with the services' settings, on each machine, before a sale. It changes nothing.
    Exit status 1 if there is a fault; warnings do not count.

    Example: waitline doctor https://queue.example https://shop.example
    """
    urls = addresses or []
    for url in urls:
        wrong = address_fault(url, ("http", "https"))
        if wrong is not None:
            raise Misconfigured(f"{url!r}: {wrong}")
    settings = chosen.load(
        mode=mode, data_dir=data_dir, valkey_url=valkey_url, database_url=database_url
    )
    found = asyncio.run(_examine(settings, urls))
    if as_json:
        typer.echo(json_line([check._asdict() for check in found]))
    else:
        _print(found)
    if any(check.level is Level.FAULT for check in found):
        raise typer.Exit(1)


async def _examine(settings: Settings, urls: list[str]) -> list[Diagnosis]:
    # Take long to import.
    from waitline.doctor import machine, stores  # noqa: PLC0415
    from waitline.doctor.public_endpoints import ServiceChecks  # noqa: PLC0415

    clock = SystemClock()
    found = machine.examine(settings, clock)
    keys, wrong = machine.keys_of(settings)
    found += wrong
    found += await stores.valkey(settings, clock)
    found += await stores.database(settings, clock)
    visit = ServiceChecks(settings, machine.ring_of(settings), keys, clock)
    if urls:
        rooms = await _rooms(settings)
        public = (settings.queue_public_url or "").rstrip("/")
        if public and public not in [url.rstrip("/") for url in urls]:
            urls = [*urls, public]
        found += await visit.examine(urls, next(iter(rooms), None))
        found += await visit.pages({name: shop for name, shop in rooms.items() if shop})
    return found


async def _rooms(settings: Settings) -> dict[str, str]:
    """Return rooms, and where each sends admitted visitors; none if Valkey does not answer."""
    try:
        store = ValkeyClient(settings.store_url(), timeout_s=OPERATOR_TIMEOUT_S)
    except Misconfigured:
        return {}
    try:
        rooms = Rooms(store)
        names, _ = await rooms.page(ROOMS_MAX)
        rules = {name: (await rooms.survey(name)).rules for name in names}
    except Unavailable:
        return {}
    finally:
        await store.close()
    return {name: one.shop_url for name, one in rules.items()}


def _print(found: list[Diagnosis]) -> None:
    console = Terminal()
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in found:
        level = styled((check.level, _STYLES[check.level]))
        table.add_row(level, styled((check.subject, "bold"), f": {check.found}"))
    console.print(table)
    faults, warnings = (
        sum(check.level is level for check in found) for level in (Level.FAULT, Level.WARNING)
    )
    console.print(f"\n{counted(faults, 'fault')}, {counted(warnings, 'warning')}.")
