"""The evidence log: what became of a booking, when and by whom, as the statements recorded it."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.booking.desk import ANN, Desk
from tests.booking.desk import plays as desk_plays
from tests.booking.sale import PRICE, Sale, begin, person, plays
from tests.command_line import Run
from tests.databases import TestDatabase
from waitline.booking import evidence
from waitline.booking.evidence import Booking, EvidenceLog, visitor
from waitline.booking.model import Declined, ReservationOver, ReservationUnknown
from waitline.booking.stopping import ScheduleStops
from waitline.payment_providers.model import Charged

MADE_BY = visitor("pass", "12-1700000000000")


def entries(booking: Booking) -> list[tuple[str, str, str | None]]:
    return [(entry.what, entry.who, entry.detail) for entry in booking.entries]


async def bought(desk: Desk) -> None:
    await desk.reservations.reserve(1, [1], ANN, None, MADE_BY)
    await desk.checkout.pay(1, ANN, PRICE, "CARD")


def test_a_booking_that_its_buyer_cancels(postgres: TestDatabase) -> None:
    desk = Desk(postgres)

    async def play() -> None:
        log = EvidenceLog(desk.database)
        await bought(desk)
        sold = await log.booking(1)
        assert (sold.user_id, sold.room, sold.holder) == (ANN.user_id, "room", ANN.holder)
        assert sold.place is not None
        assert (sold.place.place, sold.place.proof) == (12, "pass")
        assert sold.place.joined_at.timestamp() == 1_700_000_000
        assert entries(sold) == [
            ("reserved", MADE_BY, None),
            ("payment_begun", "visitor", str(PRICE)),
            ("paid", "payment call", str(PRICE)),
        ]
        (payment,) = sold.payments
        assert (payment.state, payment.provider_ref) == ("COMPLETED", str(payment.charge_key))
        await desk.reservations.cancel(1, ANN, who=visitor("ticket", "12-1700000000000"))
        until_refunded = await log.booking(1)
        assert entries(until_refunded)[3:] == [
            ("cancelled", "visitor with ticket 12-1700000000000", None)
        ]
        assert until_refunded.entries[-1].payment_id == payment.payment_id
        await desk.checkout.settle()
        done = await log.booking(1)
        assert entries(done)[4:] == [("refunded", "reconciler", str(PRICE))]
        assert [entry.at for entry in done.entries] == sorted(entry.at for entry in done.entries)

    desk_plays(desk, play)


def test_a_hold_that_nobody_pays_for(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await sale.reservations.reserve(1, [1], ANN)
        await sale.lapse(1)
        await sale.reservations.expire(10)
        booking = await EvidenceLog(sale.database).booking(1)
        assert entries(booking) == [("reserved", "unknown", None), ("expired", "expiry", None)]
        assert booking.place is None

    plays(postgres, play)


def test_a_performance_that_an_operator_cancels(postgres: TestDatabase) -> None:
    desk = Desk(postgres)

    async def play() -> None:
        await bought(desk)
        await desk.reservations.reserve(1, [2], ANN)
        stops = ScheduleStops(desk.database)
        await stops.cancel(1, "The hall is flooded", who="operator 1a2b")
        await stops.end_chunk(1)
        for number in (1, 2):
            booking = await EvidenceLog(desk.database).booking(number)
            assert entries(booking)[-1] == (
                "cancelled",
                "schedule cancelled",
                "The hall is flooded",
            )
            assert booking.entries[-1].payment_id == (1 if number == 1 else None)

    desk_plays(desk, play)


def test_an_attempt_that_fails_and_is_charged_after_all(postgres: TestDatabase) -> None:
    desk = Desk(postgres)

    async def play() -> None:
        await desk.reservations.reserve(1, [1], ANN)
        desk.till.declines = True
        with pytest.raises(Declined):
            await desk.checkout.pay(1, ANN, PRICE, "CARD")
        log = EvidenceLog(desk.database)
        failed = await log.booking(1)
        assert entries(failed)[2:] == [("payment_failed", "payment call", "declined")]
        key = failed.payments[0].charge_key
        await desk.checkout._confirm(key, Charged("late"), evidence.Settler.WEBHOOK)  # noqa: SLF001
        charged = await log.booking(1)
        assert entries(charged)[3:] == [("charged_in_vain", "webhook", "failed")]
        assert [(one.state, one.provider_ref) for one in charged.payments] == [
            ("REFUNDING", "late")
        ]

    desk_plays(desk, play)


def test_a_charge_for_a_hold_that_is_gone(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await sale.reservations.reserve(1, [1], ANN)
        begun = await sale.begin(1, ANN)
        await sale.lapse(1)
        await sale.reservations.expire(10)
        await sale.confirm(begun["charge_key"])
        booking = await EvidenceLog(sale.database).booking(1)
        assert entries(booking)[2:] == [
            ("expired", "expiry", None),
            ("charged_in_vain", "payment call", "expired"),
        ]
        # A repeat changes nothing, and is no entry.
        await sale.confirm(begun["charge_key"])
        assert await EvidenceLog(sale.database).booking(1) == booking

    plays(postgres, play)


def test_a_dispute_that_is_lost(postgres: TestDatabase) -> None:
    desk = Desk(postgres)

    async def play() -> None:
        await bought(desk)
        log = EvidenceLog(desk.database)
        key = (await log.booking(1)).payments[0].charge_key
        for news, gone in (("disputed", False), ("disputed", False), ("dispute_lost", True)):
            await desk.database.fetch_one(
                "move_money",
                charge_key=key,
                provider_ref=None,
                refunded=None,
                gone=gone,
                news=news,
                who="webhook",
            )
        booking = await log.booking(1)
        assert entries(booking)[3:] == [
            ("disputed", "webhook", None),
            ("refunded", "webhook", str(PRICE)),
            ("dispute_lost", "webhook", None),
            ("cancelled", "webhook", "dispute_lost"),
        ]

    desk_plays(desk, play)


def test_a_booking_that_is_over_is_not_ended_again(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await sale.reservations.reserve(1, [1], ANN)
        await sale.reservations.cancel(1, ANN)
        with pytest.raises(ReservationOver):
            await sale.reservations.cancel(1, ANN, who="operator")
        booking = await EvidenceLog(sale.database).booking(1)
        assert entries(booking)[1:] == [("cancelled", "visitor", None)]

    plays(postgres, play)


def test_it_is_forgotten_after_its_time_and_not_before(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "CHUNK_MAX", 2)

    async def play(sale: Sale) -> None:
        await sale.open()
        log = EvidenceLog(sale.database)
        for seat in range(1, 5):
            await sale.reservations.reserve(1, [seat], ANN, None, MADE_BY)
            await sale.reservations.cancel(seat, ANN)
        for table, column in (("evidence", "at"), ("reservation", "created_at")):
            await sale.sql(
                f"UPDATE {table} SET {column} = {column} - make_interval(secs => $1) "  # noqa: S608
                "WHERE reservation_id < 4",
                evidence.KEPT_S + 60,
            )
            await sale.sql(
                f"UPDATE {table} SET {column} = {column} - make_interval(secs => $1) "  # noqa: S608
                "WHERE reservation_id = 4",
                evidence.KEPT_S - 60,
            )
        rounds = [await log.purge() for _ in range(3)]
        assert rounds == [True, False, False]
        assert [entries(await log.booking(number)) for number in (1, 3)] == [
            [("reserved", "unknown", None)]
        ] * 2
        assert entries(await log.booking(4)) == [
            ("reserved", MADE_BY, None),
            ("cancelled", "visitor", None),
        ]

    plays(postgres, play)


def test_one_that_does_not_exist(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        with pytest.raises(ReservationUnknown):
            await EvidenceLog(sale.database).booking(1)

    plays(postgres, play)


@pytest.fixture
def run(run: Run, postgres: TestDatabase, tmp_path: Path) -> Run:
    """Run `waitline reservations show`, on a sale with a cancelled booking."""

    async def play(sale: Sale) -> None:
        await sale.open()
        who = person(7, "12-1700000000000")
        await sale.reservations.reserve(1, [1, 2], who, None, MADE_BY)
        (begun,) = await sale.database.fetch_all("begin_payment", **begin(1, who, 2 * PRICE))
        refused = {"charge_key": begun["charge_key"], "reason": "no \x1b[31mmoney\u202e"}
        await sale.database.fetch_one("fail_payment", **refused, who="webhook")
        await sale.reservations.cancel(1, who, who="operator 1a2b")

    plays(postgres, play)
    where = ("--database-url", postgres.url, "--data-dir", tmp_path)
    return partial(run, "reservations", "show", *where)


def test_the_command_shows_it(run: Run) -> None:
    status, out, err = run("1")
    assert (status, err) == (0, "")
    for said in (
        "1, cancelled", "s-r-1, s-r-2", "200 KRW", "12-1700000000000",
        "12, joined 2023-11-14 22:13:20 UTC, by pass", "failed", "no \\x1b[31mmoney",
    ):  # fmt: skip
        assert said in out
    lines = [" ".join(line.split()[2:]) for line in out.splitlines()[-4:]]
    assert lines == [
        f"reserved {MADE_BY}",
        "payment begun visitor 1 200 KRW",
        "payment failed webhook 1 no \\x1b[31mmoney\\u202e",
        "cancelled operator 1a2b",
    ]
    assert "\x1b" not in out


def test_the_command_in_json(run: Run) -> None:
    out = run("1", "--json")[1]
    assert out.isascii()
    shown = json.loads(out)
    assert shown["place"] == {
        "place": 12,
        "joinedAt": "2023-11-14T22:13:20.000Z",
        "proof": "pass",
    }
    assert [(one["what"], one["who"]) for one in shown["entries"]] == [
        ("reserved", MADE_BY),
        ("payment_begun", "visitor"),
        ("payment_failed", "webhook"),
        ("cancelled", "operator 1a2b"),
    ]
    assert shown["payments"][0]["status"] == "FAILED"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        pytest.param("2", "there is no booking 2: compare the number", id="unknown"),
        pytest.param("x", "'reservation': Input should be a valid integer", id="no number"),
        pytest.param("0", "greater than or equal to 1", id="nothing"),
        pytest.param(str(2**63), "less than or equal to", id="too big"),
    ],
)
def test_what_the_command_refuses(run: Run, word: str, said: str) -> None:
    status, out, err = run(word)
    assert (status, out) == (2, "")
    assert said in err
