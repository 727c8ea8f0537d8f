"""Rights of the services' users in AWS, on the real servers: enough, and no more.

The rights are those that deploy/aws gives: Valkey's access string, and what prepares the database.
"""

import asyncio
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from tests.command_line import Run
from tests.databases import TestDatabase
from tests.servers import Server
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient
from waitline.valkey.replies import CommandError

AWS = Path(__file__).parents[2] / "deploy" / "aws"
ROOM = RoomId("r")
ROLE = "waitline_services"
USER = {"username": ROLE, "password": "of-the-services"}


@pytest.fixture
def rights(valkey: Server) -> Iterator[str]:
    """Give Valkey the services' user; return its address with that user."""
    text = (AWS / "valkey_rights.txt").read_text("utf-8").split()
    password = USER["password"]
    valkey.wait(valkey.command("ACL", "SETUSER", "waitline", f">{password}", *text))
    yield valkey.url.replace("unix://", f"unix://waitline:{password}@", 1)
    valkey.wait(valkey.command("ACL", "DELUSER", "waitline"))


def test_valkeys_user_runs_a_room_and_nothing_else(valkey: Server, rights: str) -> None:
    async def run() -> None:
        store = ValkeyClient(rights, timeout_s=20)
        try:
            rooms = Rooms(store)
            await rooms.ensure(ROOM, Rules())
            await Line(store).join(ROOM, [VisitorId("1")])
            assert (await rooms.survey(ROOM)).waiting == 1
            for words in (
                ("FLUSHALL",),
                ("KEYS", "*"),
                ("SET", "of-somebody-else", "1"),
                ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
                ("ACL", "LIST"),
                ("SHUTDOWN",),
            ):
                with pytest.raises((CommandError, Unavailable), match="NOPERM"):
                    await store.command(*words)
        finally:
            await store.close()

    valkey.wait(run())


@pytest.fixture
def prepare() -> ModuleType:
    file = AWS / "in_task" / "prepare_database.py"
    spec = importlib.util.spec_from_file_location("prepare_database", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def owner(postgres: TestDatabase) -> Iterator[dict[str, str]]:
    """The owner of the tables, as its secret names it; the services' role is gone afterwards."""
    parts = urlsplit(postgres.url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    yield {
        "username": parts.username or query.get("user", ""),
        "password": parts.password or "",
        "host": query["host"],
        "port": query.get("port", "5432"),
        "dbname": parts.path.removeprefix("/"),
    }
    for statement in (f"DROP OWNED BY {ROLE}", f"DROP ROLE {ROLE}"):
        postgres.wait(postgres.sql(statement))


def test_the_box_office_reads_and_writes_and_changes_no_table(
    prepare: ModuleType, owner: dict[str, str], run: Run
) -> None:
    async def twice_at_once() -> None:
        await asyncio.gather(*(prepare.allow(owner, USER, "disable") for _ in range(2)))

    asyncio.run(twice_at_once())
    # The name that a rotation gives it: nothing is to be done then.
    asyncio.run(prepare.allow(owner, {**USER, "username": f"{ROLE}_clone"}, "disable"))

    async def change(statement: str) -> None:
        connection = await asyncpg.connect(
            user=ROLE,
            password=USER["password"],
            host=owner["host"],
            port=int(owner["port"]),
            database=owner["dbname"],
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(change("UPDATE listening SET beat_at = beat_at WHERE false"))
    for statement in ("DROP TABLE seat", "CREATE TABLE mine (i int)", "TRUNCATE payment"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            asyncio.run(change(statement))
    host = quote(owner["host"], safe="")
    url = f"postgresql://{ROLE}:{USER['password']}@/{owner['dbname']}?host={host}"
    ended = run("audit", "--booking", "--database-url", url, "--valkey-url", "unix:///none")
    assert ended.code == 0, ended.err
