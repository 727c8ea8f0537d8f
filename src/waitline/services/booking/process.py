"""The booking service's processes: one that starts the workers, and the workers."""

from typing import TYPE_CHECKING

from waitline import settings as chosen
from waitline.booking.schema import require_tables
from waitline.postgres.pool import Database
from waitline.services import process
from waitline.services.data_mode import claim_database, claim_valkey
from waitline.settings import Settings

if TYPE_CHECKING:
    from waitline.services.booking.app import BookingWorker


def run(settings: Settings, *, until_stdin_ends: bool) -> None:
    """Run the service until it is stopped.

    Raises:
        Misconfigured: It has no store, no database or no payment provider, or the database's
            tables are missing or out of date.
    """
    chosen.require_all(
        settings.store_url,
        settings.database_address,
        settings.require_payments,
        settings.require_money,
        lambda: chosen.operator_key(settings),
    )
    process.run(
        settings,
        "waitline.services.booking.process:worker",
        port=settings.booking_port,
        workers=settings.booking_workers,
        management_port=settings.booking_management_port,
        role="booking",
        metrics_dir=settings.booking_metrics_dir,
        claims=(claim_valkey, check_tables, claim_database),
        until_stdin_ends=until_stdin_ends,
    )


async def check_tables(settings: Settings) -> None:
    """Check that `waitline migrate` has brought the tables to this version.

    Raises:
        Misconfigured: It has not.
        Unavailable: The database does not answer.
    """
    database = Database(settings.database_address(), "waitline.booking", connections_max=1)
    try:
        await require_tables(database)
    finally:
        await database.close()


def worker() -> "BookingWorker":
    """Build the application of one worker process."""
    # Takes long to import, and the process that starts the workers does without it.
    from waitline.services.booking.app import BookingWorker  # noqa: PLC0415

    settings = process.start_worker()
    return BookingWorker(settings, chosen.operator_key(settings))
