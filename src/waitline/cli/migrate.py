"""`waitline migrate`: create or upgrade the tables of the box office."""

import asyncio

from waitline import settings as chosen
from waitline.booking.migrations import migrate as bring_up_to_date
from waitline.cli import options
from waitline.kernel.terminal import Terminal, styled


def migrate(
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Create or upgrade the box office's tables for this version. Safe to repeat.

    Applies all pending migrations in one transaction. The previous version may keep serving.
    """
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    applied = asyncio.run(bring_up_to_date(settings.database_address()))
    console = Terminal()
    for step in applied:
        console.print(styled(("applied", "green"), f" migration {step}"))
    if not applied:
        console.print("The tables are up to date.")
