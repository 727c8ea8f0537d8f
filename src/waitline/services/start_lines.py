"""Log lines of a process: one at its start, and one per outage of a store.

The process that starts a service's workers writes them, once for all workers.
"""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog

from waitline.booking.mode import OfficeMode
from waitline.kernel.addresses import shown_address
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import Database
from waitline.settings import PREFIX, Settings
from waitline.valkey.client import ValkeyClient
from waitline.valkey.fitness import answers

PING_S = 1.0
"""Interval of checks, in s. With the timeout, an outage is logged within 2 s."""

TIMEOUT_S = 0.8
"""Timeout of one check, in s."""

DOES = {
    "queue": "serves the waiting page and the line's API",
    "booking": "serves seats, reservations and payments",
}

log = structlog.get_logger()


def log_start(settings: Settings, role: str, addresses: Sequence[str], workers: int) -> None:
    """Log what a service does, where, and with what.

    Args:
        settings: The installation's settings.
        role: queue or booking.
        addresses: Addresses that it listens on.
        workers: Its processes.
    """
    root = settings.queue_root_path if role == "queue" else settings.booking_root_path
    sells = role == "booking"
    log.info(
        "service_listening",
        service=role,
        does=DOES[role],
        mode=settings.mode,
        addresses=[f"{address}{root or ''}" for address in addresses],
        workers=workers,
        valkey=shown_address(settings.store_url()),
        database=shown_address(settings.database_address()) if sells else None,
        payments=settings.money if sells else settings.about["payments"],
    )
    warn_of_plain_http(settings)


def watch_stores(settings: Settings, role: str) -> None:
    """Log outages of the stores of a service, from a thread of its own."""
    watches = [watch_valkey(settings.store_url())]
    if role == "booking":
        watches.append(watch_database(settings.database_address()))
    watch_in_thread(*watches)


def warn_of_plain_http(settings: Settings) -> None:
    """Log that visitors need HTTPS, unless a proxy is known to provide it."""
    reason = plain_http(settings)
    if reason:
        log.warning("https_missing", reason=reason)


def plain_http(settings: Settings) -> str:
    """Return why browsers would reject visitors' cookies; empty if they would not."""
    if settings.mode != "production" or settings.trusted_proxies is not None:
        return ""
    return (
        "production needs HTTPS: browsers keep the cookie that proves a place over HTTPS only, so "
        "over plain HTTP two tabs take the place from each other. Put a proxy that ends TLS in "
        f"front (deploy/nginx/waitline.conf), and name it in {PREFIX}TRUSTED_PROXIES"
    )


async def watch_valkey(url: str) -> None:
    """Log when Valkey does not answer, and when it does again, until cancelled."""
    store = ValkeyClient(url, timeout_s=TIMEOUT_S)
    await periodic("valkey_watch", lambda: answers(store), PING_S)


async def watch_database(url: str) -> None:
    """Log when PostgreSQL does not answer, and when it does again, until cancelled."""
    mode = OfficeMode(Database(url, "waitline.booking", connections_max=1))

    async def ping() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await mode.load()

    await periodic("database_watch", ping, PING_S)


def watch_in_thread(*watches: Coroutine[Any, Any, None]) -> None:
    """Run watches in a thread, which ends with the process: its main thread serves."""

    async def run() -> None:
        await asyncio.gather(*watches)

    threading.Thread(target=asyncio.run, args=(run(),), daemon=True, name="store-watch").start()
