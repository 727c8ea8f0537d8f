"""The queue service, the booking service and the admitter, each a command of its own."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop

from waitline import settings as chosen
from waitline.admission import payment_events
from waitline.admission.admitter import Admitter
from waitline.admission.controller import Steering
from waitline.admission.payment_events import Departures
from waitline.admission.shop_reports import Reports
from waitline.cli import options
from waitline.kernel import garbage_collection
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient

if TYPE_CHECKING:
    from waitline.http.requests import App

KEEP_ALIVE_S = 75
"""How long an idle connection stays open: longer than visitors' poll intervals, so that polling
does not pay for a new connection each time."""

BACKLOG = 4_096
"""Connections that may wait to be accepted; the kernel cuts this to its own limit."""

DRAIN_S = 5
"""How long requests and streams under way may take to end when the service stops."""


def queue(
    mode: options.Mode = None,
    host: options.Host = None,
    queue_port: options.QueuePort = None,
    workers: options.Workers = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Run the queue service. In production mode unless told otherwise."""
    settings = chosen.load(
        mode=mode,
        host=host,
        queue_port=queue_port,
        workers=workers,
        data_dir=data_dir,
        valkey_url=valkey_url,
    )
    settings.store_url()
    chosen.operator_key(settings)
    _serve(
        "worker",
        settings,
        port=settings.queue_port,
        workers=settings.workers,
        metrics=settings.metrics_dir,
        until_stdin_ends=until_stdin_ends,
    )


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
    """Run the booking service. In production mode unless told otherwise.

    Its tables must have been made: `waitline migrate`. Secrets come from the environment alone.
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
    settings.store_url()
    settings.database_address()
    settings.require_payments()
    chosen.operator_key(settings)
    _serve(
        "booking_worker",
        settings,
        port=settings.booking_port,
        workers=settings.booking_workers,
        metrics=settings.booking_metrics_dir,
        until_stdin_ends=until_stdin_ends,
    )


def _serve(
    factory: str,
    settings: chosen.Settings,
    *,
    port: int,
    workers: int,
    metrics: Path,
    until_stdin_ends: bool,
) -> None:
    # Whoever wants us to stop with it has seen to the figures: not all of them are ours.
    chosen.share_metrics(metrics, fresh=not until_stdin_ends)
    chosen.export(settings)
    options.log_to_stderr()
    _allow_many_connections()
    if until_stdin_ends:
        stop_when_stdin_ends()
    uvicorn.run(
        f"waitline.cli.serve:{factory}",
        factory=True,
        host=settings.host,
        port=port,
        workers=workers,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        http="waitline.http.protocol:Protocol",
        # Whose address a request comes from decides nothing here, so no header is trusted for it.
        **SERVER,
    )


def _allow_many_connections() -> None:
    """Raise the number of files that may be open to the most that the system allows.

    Each connection is one. Systems start processes with 1 024, for programs that still use
    `select`, and leave it to the others to ask for more.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


SERVER: dict[str, Any] = {
    "loop": "uvloop",
    "ws": "none",
    "lifespan": "on",
    "interface": "asgi3",
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,
    "log_level": "warning",
}
"""How uvicorn serves, here and wherever it is measured against something else."""


def worker() -> "App":
    """Make the application of one worker process; its settings are in the environment."""
    # Telemetry reads where to keep its figures when it is imported, so not before this process
    # has its settings.
    from waitline.services.queue.app import Worker  # noqa: PLC0415

    settings = _settled()
    return Worker(settings, chosen.operator_key(settings))


def booking_worker() -> "App":
    """Make the application of one worker of the booking service; settings as in `worker`."""
    from waitline.services.booking.app import BookingWorker  # noqa: PLC0415 - see `worker`

    settings = _settled()
    return BookingWorker(settings, chosen.operator_key(settings))


def _settled() -> chosen.Settings:
    """Read the settings, and make the process ready for its requests."""
    options.log_to_stderr()
    garbage_collection.settle()
    return chosen.load()


def admitter(
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Let visitors in, room by room. Run two for safety: they share the work."""
    settings = chosen.load(data_dir=data_dir, valkey_url=valkey_url)
    url = settings.store_url()
    chosen.share_metrics(settings.metrics_dir, fresh=False)
    options.log_to_stderr()
    if until_stdin_ends:
        stop_when_stdin_ends()
    uvloop.run(_admit(url))


def stop_when_stdin_ends() -> None:
    """Stop this process, as SIGTERM does, when whoever holds the other end of stdin is gone."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


async def _admit(url: str) -> None:
    from waitline.kernel import telemetry  # noqa: PLC0415 - see `worker`

    tallies = telemetry.Tallies()
    store = ValkeyClient(url, on_script=tallies.script)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    name = f"{socket.gethostname()}:{os.getpid()}"
    rooms = Rooms(store)
    admitting = Admitter(
        rooms,
        Line(store),
        Steering(rooms, Reports(store)),
        name=name,
        measure_move=lambda room, seconds: telemetry.MOVE_SECONDS.labels(room).observe(seconds),
        on_round=lambda _rooms, seconds: telemetry.ROUND_SECONDS.observe(seconds),
    )
    reading = ValkeyClient(url, timeout_s=payment_events.TIMEOUT_S)
    departing = Departures(reading, Line(store), name=name)
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            group.create_task(admitting.run())
            group.create_task(departing.run())
            group.create_task(tallies.keep())
    tallies.flush()
    await reading.close()
    await store.close()
