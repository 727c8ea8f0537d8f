"""Every error of a database, sent in place of an answer: whose fault it is, and what follows."""

import asyncio
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from tests.databases import TestDatabase
from tests.faults.pgwire import START, url_of, wire_to
from tests.faults.wire import (
    CLOSED,
    CUT,
    HALF_CLOSED,
    LOST,
    OF_NETWORKS,
    UNANSWERED,
    Fault,
    Nth,
    Request,
    Wire,
)
from tests.until import until_async
from waitline.kernel.errors import NeedsOperator, Unavailable
from waitline.postgres.pool import Database
from waitline.postgres.sqlstates import cause_of

SOON_S = 20.0

OURS, OPERATOR = "ours", "operator"

# Errors, whose fault they are (empty: the server's), and whether the connection goes.
ERRORS = [
    ("FATAL 08006 connection failure", "", True),
    ("FATAL 08P01 query_wait_timeout", "", True),
    ("FATAL 08P01 server_login_retry", "", True),
    ("FATAL 08P01 pgbouncer cannot connect to server", "", True),
    ("FATAL 08P01 no more connections allowed (max_client_conn)", "", True),
    ("FATAL 08P01 server conn crashed?", "", True),
    ("ERROR 08P01 bind message supplies 2 parameters, but statement requires 1", "", True),
    ("ERROR 25006 cannot execute UPDATE in a read-only transaction", "", True),
    ("ERROR 25P02 current transaction is aborted", "", True),
    ("FATAL 25P03 terminating connection due to idle-in-transaction timeout", "", True),
    ("ERROR 26000 prepared statement does not exist", "", True),
    ("ERROR 42P05 prepared statement already exists", "", True),
    ("FATAL 28000 role is not permitted to log in", OPERATOR, True),
    ("FATAL 28P01 password authentication failed", OPERATOR, True),
    ("FATAL 3D000 database does not exist", OPERATOR, True),
    ("ERROR 40001 could not serialize access", "", False),
    ("ERROR 40P01 deadlock detected", "", False),
    ("ERROR 53100 could not extend file: No space left on device", "", False),
    ("ERROR 53200 out of memory", "", False),
    ("FATAL 53300 sorry, too many clients already", "", True),
    ("ERROR 55P03 could not obtain lock on row", "", False),
    ("ERROR 55000 recovery is in progress", "", False),
    ("ERROR 57014 canceling statement due to statement timeout", "", False),
    ("FATAL 57P01 terminating connection due to administrator command", "", True),
    ("FATAL 57P02 terminating connection because of crash of another server process", "", True),
    ("FATAL 57P03 the database system is starting up", "", True),
    ("FATAL 57P05 terminating connection due to idle-session timeout", "", True),
    ("ERROR 58030 could not read block", "", False),
    ("ERROR 58P01 could not open file", "", False),
    ("ERROR XX000 Tenant or user not found", "", True),
    ("ERROR XX001 invalid page in block", "", True),
    ("ERROR F0000 configuration file error", "", False),
    ("ERROR ZZ999 what a later version says", "", False),
    ("ERROR 42501 permission denied for table concert", OPERATOR, False),
    ("ERROR 42P01 relation does not exist", OPERATOR, False),
    ("ERROR 42703 column does not exist", OPERATOR, False),
    ("ERROR 22003 bigint out of range", OURS, False),
    ("ERROR 23514 violates check constraint", OURS, False),
    ("ERROR 42601 syntax error", OURS, False),
    ("ERROR P0001 raised", OURS, False),
]


def over(
    postgres: TestDatabase,
    call: Callable[[Wire, Database], Coroutine[Any, Any, None]],
    **options: Any,  # noqa: ANN401 - the pool's
) -> None:
    """Run a call on a pool whose traffic goes through a proxy."""

    async def run() -> None:
        async with asyncio.timeout(SOON_S), wire_to(postgres.url).running() as wire:
            database = Database(url_of(wire), "waitline.booking", **options)
            try:
                await call(wire, database)
            finally:
                await database.close()

    asyncio.run(run())


async def asked(database: Database) -> None:
    await database.fetch_one("ping")


async def works(database: Database) -> bool:
    with suppress(Unavailable):
        await asked(database)
        return True
    return False


def named(name: str) -> Callable[[Request], bool]:
    return lambda request: request.name == name


@pytest.mark.parametrize(
    ("error", "whose", "reconnects"), ERRORS, ids=lambda one: str(one)[:11].strip() or "theirs"
)
def test_a_state_is_ours_or_theirs(
    error: str,
    whose: str,
    reconnects: bool,  # noqa: FBT001 - a column of the table
) -> None:
    cause = cause_of(error.split()[1])
    assert (cause.ours, bool(cause.remedy), cause.reconnect) == (
        whose == OURS,
        whose == OPERATOR,
        reconnects,
    )


