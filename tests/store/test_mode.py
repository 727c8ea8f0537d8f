"""The mode belongs to the data: claimed once, kept against every other, ended on purpose alone."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.booking.sale import Sale, person
from tests.databases import TestDatabase
from tests.servers import Server
from waitline import settings as chosen
from waitline.booking import demo
from waitline.booking.buyer import Buyer
from waitline.booking.catalogue import Catalogue
from waitline.booking.house import HouseSeats
from waitline.booking.mode import OfficeContents, OfficeMode
from waitline.booking.rehearsals import Rehearsals
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import REHEARSALS, RoomId, VisitorId
from waitline.kernel.mode import DataMode, OtherMode
from waitline.postgres.pool import Database
from waitline.queue.mode import LineMode
from waitline.queue.rehearsals import RehearsalRooms
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.services import data_mode
from waitline.services.data_mode import ModeWatch
from waitline.settings import Settings
from waitline.valkey.client import ValkeyClient
from waitline.valkey.connection import Mark

TRIAL, PRODUCTION = DataMode.TRIAL, DataMode.PRODUCTION
REHEARSED = RoomId(f"{REHEARSALS}1")


def on(server: Server, call: Callable[[ValkeyClient], Awaitable[Any]]) -> Any:  # noqa: ANN401
    async def run() -> Any:  # noqa: ANN401
        store = ValkeyClient(server.url)
        try:
            return await call(store)
        finally:
            await store.close()

    return server.wait(run())


def claim(server: Server, mode: DataMode) -> None:
    on(server, lambda store: LineMode(store).claim(mode))


@pytest.mark.parametrize("mode", list(DataMode))
def test_the_first_start_gives_an_empty_store_its_mode(server: Server, mode: DataMode) -> None:
    claim(server, mode)
    claim(server, mode)
    other = TRIAL if mode is PRODUCTION else PRODUCTION
    with pytest.raises(OtherMode) as refused:
        claim(server, other)
    text = str(refused.value)
    assert "\n" not in text
    assert f"Valkey holds the data of an installation in {mode} mode" in text
    assert f"--mode {mode}" in text
    assert f"waitline mode set {other}" in text
    assert on(server, lambda store: LineMode(store).load()) is mode


@pytest.mark.parametrize(
    ("rooms", "mode", "refused"),
    [
        pytest.param([], TRIAL, "", id="nothing"),
        pytest.param(["1", "demo", REHEARSED], TRIAL, "", id="test-data"),
        pytest.param(["1", "summer", "winter"], TRIAL, "holds 2 rooms without a mode", id="rooms"),
        pytest.param(["1", "summer"], PRODUCTION, "", id="production"),
    ],
)
def test_a_store_of_before_gets_a_mode_only_if_that_is_safe(
    server: Server, rooms: list[str], mode: DataMode, refused: str
) -> None:
    async def create(store: ValkeyClient) -> None:
        for room in rooms:
            await Rooms(store).add(RoomId(room), Rules())

    on(server, create)
    if not refused:
        claim(server, mode)
        return
    with pytest.raises(OtherMode, match=refused):
        claim(server, mode)
    assert on(server, lambda store: LineMode(store).load()) is None


def test_a_trial_that_ends_leaves_rooms_of_operators_and_nobody_in_them(server: Server) -> None:
    async def play(store: ValkeyClient) -> None:
        rooms, stage, mode = Rooms(store), RehearsalRooms(store), LineMode(store)
        await mode.claim(TRIAL)
        rules = Rules().changed({"title": "Summer"})
        # One has the name of a rehearsal's room, but an operator created it.
        theirs = [RoomId("summer"), RoomId(f"{REHEARSALS}of-ours")]
        for room in (*theirs, RoomId("1"), REHEARSED):
            await rooms.add(room, rules)
        await stage.register(REHEARSED)
        await store.command("ZADD", "wl:{summer}:waiting", 1, "ann")
        found = await mode.contents()
        assert (found.trial, found.others) == ([RoomId("1"), REHEARSED], sorted(theirs))
        assert found.visitors == 1
        await mode.end_trial()
        await mode.change(PRODUCTION)
        assert await rooms.names() == sorted(theirs)
        assert (await rooms.survey(theirs[0])).rules == rules
        assert await mode.contents() == ([], sorted(theirs), 0)
        await mode.claim(PRODUCTION)

    on(server, play)


def office(postgres: TestDatabase) -> OfficeMode:
    return OfficeMode(postgres.database)


@pytest.mark.parametrize("mode", list(DataMode))
def test_the_first_start_gives_an_empty_database_its_mode(
    postgres: TestDatabase, mode: DataMode
) -> None:
    postgres.wait(office(postgres).claim(mode))
    postgres.wait(office(postgres).claim(mode))
    other = TRIAL if mode is PRODUCTION else PRODUCTION
    with pytest.raises(OtherMode, match=f"database holds the data of .* {mode} mode"):
        postgres.wait(office(postgres).claim(other))
    assert postgres.wait(office(postgres).load()) == (mode, None)


def sold(postgres: TestDatabase) -> None:
    """An operator's concert with a seat that is paid for."""
    postgres.wait(
        postgres.sql(
            "WITH c AS (INSERT INTO concert (title, venue, room) VALUES ('ours', '', 'r') "
            "           RETURNING concert_id), "
            "s AS (INSERT INTO schedule (concert_id, starts_at) SELECT concert_id, now() FROM c "
            "      RETURNING schedule_id), "
            "o AS (INSERT INTO seat (schedule_id, section, row_name, row_position, seat_number, "
            "                        grade, price, state) "
            "      SELECT schedule_id, 'A', '1', 1, 'A-1-1', 'A', 10, 'OCCUPIED' FROM s), "
            "r AS (INSERT INTO reservation (schedule_id, user_id, state, amount, expires_at) "
            "      SELECT schedule_id, 'ann', 'CONFIRMED', 10, now() FROM s "
            "      RETURNING reservation_id) "
            "INSERT INTO payment (reservation_id, user_id, amount, method, state, look_at) "
            "SELECT reservation_id, 'ann', 10, 'CARD', 'COMPLETED', now() FROM r"
        )
    )


