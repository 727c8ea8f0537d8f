"""`waitline schedules cancel` is killed in the middle and run again: all are refunded, and once."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg

from tests.booking.sale import PRICE, at_once
from tests.databases import TestDatabase
from tests.payments.shop import UP_S, SandboxProcess, Shop, plays
from tests.until import until_async
from waitline.booking.stopping import CHUNK_MAX, ScheduleStops

# Three chunks, of which one is done and one under way when the command dies.
BOUGHT = 2 * CHUNK_MAX + 20

HALT = """
CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'REFUNDING'
        AND (SELECT count(*) FROM payment WHERE state = 'REFUNDING') >= 100
    THEN PERFORM pg_advisory_xact_lock(4242);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER halt BEFORE UPDATE ON payment FOR EACH ROW EXECUTE FUNCTION halt();
"""


@asynccontextmanager
async def halted(postgres: TestDatabase) -> AsyncIterator[None]:
    """Let the second chunk wait in the middle of its statement until the block ends."""
    holder = await asyncpg.connect(postgres.url)
    try:
        await holder.execute(HALT)
        await holder.execute("SELECT pg_advisory_lock(4242)")
        yield
    finally:
        await holder.execute("SELECT pg_advisory_unlock(4242)")
        # Waits for the statement of the killed process, which ends on its own.
        await holder.execute("DROP TRIGGER halt ON payment; DROP FUNCTION halt()")
        await holder.close()


async def cancelling(postgres: TestDatabase, folder: Path) -> asyncio.subprocess.Process:
    where = ("--database-url", postgres.url, "--data-dir", str(folder))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "waitline", "schedules", "cancel", "1", "--yes", "--json", *where,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


def test_a_killed_cancellation_is_ended_by_the_next(
    postgres: TestDatabase, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    async def play(shop: Shop) -> None:
        async def buy(user: int) -> None:
            await shop.pay(await shop.hold(user, user=user), user=user)

        bought = await at_once([partial(buy, user) for user in range(1, BOUGHT + 1)])
        assert bought == [None] * BOUGHT

        async def waits() -> bool:
            return bool(
                await shop.sale.sql(
                    "SELECT FROM pg_stat_activity "
                    "WHERE datname = current_database() AND wait_event = 'advisory'"
                )
            )

        async with halted(postgres):
            command = await cancelling(postgres, tmp_path)
            await until_async(waits, UP_S, "the second chunk is under way")
            command.kill()
            await command.communicate()
            assert command.returncode == -signal.SIGKILL
            states = await shop.sale.states("reservation")
            assert states.count("CANCELLED") == CHUNK_MAX
        # A service refunds meanwhile, as in the middle of a sale.
        await shop.checkout.settle()

        command = await cancelling(postgres, tmp_path)
        out, _ = await command.communicate()
        found = json.loads(out)
        assert command.returncode == 0
        assert (found["state"], found["sold"], found["refunds"]) == ("CANCELLED", 0, BOUGHT)

        # Several services make the refunds at the same time.
        await at_once([shop.checkout.settle, shop.hasty.settle, shop.checkout.settle])
        await shop.settled()
        stops = ScheduleStops(shop.sale.database, late_s=0)
        await stops.end_chunk(1)
        progress = await stops.progress(1)
        assert progress.done
        assert (progress.refunded, progress.amount_refunded) == (BOUGHT, BOUGHT * PRICE)
        # By the provider's books: every charge was refunded as a whole, and once.
        rows = await shop.sale.sql("SELECT charge_key FROM payment")
        charges = [await shop.charge(row["charge_key"]) for row in rows]
        assert len(charges) == BOUGHT
        assert {(one["charged"], one["refunded"]) for one in charges} == {(1, 1)}
        assert await shop.sale.seats() == "A" * BOUGHT
        # No relay runs here, and the sale took longer than one may be late.
        await shop.sale.sql("UPDATE outbox SET sent_at = now()")

    plays(postgres, sandbox, play, seats=BOUGHT)