def test_no_error_of_a_server_is_a_bug_of_ours_and_all_are_recovered_from(
    postgres: TestDatabase,
) -> None:
    async def call(wire: Wire, database: Database) -> None:
        for error, whose, reconnects in ERRORS:
            await until_async(lambda: works(database), SOON_S)
            before = wire.connections
            fatal = error.startswith("FATAL")
            wire.plan = Nth(
                Fault("says", carried_out=False, says=error, closes=fatal), named("ping")
            )
            raised = await failed(database)
            assert isinstance(raised, Unavailable) == (whose != OURS), error
            # The driver says of a connection that ends only that it has ended.
            if not fatal:
                assert isinstance(raised, NeedsOperator) == (whose == OPERATOR), error
            # It recovers by itself, at once.
            await asked(database)
            assert (wire.connections > before) == reconnects, error

    # Without connections that are kept open: those are replaced in the background.
    over(postgres, call, connections_min=0)


async def failed(database: Database) -> Exception | None:
    try:
        await asked(database)
    except Exception as error:  # noqa: BLE001 - the test says which
        return error
    return None


@pytest.mark.parametrize("fault", OF_NETWORKS, ids=str)
def test_a_broken_connection_is_replaced(fault: Fault, postgres: TestDatabase) -> None:
    async def call(wire: Wire, database: Database) -> None:
        await asked(database)
        wire.plan = Nth(fault, named("ping"))
        try:
            await asked(database)
        except Unavailable:
            assert fault in {LOST, UNANSWERED, CUT}
        await until_async(lambda: works(database), SOON_S)
        if fault in {HALF_CLOSED, CLOSED}:
            assert wire.connections >= 2

    over(postgres, call)


def test_garbage_in_place_of_an_answer_is_no_bug_of_ours(postgres: TestDatabase) -> None:
    async def call(wire: Wire, database: Database) -> None:
        await asked(database)
        garbage = "\0HTTP/1.1 400 Bad Request\r\n"
        wire.plan = Nth(Fault("garbage", says=garbage, closes=True), named("ping"))
        with pytest.raises(Unavailable):
            await asked(database)
        await until_async(lambda: works(database), SOON_S)

    over(postgres, call)


@pytest.mark.parametrize(
    "error",
    [
        "FATAL 28000 role waitline is not permitted to log in",
        "FATAL 53300 sorry, too many clients already",
        "FATAL 57P03 the database system is starting up",
        "FATAL 08P01 server_login_retry",
    ],
)
def test_a_server_that_lets_nobody_in_is_asked_with_pauses(
    error: str, postgres: TestDatabase
) -> None:
    """However many ask, one attempt speaks for all, and the pool recovers by itself."""

    async def call(wire: Wire, database: Database) -> None:
        await asked(database)
        await wire.break_all()
        refusal = Fault("says", carried_out=False, says=error, closes=True)
        wire.plan = lambda request: refusal if request.name == START else None
        before = wire.connections
        loop = asyncio.get_running_loop()
        until_s = loop.time() + 1.0
        while loop.time() < until_s:
            answers = await asyncio.gather(
                *(database.fetch_one("ping") for _ in range(20)), return_exceptions=True
            )
            assert all(isinstance(answer, Unavailable) for answer in answers), answers
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        # The first failure has no pause, so those that asked together may all have tried.
        assert wire.connections - before <= 30
        wire.plan = lambda _request: None
        await until_async(lambda: works(database), SOON_S)

    over(postgres, call, connections_max=4, connections_min=4)


def test_a_slow_start_succeeds_though_every_statement_gives_up(postgres: TestDatabase) -> None:
    async def call(wire: Wire, database: Database) -> None:
        await asked(database)
        await wire.break_all()
        given_up = asyncio.Event()
        slow = Fault("slow", once=given_up)
        wire.plan = lambda request: slow if request.name == START else None
        before = wire.connections
        with pytest.raises(Unavailable):
            await asked(database)
        given_up.set()
        await until_async(lambda: works(database), SOON_S)
        assert wire.connections - before <= 2

    over(postgres, call)


def test_a_standby_is_not_taken_for_the_database(postgres: TestDatabase) -> None:
    async def call(wire: Wire, database: Database) -> None:
        spoiled: list[str] = []

        def plan(request: Request) -> Fault | None:
            if "pg_is_in_recovery" in request.name and "prepare" not in request.name:
                spoiled.append(request.name)
                return Fault("standby", says="ERROR 25006 read only")
            return None

        wire.plan = plan
        for _ in range(3):
            assert not await works(database)
        assert spoiled
        wire.plan = lambda _request: None
        await until_async(lambda: works(database), SOON_S)

    over(postgres, call)


def test_frames_are_read_as_the_driver_writes_them() -> None:
    """The proxy's own errors are what a server would send."""
    from tests.faults.pgwire import PgWire  # noqa: PLC0415 - used here only

    data = PgWire({}).error("ERROR 40001 again")
    (size,) = struct.unpack("!I", data[1:5])
    assert data[1 + size : 2 + size] == b"Z"
