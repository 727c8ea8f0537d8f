"""Mode of the data, checked by every process: at its start, and for as long as it runs.

At the start a store of another mode ends the process. While it runs, each connection checks what it
reaches (`waitline.valkey.connection`, `waitline.postgres.sessions`), and this watch checks every
minute: a store that was replaced gets no further command, and the service is not ready.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Never

import structlog

from waitline.booking.mode import OfficeMode
from waitline.kernel.errors import NeedsOperator, Unavailable
from waitline.kernel.mode import DataMode, OtherMode, StoredMode
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import Database
from waitline.postgres.sessions import MarkStatement
from waitline.queue import keys
from waitline.queue.mode import STORE, LineMode
from waitline.settings import PREFIX, Settings, in_environment
from waitline.valkey.client import ValkeyClient
from waitline.valkey.connection import Mark
from waitline.valkey.durability import Durability
from waitline.valkey.fitness import await_primary

CHECK_S = 60.0
"""Interval of checks, in s, once the mode was found: stores are rarely replaced, and connections
check for themselves."""

RETRY_S = 1.0
"""Interval of checks, in s, until the mode was found: a store may start after the process."""

CALL_S = 2.0
"""Timeout of one call, in s. A store that does not answer is checked again."""

Claim = Callable[[Settings], Awaitable[None]]
Refuse = Callable[[str], Awaitable[None] | None]

log = structlog.get_logger()


def open_valkey(
    settings: Settings,
    on_script: Callable[[str, float], None],
    durability: Durability = "memory",
) -> ValkeyClient:
    """Return a client of the installation's Valkey whose connections check the mode of the data.

    Args:
        settings: The installation's settings.
        on_script: As in `ValkeyClient`.
        durability: As in `ValkeyClient`.
    """
    mark = Mark(keys.MODE, settings.mode)
    return ValkeyClient(settings.store_url(), on_script=on_script, mark=mark, durability=durability)


def database_mark(settings: Settings) -> MarkStatement:
    """Return the check that each database connection of a process runs."""
    return MarkStatement("SELECT mode FROM installation", settings.mode)


async def stored_mode(settings: Settings) -> str:
    """Return the mode of the data in Valkey, for a process that serves either.

    The configured mode, if Valkey holds none or does not answer.

    Raises:
        OtherMode: A mode was configured explicitly, and the data is in another.
        NeedsOperator: Valkey refuses us.
    """
    await await_primary(settings.store_url())
    store = ValkeyClient(settings.store_url(), timeout_s=CALL_S)
    found: DataMode | None = None
    try:
        found = await LineMode(store).load()
    except NeedsOperator:
        raise
    except Unavailable as error:
        log.warning("store_unchecked", reason=str(error))
    finally:
        await store.close()
    if in_environment(f"{PREFIX}MODE") is not None and found is not None:
        StoredMode(STORE, found).require(DataMode(settings.mode))
    return found or settings.mode


async def claim_valkey(settings: Settings) -> None:
    """Check the mode of the data in Valkey; write it if there is none.

    Raises:
        OtherMode: The data belongs to another mode.
        Unavailable: Valkey does not answer.
    """
    store = ValkeyClient(settings.store_url(), timeout_s=CALL_S)
    try:
        await LineMode(store).claim(DataMode(settings.mode))
    finally:
        await store.close()


async def claim_database(settings: Settings) -> None:
    """Check mode and money of the data in the database; write them if there are none.

    Raises:
        OtherMode: The data belongs to another mode, or bookings were paid with other money.
        Unavailable: The database does not answer, or lacks tables.
    """
    database = Database(settings.database_address(), "waitline.booking", connections_max=1)
    try:
        mode = OfficeMode(database)
        await mode.claim(DataMode(settings.mode))
        await mode.claim_money(play=settings.takes_play_money)
    finally:
        await database.close()


def claim_all(settings: Settings, claims: Sequence[Claim]) -> None:
    """Check the mode of every store that a process uses, at its start.

    A store that does not answer is no reason to wait: the watch checks it later.

    Raises:
        OtherMode: A store holds data of another mode.
        NeedsOperator: A store refuses us.
    """

    async def claim_each() -> None:
        for claim in claims:
            try:
                await claim(settings)
            except NeedsOperator:
                # It answers, and refuses us.
                raise
            except Unavailable as error:
                log.warning("store_unchecked", reason=str(error))

    asyncio.run(claim_each())


def watches(
    settings: Settings, stores: Sequence[ValkeyClient], database: Database | None = None
) -> "list[ModeWatch]":
    """Return the watches of the stores that a process uses.

    Args:
        settings: The installation's settings.
        stores: The clients of its Valkey.
        database: The client of its database; `None` for none.
    """

    def refuse(reason: str) -> None:
        for store in stores:
            store.refuse(reason)

    made = [ModeWatch(settings, claim_valkey, refuse)]
    if database is not None:
        made.append(ModeWatch(settings, claim_database, database.refuse))
    return made


class ModeWatch:
    """Checks the mode of one store while a process runs.

    Args:
        settings: The installation's settings.
        claim: Checks the store.
        refuse: Called with the reason once the store holds data of another mode, and with an empty
            text when it may be used again.
    """

    def __init__(self, settings: Settings, claim: Claim, refuse: Refuse) -> None:
        self._settings = settings
        self._claim = claim
        self._refuse = refuse
        self._found = False
        self._reason = ""
        self._checked_s = float("-inf")

    async def run(self) -> Never:
        """Check until cancelled."""
        await periodic("mode_check", self._check_if_due, RETRY_S)

    async def _check_if_due(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._found and now_s - self._checked_s < CHECK_S:
            return
        # An outage is logged elsewhere; the next round checks again.
        with suppress(Unavailable):
            await self.check()

    async def check(self) -> None:
        """Check now; refuse the store or allow it again.

        Raises:
            Unavailable: It does not answer.
        """
        reason = ""
        try:
            await self._claim(self._settings)
        except OtherMode as error:
            reason = str(error)
        self._found, self._checked_s = not reason, asyncio.get_running_loop().time()
        if reason == self._reason:
            return
        self._reason = reason
        if reason:
            log.error("store_of_another_mode", reason=reason)
        waits = self._refuse(reason)
        if waits is not None:
            await waits
