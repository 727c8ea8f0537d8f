"""`waitline queue`: run the queue service."""

from waitline import settings as chosen
from waitline.cli import options
from waitline.services.queue import process


def queue(
    mode: options.Mode = None,
    host: options.Host = None,
    queue_port: options.QueuePort = None,
    workers: options.Workers = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    log_level: options.LogLevel = None,
    log_format: options.LogFormat = None,
    access_log: options.AccessLog = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Run the queue service: the waiting page and its API. Production mode by default.

    Needs a Valkey (--valkey-url) and an admitter (`waitline admitter`), which admits the visitors.
    """
    settings = chosen.load(
        mode=mode,
        host=host,
        queue_port=queue_port,
        workers=workers,
        data_dir=data_dir,
        valkey_url=valkey_url,
        log_level=log_level,
        log_format=log_format,
        access_log=access_log,
    )
    process.run(settings, until_stdin_ends=until_stdin_ends)