def test_a_database_of_before_with_a_sale_is_not_taken_by_a_trial(postgres: TestDatabase) -> None:
    sold(postgres)
    with pytest.raises(OtherMode, match="holds 1 concert and 1 booking without a mode"):
        postgres.wait(office(postgres).claim(TRIAL))
    assert postgres.wait(office(postgres).load()) == (None, None)
    postgres.wait(office(postgres).claim(PRODUCTION))


def test_a_database_of_before_with_the_demo_is_not_taken_by_production(
    postgres: TestDatabase,
) -> None:
    postgres.wait(demo.load(postgres.database))
    with pytest.raises(OtherMode, match=r"the demo concert without a mode.*mode set production"):
        postgres.wait(office(postgres).claim(PRODUCTION))
    postgres.wait(office(postgres).claim(TRIAL))


def test_a_trial_that_ends_leaves_what_operators_put_on_sale(postgres: TestDatabase) -> None:
    mode = office(postgres)
    postgres.wait(mode.claim(TRIAL))
    postgres.wait(demo.load(postgres.database))
    sold(postgres)
    postgres.wait(Rehearsals(postgres.database).create("Rehearsal", REHEARSED))
    postgres.wait(mode.claim_money(play=True))
    assert postgres.wait(mode.contents()) == OfficeContents(1, 1, 1, 1, 1)
    postgres.wait(mode.end_trial())
    assert postgres.wait(mode.load()) == (PRODUCTION, None)
    assert postgres.wait(mode.contents()) == OfficeContents(1, 0, 0, 0, 0)
    seats = postgres.wait(postgres.sql("SELECT seat_number, state FROM seat"))
    assert [tuple(row) for row in seats] == [("A-1-1", "AVAILABLE")]
    postgres.wait(mode.claim_money(play=False))


def test_a_trial_that_ends_leaves_what_operators_gave_and_hold(postgres: TestDatabase) -> None:
    """An operator sets a real concert up in trial mode, and visitors try it."""
    who = "operator abc"

    async def play() -> None:
        mode, sale = office(postgres), Sale(postgres)
        await mode.claim(TRIAL)
        await demo.load(postgres.database)
        await sale.sql("DELETE FROM concert WHERE origin = 'operator'")
        ours = await Catalogue(postgres.database).create_concert("Gala", "Hall", "gala")
        made = await Catalogue(postgres.database).create_schedule(
            ours.concert_id, datetime(2999, 1, 1, tzinfo=UTC)
        )
        await sale.add_seats(made.schedule_id, 6)
        rows = await sale.sql(
            "SELECT seat_id FROM seat WHERE schedule_id = $1 ORDER BY seat_id", made.schedule_id
        )
        seats = [row["seat_id"] for row in rows]
        house = HouseSeats(postgres.database)
        await house.hold(made.schedule_id, seats[:2], "press", who=who)
        given = await house.give(made.schedule_id, [seats[1], seats[2]], "Ann Lee", who=who)
        bought = await sale.reservations.reserve(made.schedule_id, [seats[3]], person(7))
        key = (await sale.begin(bought.reservation_id, 7))["charge_key"]
        await sale.confirm(key)
        dropped = await sale.reservations.reserve(made.schedule_id, [seats[4]], person(8))
        await sale.reservations.cancel(dropped.reservation_id, person(8))
        found = await mode.contents()
        assert (found.bookings, found.past, found.given, found.held) == (1, 1, 2, 2)

        await mode.end_trial()
        rows = await sale.sql("SELECT state FROM seat ORDER BY seat_id")
        assert [row["state"] for row in rows] == [
            "HELD", "OCCUPIED", "OCCUPIED", "AVAILABLE", "AVAILABLE", "AVAILABLE",
        ]  # fmt: skip
        kept = await sale.sql("SELECT reservation_id FROM reservation")
        assert [row["reservation_id"] for row in kept] == [given]
        assert [one.ticket_name for one in await house.listed(made.schedule_id)] == [
            None, "Ann Lee", "Ann Lee",
        ]  # fmt: skip
        found = await mode.contents()
        assert (found.bookings, found.past, found.given, found.held) == (0, 0, 2, 2)
        assert await sale.sql("SELECT FROM payment WHERE user_id <> 'complimentary'") == []
        assert await sale.findings() == []
        # A ticket that was given can still be taken back.
        await sale.reservations.cancel(given, Buyer(VisitorId("complimentary"), "operator"))
        assert await sale.findings() == []

    postgres.wait(play())


