"""The booking service's processes: one that starts the workers, and the workers."""

from typing import TYPE_CHECKING

import structlog

from waitline import settings as chosen
from waitline.booking import health
from waitline.booking.catalogue import Catalogue
from waitline.booking.charging import CurrencyNotCharged
from waitline.booking.schema import require_tables
from waitline.kernel.errors import Misconfigured
from waitline.postgres.pool import Database
from waitline.services import process
from waitline.services.data_mode import claim_database, claim_valkey
from waitline.settings import PREFIX, Settings

if TYPE_CHECKING:
    from waitline.services.booking.app import BookingWorker

log = structlog.get_logger()


def run(settings: Settings, *, until_stdin_ends: bool) -> None:
    """Run the service until it is stopped.

    Raises:
        Misconfigured: It has no store, no database or no payment provider, or the database's
            tables are missing or out of date, or it does not write to its disk, or a concert has a
            currency that is not charged, or there is no TLS in front.
    """
    chosen.require_all(
        settings.store_url,
        settings.require_https,
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
        claims=(claim_valkey, check_tables, claim_database, check_currencies, refuse_loss),
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


async def check_currencies(settings: Settings) -> None:
    """Check that the payment provider charges the currency of every concert that still sells.

    Raises:
        Misconfigured: It does not.
        Unavailable: The database does not answer.
    """
    steps = settings.charging.steps
    if steps is None:
        return
    database = Database(settings.database_address(), "waitline.booking", connections_max=1)
    try:
        found = await Catalogue(database).not_in_currencies(steps)
    finally:
        await database.close()
    if found:
        fault = CurrencyNotCharged(found[0].currency, settings.payment_provider, steps)
        raise Misconfigured(
            f"concert {found[0].concert_id} has prices in {fault.currency}, but {fault.reason}. "
            f"Choose another {PREFIX}PAYMENT_PROVIDER, or cancel or delete its schedules: "
            "`waitline schedules cancel --help`"
        )


async def refuse_loss(settings: Settings) -> None:
    """Refuse, in production, a database that a crash may damage; warn of one that may lose writes.

    Without full page writes nothing is lost on a file system that writes pages whole, and the
    latest commits alone are without a synchronous commit: whether that is meant, operators know.

    Raises:
        Misconfigured: It does not write to its disk (`fsync=off`).
        Unavailable: The database does not answer.
    """
    if settings.mode != "production":
        return
    database = Database(settings.database_address(), "waitline.booking", connections_max=1)
    try:
        loss = await health.lossy(database)
    finally:
        await database.close()
    if loss is not None and loss.damages:
        raise Misconfigured(loss.reason)
    if loss is not None:
        log.warning("database_lossy", reason=loss.reason)


def worker() -> "BookingWorker":
    """Build the application of one worker process."""
    # Takes long to import, and the process that starts the workers does without it.
    from waitline.services.booking.app import BookingWorker  # noqa: PLC0415

    settings = process.start_worker()
    return BookingWorker(settings, chosen.operator_key(settings))
