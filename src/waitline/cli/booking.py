"""`waitline booking`: run the booking service."""

from waitline import settings as chosen
from waitline.cli import options
from waitline.services.booking import process


def booking(
    mode: options.Mode = None,
    host: options.Host = None,
    booking_port: options.BookingPort = None,
    workers: options.BookingWorkers = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    log_level: options.LogLevel = None,
    log_format: options.LogFormat = None,
    access_log: options.AccessLog = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Run the booking service: seats, reservations and payments. Production mode by default.

    Needs a PostgreSQL (--database-url). Create its tables first: `waitline migrate`. Set secrets in
    the environment (WAITLINE_PAYMENT_KEY, WAITLINE_WEBHOOK_SECRET); there is no option for them.
    """
    settings = chosen.load(
        mode=mode,
        host=host,
        booking_port=booking_port,
        booking_workers=workers,
        data_dir=data_dir,
        valkey_url=valkey_url,
        database_url=database_url,
        log_level=log_level,
        log_format=log_format,
        access_log=access_log,
    )
    process.run(settings, until_stdin_ends=until_stdin_ends)
