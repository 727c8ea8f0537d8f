"""`waitline admitter`: run one admitter."""

import asyncio

import structlog
import uvloop

from waitline import settings as chosen
from waitline.admission import app
from waitline.cli import options
from waitline.kernel import metric_files
from waitline.kernel.addresses import shown_address
from waitline.kernel.process import log_to_stderr, stop_when_stdin_ends
from waitline.services import admitter_address, start_lines
from waitline.services.data_mode import stored_mode

log = structlog.get_logger()


def admitter(
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    log_level: options.LogLevel = None,
    log_format: options.LogFormat = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Run the admitter, which admits the waiting visitors of every room.

    Without an admitter nobody is admitted. Run two for redundancy: they share the rooms. One with a
    data folder of its own has its metrics on WAITLINE_ADMITTER_MANAGEMENT_PORT.
    """
    settings = chosen.load(
        data_dir=data_dir, valkey_url=valkey_url, log_level=log_level, log_format=log_format
    )
    log_to_stderr(settings.log_level, settings.log_format)
    url = settings.store_url()
    chosen.log_ignored_variables()
    mode = asyncio.run(stored_mode(settings))
    if until_stdin_ends:
        stop_when_stdin_ends()
    else:
        metric_files.forget(admitter_address.metrics_dir(settings), "admitter")
        log.info(
            "admitter_started",
            does="admits the waiting visitors of every room",
            mode=mode,
            valkey=shown_address(url),
        )
        start_lines.watch_in_thread(start_lines.watch_valkey(url))
    with admitter_address.kept(settings) as metrics_dir:
        uvloop.run(app.run(url, metrics_dir, settings.durability, production=mode == "production"))
