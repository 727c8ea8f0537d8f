"""A PostgreSQL that may lose confirmed payments: production refuses it, or says so at its start."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.databases import TestDatabase
from tests.standby import SOON_S, sql
from tests.until import until_async
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.postgres.pool import Database
from waitline.services.booking.process import refuse_loss
from waitline.settings import Settings
from waitline.trial.postgres_server import PostgresServer


async def warnings(url: str, mode: str = "production") -> list[str]:
    """Return what the start of the booking service warns of."""
    settings = Settings(database_url=SecretStr(url), mode=mode)  # type: ignore[arg-type]
    with capture_logs() as logs:
        await refuse_loss(settings)
    return [line["reason"] for line in logs if line["event"] == "database_lossy"]


def test_production_refuses_a_server_whose_crash_damages_its_data(postgres: TestDatabase) -> None:
    # As the server of the tests runs.
    with pytest.raises(Misconfigured, match=r"with fsync=off: .* Set fsync to on"):
        postgres.wait(warnings(postgres.url))
    assert postgres.wait(warnings(postgres.url, "trial")) == []


def test_production_warns_of_a_server_that_may_lose_the_latest_payments(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres")
    server.start()

    async def play() -> None:
        assert await warnings(server.url) == []
        for name in ("synchronous_commit", "full_page_writes"):
            await sql(server, f"ALTER SYSTEM SET {name} = off")
            await sql(server, "SELECT pg_reload_conf()")

        async def reloaded() -> bool:
            found = "".join(await warnings(server.url))
            return "synchronous_commit" in found and "full_page_writes" in found

        await until_async(reloaded, SOON_S)
        (reason,) = await warnings(server.url)
        assert "with full_page_writes=off, synchronous_commit=off: " in reason
        assert await warnings(server.url, "trial") == []

    try:
        asyncio.run(play())
    finally:
        server.stop()


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
