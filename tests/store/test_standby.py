"""A database with a standby: the primary is found, also after a failover."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.standby import Pair, paired
from tests.until import until_async
from waitline.booking.migrations import migrate
from waitline.kernel.errors import Unavailable
from waitline.postgres.pool import Database

SOON_S = 20.0


@pytest.fixture
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="wl-pg-") as name, paired(Path(name)) as servers:
        yield servers


@contextmanager
def failing(pair: Pair, how: str) -> Iterator[None]:
    if how == "killed":
        pair.primary.kill()
        yield
    else:
        with pair.halted():
            yield


async def writes(database: Database) -> bool:
    try:
        await database.fetch_one("ping")
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize("how", ["killed", "halted"])
@pytest.mark.parametrize("order", ["primary first", "standby first"])
def test_the_one_that_took_over_is_found(pair: Pair, order: str, how: str) -> None:
    async def call() -> None:
        url = pair.url if order == "primary first" else pair.reversed_url
        assert await migrate(url)
        database = Database(url, "waitline.booking", connections_max=4, connections_min=4)
        try:
            await until_async(lambda: writes(database), SOON_S, "the primary is found")
            await pair.caught_up()
            with failing(pair, how):
                assert not await writes(database)
                await pair.promote()
                await until_async(lambda: writes(database), SOON_S, "the new primary is found")
        finally:
            await database.close()

    asyncio.run(call())


def test_without_a_primary_each_host_is_named_with_its_reason(pair: Pair) -> None:
    async def call() -> None:
        pair.primary.kill()
        database = Database(pair.url, "waitline.booking", connections_max=1)
        try:
            with pytest.raises(Unavailable) as refused:
                await database.fetch_one("ping")
            with pytest.raises(Unavailable, match=r"perhaps a standby|does not answer"):
                await migrate(pair.reversed_url)
        finally:
            await database.close()
        text = str(refused.value)
        assert text.startswith("no host is a primary that answers: ")
        assert "it is a standby" in text
        assert text.count("/primary") == 1
        assert text.count("/standby") == 1

    asyncio.run(call())