@pytest.mark.parametrize("play", [True, False])
def test_bookings_of_one_money_keep_the_other_out(postgres: TestDatabase, play: bool) -> None:  # noqa: FBT001
    mode = office(postgres)
    postgres.wait(mode.claim(PRODUCTION))
    # Without bookings it may change.
    for money in (not play, play):
        postgres.wait(mode.claim_money(play=money))
    sold(postgres)
    postgres.wait(mode.claim_money(play=play))
    kind = "play" if play else "real"
    with pytest.raises(OtherMode, match=f"holds 1 booking of {kind} money"):
        postgres.wait(mode.claim_money(play=not play))
    assert postgres.wait(mode.load()) == (PRODUCTION, play)


def test_no_command_reaches_a_store_of_another_mode(server: Server) -> None:
    claim(server, PRODUCTION)

    async def call(mode: DataMode) -> None:
        store = ValkeyClient(server.url, mark=Mark("wl:mode", mode))
        try:
            await store.command("SET", "x", mode)
        finally:
            await store.close()

    server.wait(call(PRODUCTION))
    with pytest.raises(Unavailable, match="holds the data of production mode, and this is trial"):
        server.wait(call(TRIAL))
    assert server.wait(server.command("GET", "x")) == "production"


def test_no_statement_reaches_a_database_of_another_mode(postgres: TestDatabase) -> None:
    postgres.wait(office(postgres).claim(PRODUCTION))

    async def call(mode: DataMode) -> None:
        settings = chosen.load(mode=mode)
        database = Database(
            postgres.url, "waitline.booking", mark=data_mode.database_mark(settings)
        )
        try:
            await database.fetch_one("ping")
        finally:
            await database.close()

    asyncio.run(call(PRODUCTION))
    with pytest.raises(Unavailable, match="holds the data of production mode, and this is trial"):
        asyncio.run(call(TRIAL))


def test_a_store_that_is_exchanged_while_it_is_used_is_noticed(
    server: Server, postgres: TestDatabase
) -> None:
    settings = chosen.load(
        mode="trial", valkey_url=server.url, database_url=postgres.url, payment_provider="none"
    )

    async def play() -> None:
        store = data_mode.open_valkey(settings, lambda _script, _seconds: None)
        database = Database(
            postgres.url, "waitline.booking", mark=data_mode.database_mark(settings)
        )
        watches = data_mode.watches(settings, (store,), database)

        async def look() -> None:
            for watch in watches:
                await watch.check()
            await store.command("GET", "x")
            await database.fetch_one("ping")

        try:
            await look()
            # As if another server were reached under the same address.
            await server.command("SET", "wl:mode", "production")
            await postgres.sql("UPDATE installation SET mode = 'production'")
            with pytest.raises(Unavailable, match="production mode"):
                await look()
            with pytest.raises(Unavailable, match="production mode"):
                await database.fetch_one("ping")
            await server.command("SET", "wl:mode", "trial")
            await postgres.sql("UPDATE installation SET mode = 'trial'")
            await look()
        finally:
            await store.close()
            await database.close()

    with capture_logs() as logs:
        server.wait(play())
    assert [line["event"] for line in logs] == ["store_of_another_mode"] * 2


def test_a_store_that_comes_late_is_claimed_then(server: Server) -> None:
    settings = chosen.load(mode="trial", valkey_url=server.url)
    tries: list[str] = []

    async def claimed(settings: Settings) -> None:
        tries.append("")
        if len(tries) < 3:
            raise Unavailable("not yet")
        await data_mode.claim_valkey(settings)

    async def play() -> None:
        watch = ModeWatch(settings, claimed, lambda _reason: None)
        for _ in range(5):
            await watch._check_if_due()  # noqa: SLF001 - as its loop does
        assert len(tries) == 3

    server.wait(play())
    assert on(server, lambda store: LineMode(store).load()) is TRIAL
