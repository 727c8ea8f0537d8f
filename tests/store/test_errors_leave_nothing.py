"""Whatever error ends a statement, its connection goes back with no transaction and no lock."""

from typing import Any

import asyncpg
import pytest

from tests.databases import TestDatabase
from tests.until import until_async
from waitline.kernel.errors import Unavailable
from waitline.postgres.driver_errors import Duplicate
from waitline.postgres.pool import Database
from waitline.postgres.statements import Statement

DEADLINE_S = 20.0

# By kind of failure: a statement that names a table, and its values.
FAILURES: dict[str, tuple[str, list[object]]] = {
    "refused by the driver": ("SELECT count(*) FROM concert WHERE concert_id = $1", ["seven"]),
    "out of range": ("SELECT count(*) FROM concert WHERE concert_id = $1", [2**70]),
    "one value too many": ("SELECT count(*) FROM concert WHERE concert_id = $1", [1, 2]),
    "syntax": ("SELECT FROM concert WHERE WHERE", []),
    "unknown table": ("SELECT FROM concert, no_such_table", []),
    "data of the server": ("SELECT 1 / concert_id FROM (SELECT 0 AS concert_id) AS c, concert", []),
    "division": ("SELECT 1 / (SELECT count(*) FROM concert)", []),
    "check": ("INSERT INTO concert (title, venue, room) VALUES ('', '', '')", []),
    "unique": ("INSERT INTO installation (mode) VALUES ('trial'), ('trial')", []),
    "foreign key": ("INSERT INTO schedule (concert_id, starts_at) VALUES (77, now())", []),
    "raised": ("SELECT seats_in_use(1), 1 / (SELECT count(*) FROM concert)", []),
    "given up": ("SELECT pg_sleep(20), (SELECT count(*) FROM concert)", []),
}


ENDED = (asyncpg.PostgresError, asyncpg.InterfaceError, Unavailable, Duplicate)


class Broken(Database):
    """Runs one statement of a test's."""

    def plant(self, text: str, values: list[object]) -> None:
        names = tuple(f"v{n}" for n in range(len(values)))
        self._statements = {**self._statements, "planted": Statement(text, names, one=True)}
        self.values = dict(zip(names, values, strict=True))

    async def fail(self) -> None:
        await self.fetch_one("planted", within_s=0.5, **self.values)


async def left(postgres: TestDatabase) -> list[dict[str, Any]]:
    """Transactions and locks on tables of connections that run nothing."""
    rows = await postgres.sql(
        "SELECT a.state, a.query, (SELECT count(*) FROM pg_locks AS l WHERE l.pid = a.pid "
        "AND l.locktype = 'relation') AS locks FROM pg_stat_activity AS a "
        "WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() "
        "AND a.backend_type = 'client backend' AND (a.xact_start IS NOT NULL "
        "OR EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype = 'relation'))"
    )
    return [dict(row) for row in rows]


@pytest.mark.parametrize("kind", FAILURES)
def test_no_transaction_and_no_lock_is_left(postgres: TestDatabase, kind: str) -> None:
    async def play() -> None:
        database = Broken(postgres.url, "waitline.booking", connections_max=1)
        database.plant(*FAILURES[kind])
        try:
            with pytest.raises(ENDED):
                await database.fail()

            async def nothing() -> bool:
                return await left(postgres) == []

            await until_async(nothing, DEADLINE_S)
        finally:
            await database.close()

    postgres.wait(play())
