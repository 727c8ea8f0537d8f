"""The queue service, the booking service and the admitter, each a command of its own."""

import uvloop

from waitline import settings as chosen
from waitline.cli import options
from waitline.kernel.process import log_to_stderr, stop_when_stdin_ends
from waitline.services.booking import process as booking_process
from waitline.services.queue import process as queue_process


def queue(
    mode: options.Mode = None,
    host: options.Host = None,
    queue_port: options.QueuePort = None,
    workers: options.Workers = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Run the queue service; in production mode by default."""
    settings = chosen.load(
        mode=mode,
        host=host,
        queue_port=queue_port,
        workers=workers,
        data_dir=data_dir,
        valkey_url=valkey_url,
    )
    queue_process.run(settings, until_stdin_ends=until_stdin_ends)


def booking(
    mode: options.Mode = None,
    host: options.Host = None,
    booking_port: options.BookingPort = None,
    workers: options.BookingWorkers = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Run the booking service; in production mode by default.

    Create its tables first: `waitline migrate`. Secrets come from the environment alone.
    """
    settings = chosen.load(
        mode=mode,
        host=host,
        booking_port=booking_port,
        booking_workers=workers,
        data_dir=data_dir,
        valkey_url=valkey_url,
        database_url=database_url,
    )
    booking_process.run(settings, until_stdin_ends=until_stdin_ends)


def admitter(
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Admit visitors, room by room. Run two for safety: they share the work."""
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)
    url = settings.store_url()
    chosen.share_metrics(settings.metrics_dir, fresh=False)
    log_to_stderr()
    if until_stdin_ends:
        stop_when_stdin_ends()
    # Imports telemetry, which needs to know where to keep its figures.
    from waitline.admission import app  # noqa: PLC0415

    uvloop.run(app.run(url))
