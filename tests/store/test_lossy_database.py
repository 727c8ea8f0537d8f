"""A PostgreSQL that may lose confirmed payments: production says so at its start."""

import asyncio

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.databases import TestDatabase
from waitline.kernel.errors import Unavailable
from waitline.postgres.pool import Database
from waitline.services.booking.process import warn_of_loss
from waitline.settings import Settings


@pytest.mark.parametrize("mode", ["production", "trial"])
def test_production_warns_of_a_server_that_may_lose_payments(
    postgres: TestDatabase, mode: str
) -> None:
    settings = Settings(database_url=SecretStr(postgres.url), mode=mode)  # type: ignore[arg-type]

    async def reasons() -> str:
        with capture_logs() as logs:
            await warn_of_loss(settings)
        return "; ".join(line["reason"] for line in logs if line["event"] == "database_lossy")

    async def play() -> None:
        name = (await postgres.sql("SELECT current_database() AS name"))[0]["name"]
        before = await reasons()
        await postgres.sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        try:
            found = await reasons()
        finally:
            await postgres.sql(f'ALTER DATABASE "{name}" RESET synchronous_commit')
        assert ("synchronous_commit=off" in found) is (mode == "production")
        assert "synchronous_commit" not in before
        # As the server of the tests runs.
        assert ("fsync=off" in before) is (mode == "production")

    postgres.wait(play())


def test_the_address_is_named_without_the_password() -> None:
    async def play() -> str:
        database = Database("postgresql://ann:pa55word@127.0.0.1:9/shop", "waitline.booking")
        try:
            with pytest.raises(Unavailable) as failed:
                await database.fetch_one("ping")
            return str(failed.value)
        finally:
            await database.close()

    text = asyncio.run(play())
    assert text.startswith("the database does not answer at postgresql://127.0.0.1:9/shop: ")
    assert "pa55word" not in text
