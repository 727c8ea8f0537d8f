"""Admitter process: admits and sweeps room by room, and frees the slots of visitors who paid."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from pathlib import Path

from waitline.admission import payment_events
from waitline.admission.admitter import Admitter
from waitline.admission.controller import AdmissionController
from waitline.admission.payment_events import PaymentEvents
from waitline.admission.shop_reports import ShopReports
from waitline.kernel import telemetry
from waitline.kernel.errors import Unavailable
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.queue.listening import Listening
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient
from waitline.valkey.durability import Durability
from waitline.valkey.fitness import Fitness, refuse_unfit


async def run(url: str, metrics_dir: Path, durability: Durability, *, production: bool) -> None:
    """Run an admitter until SIGTERM or SIGINT.

    Args:
        url: Address of the store.
        metrics_dir: Folder of the queue service's metrics.
        durability: What joins must have reached before they are answered.
        production: Whether to refuse a store that may drop data.

    Raises:
        Misconfigured: The store is refused.
    """
    await refuse_unfit(url, durability, production=production)
    tallies = ProcessMetrics(metrics_dir, "admitter")
    store = ValkeyClient(url, on_script=tallies.script)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    replicated = durability == "replicated"
    confirming = ValkeyClient(url, on_script=tallies.script, durability="replicated")
    name = f"{socket.gethostname()}:{os.getpid()}"
    rooms = Rooms(store)
    admitter = Admitter(
        rooms,
        Line(store),
        AdmissionController(rooms, ShopReports(store)),
        # Containers of one host may have its name, and each a first process.
        name=f"{name}:{secrets.token_hex(4)}",
        listening=Listening(store),
        confirm=confirming.confirm if replicated else None,
        admitters=rooms.admitters,
        observe_move=lambda room, seconds: telemetry.MOVE_SECONDS.tally(room).add(seconds),
        observe_round=lambda _rooms, seconds: telemetry.ROUND_SECONDS.tally().add(seconds),
    )
    # Blocking reads of events need a connection of their own.
    events = ValkeyClient(url, timeout_s=payment_events.TIMEOUT_S)
    # In a cluster the event and the room may be on different primaries: the departure must not be
    # lost with the one where the other knows that it is done.
    line = Line(store, confirming if replicated else None)
    departures = PaymentEvents(events, line, name=name)
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            group.create_task(admitter.run())
            group.create_task(departures.run())
            group.create_task(Fitness(store, durability, production=production).run())
            group.create_task(tallies.keep())
    tallies.flush()
    with contextlib.suppress(Unavailable, ExceptionGroup):
        await admitter.stop()
    await events.close()
    await confirming.close()
    await store.close()
