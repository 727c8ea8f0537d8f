"""Start of a service: pass the settings to its workers through the environment, then run them."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import structlog

from waitline import settings as chosen
from waitline.http import server
from waitline.kernel import garbage_collection, listeners, metric_files
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.process import log_to_stderr, stop_when_stdin_ends
from waitline.kernel.tracing import require_tracing
from waitline.services import management_keeper, start_lines
from waitline.services.data_mode import Claim, claim_all
from waitline.settings import PREFIX, Settings
from waitline.tokens.keyring_file import KeyringFile
from waitline.valkey.fitness import refuse_unfit

log = structlog.get_logger()

MANAGEMENT = "management"
"""Role of the management process among those of its service."""


def run(
    settings: Settings,
    factory: str,
    *,
    port: int,
    workers: int,
    management_port: int,
    role: str,
    metrics_dir: Path,
    claims: Sequence[Claim],
    until_stdin_ends: bool,
) -> None:
    """Run a service until it is stopped.

    Args:
        settings: The installation's settings.
        factory: `module:function` that makes a worker's application.
        port: Port that all workers share.
        workers: Processes.
        management_port: Port of its management process, in production mode.
        role: Name of the service, and role of its workers in `metrics_dir`.
        metrics_dir: Where all processes of the service keep their metrics.
        claims: Check the mode of the data in each store that it uses.
        until_stdin_ends: Whether to stop with the parent process, which restarts it: the counts
            continue then.

    Raises:
        Misconfigured: It cannot listen, the store is not fit, or the extra `traces` is missing.
        KeyringError: The keys of tickets and passes cannot be used.
        OtherMode: A store holds data of another mode.
    """
    chosen.export(settings)
    log_to_stderr(settings.log_level, settings.log_format)
    require_tracing(settings.traces_url)
    chosen.log_ignored_variables()
    if until_stdin_ends:
        stop_when_stdin_ends()
    else:
        metric_files.forget(metrics_dir, role)
        metric_files.forget(metrics_dir, MANAGEMENT)
    # Checked here, so that a fault is one error line rather than one per worker.
    KeyringFile(settings.keys_file).load_or_create(SystemClock().now_ms())
    with ExitStack() as stack:
        production = settings.mode == "production"
        if production:
            keeper = management_keeper.kept(
                f"waitline.services.{role}.management",
                settings.management_host,
                management_port,
                f"{PREFIX}{role.upper()}_MANAGEMENT_PORT",
            )
            stack.enter_context(keeper)
        asyncio.run(refuse_unfit(settings.store_url(), settings.durability, production=production))
        claim_all(settings, claims)
        bound = _bind(settings.host, port, f"--{role}-port")
        if not until_stdin_ends:
            # Otherwise the parent process has chosen the port, and prints it.
            start_lines.log_start(settings, role, listeners.urls(bound), workers)
            start_lines.watch_stores(settings, role)
        server.serve(factory, bound, workers=workers, drain_s=settings.drain_s)


def _bind(host: str, port: int, option: str) -> list[socket.socket]:
    try:
        return listeners.bind(host, port)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        raise Misconfigured(
            f"cannot listen on {host}, port {port}: {reason}; {option} chooses another port"
        ) from None


def start_worker() -> Settings:
    """Prepare a worker process; return the settings from its environment."""
    settings = chosen.load()
    log_to_stderr(settings.log_level, settings.log_format)
    garbage_collection.settle()
    return settings
