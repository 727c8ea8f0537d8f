"""The relay of the box office's events, with a connection of its own."""

from collections.abc import Callable

from waitline.booking.outbox import Relay
from waitline.postgres.pool import Database
from waitline.services.data_mode import open_valkey
from waitline.settings import Settings


async def relay_events(
    settings: Settings, database: Database, on_script: Callable[[str, float], None]
) -> None:
    """Send events until cancelled; while they are confirmed, their connection does nothing else."""
    store = open_valkey(settings, on_script, settings.durability)
    try:
        await Relay(database, store).run()
    finally:
        await store.close()
