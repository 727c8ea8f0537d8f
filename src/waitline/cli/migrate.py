"""Bring the tables of the box office up to date."""

import asyncio

from rich.console import Console

from waitline import settings as chosen
from waitline.booking.migrations import migrate as bring_up_to_date
from waitline.cli import options


def migrate(
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Make or change the box office's tables as this version needs them. Safe to repeat.

    All steps that are due, or none. The older version may go on serving meanwhile.
    """
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    applied = asyncio.run(bring_up_to_date(settings.database_address()))
    console = Console(highlight=False)
    for step in applied:
        console.print(f"[green]applied[/] step {step}")
    if not applied:
        console.print("The tables are up to date; nothing was changed.")
