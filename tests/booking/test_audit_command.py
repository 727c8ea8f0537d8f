"""`waitline audit --booking`: what it prints, its exit status, and the slots of those who paid."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.booking.sale import Sale, person
from tests.booking.test_seat_imports import WHO
from tests.command_line import Run, run_captured
from tests.databases import TestDatabase
from tests.servers import Server
from waitline.booking.audit import INVARIANTS, PaidVisitor
from waitline.booking.house import HouseSeats
from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.audit import RoomSnapshot
from waitline.queue.model import Slot, State
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.sales.audit import kept_slots
from waitline.valkey.client import ValkeyClient

PAID_MS = 1_800_000_000_000
BUYER = VisitorId("7")

# Seconds that a call to the store may take here: a busy machine is no fault.
TIMEOUT_S = 5.0

SEEN = RoomSnapshot(
    room=RoomId("room"),
    fields={},
    waiting={},
    heard={},
    returned={},
    admitted={BUYER: PAID_MS + 9_000},
    lapsed=frozenset(),
    slots={BUYER: Slot(State.ACTIVE, 1, PAID_MS - 9, PAID_MS - 5, 0, PAID_MS + 9_000)},
    passed=frozenset(),
)


@pytest.fixture
def run(run: Run, postgres: TestDatabase, valkey: Server, tmp_path: Path) -> Run:
    """Run `waitline audit --booking`."""
    where = ("--database-url", postgres.url, "--valkey-url", valkey.url, "--data-dir", tmp_path)
    return partial(run, "audit", "--booking", *where)


@pytest.fixture
def sold(postgres: TestDatabase) -> Sale:
    """One seat sold for less than it costs, a minute ago."""
    sale = Sale(postgres)

    async def sell() -> None:
        await sale.open()
        await sale.reservations.reserve(1, [1], person(int(BUYER)))
        begun = await sale.begin(1, int(BUYER))
        await sale.confirm(begun["charge_key"])
        await sale.sql("UPDATE payment SET amount = 1, paid_at = paid_at - interval '1 min'")
        await sale.sql("UPDATE outbox SET sent_at = now()")

    postgres.wait(sell())
    postgres.wait(postgres.sql("INSERT INTO installation (mode) VALUES ('trial')"))
    return sale


@pytest.mark.usefixtures("sold")
def test_play_money_is_marked(run: Run, postgres: TestDatabase) -> None:
    for play in (True, False):
        postgres.wait(
            postgres.sql(
                "INSERT INTO installation (mode, play_money) VALUES ('trial', $1) "
                "ON CONFLICT (the_row) DO UPDATE SET play_money = excluded.play_money",
                play,
            )
        )
        assert run()[1].startswith("box office (play money): ") is play


@pytest.mark.usefixtures("sold")
def test_a_sound_box_office_passes(run: Run) -> None:
    status, out, err = run()
    assert (status, err) == (0, "")
    assert out.startswith(
        "box office: 10 seats, 1 sold, 0 complimentary, 0 held back, 1 reservations"
    )
    assert out.count("holds") >= len(INVARIANTS)
    assert "broken" not in out
    status, out, err = run("--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == {
        "seats": 10,
        "sold": 1,
        "complimentary": 0,
        "held_back": 0,
        "reservations": 1,
        "payments": 1,
        "events": 1,
        "findings": [],
        "limits": [
            {
                "schedule_id": 1,
                "concert_id": 1,
                "schedule_limit": 4,
                "concert_limit": None,
                "holders": 1,
                "most": 1,
                "most_of_concert": 1,
            }
        ],
    }


def test_the_limits_per_person_are_shown_beside_what_people_have(run: Run, sold: Sale) -> None:
    """A buyer has 1 + 2 seats, another 2; what was given away counts for nobody."""

    async def sell() -> None:
        await sold.sql("UPDATE concert SET visitor_seats_max = 3")
        await sold.sql(
            "INSERT INTO schedule (concert_id, starts_at, visitor_seats_max) "
            "VALUES (1, '2999-01-02', 2)"
        )
        await sold.add_seats(2, 9)
        for who, seats in ((BUYER, [11, 12]), (8, [13, 14])):
            await sold.reservations.reserve(2, seats, person(int(who)))
        await HouseSeats(sold.database).give(2, [15, 16, 17, 18, 19], "Band", who=WHO)

    sold.postgres.wait(sell())
    limits = json.loads(run("--json")[1])["limits"]
    assert [list(one.values()) for one in limits] == [[1, 1, 4, 3, 1, 1, 3], [2, 1, 2, 3, 2, 2, 3]]
    lines = run()[1].splitlines()
    title = "Limits per buyer, and the most seats that one buyer has (B7):"
    shown = [line.split() for line in lines[lines.index(title) + 2 :]]
    assert shown == [["1", "1", "4", "3", "1", "1", "3"], ["2", "1", "2", "3", "2", "2", "3"]]


@pytest.mark.usefixtures("sold")
def test_findings_are_listed_and_fail(
    run: Run, postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The mode of the data counts, and not that of the environment.
    monkeypatch.setenv("WAITLINE_MODE", "trial")
    postgres.wait(postgres.sql("UPDATE installation SET mode = 'production'"))
    status, out, err = run()
    assert (status, err) == (1, "")
    assert out.count("broken") == 1
    assert "1 payments have an amount that is not the price: 1" in out
    status, out, err = run("--json")
    assert (status, err) == (1, "")
    (finding,) = json.loads(out)["findings"]
    assert (finding["invariant"], finding["times"]) == ("B6", 1)


@pytest.mark.usefixtures("sold")
def test_a_slot_of_one_who_paid_is_found(run: Run, valkey: Server) -> None:

    async def admit() -> None:
        store = ValkeyClient(valkey.url, timeout_s=TIMEOUT_S)
        room = RoomId("room")
        await Rooms(store).create(room, Rules().changed({"admit_per_s": 100_000}))
        await Line(store).join(room, [BUYER])
        while not (await Line(store).admit(room, holder="", lease_ms=50, chunk_max=9)).admitted:  # type: ignore[union-attr]
            pass
        await store.close()

    valkey.wait(admit())
    assert run()[0] == 0, "the slot was taken after the payment"

    # As if the visitor had been admitted long before.
    key = keys.of(RoomId("room")).slots
    letter, place, _, *rest = valkey.wait(valkey.command("HGET", key, BUYER)).split("|")
    valkey.wait(valkey.command("HSET", key, BUYER, "|".join([letter, place, "1", *rest])))
    status, out, _ = run()
    assert status == 1
    assert "1 visitor has paid but still holds a slot in room 'room': 7" in out


@pytest.mark.parametrize(
    ("seen", "paid", "times"),
    [
        pytest.param(
            SEEN, PaidVisitor("room", VisitorId("7"), PAID_MS), 1, id="the slot was not freed"
        ),
        pytest.param(
            SEEN, PaidVisitor("other", VisitorId("7"), PAID_MS), 0, id="paid in another room"
        ),
        pytest.param(SEEN, PaidVisitor("room", VisitorId("8"), PAID_MS), 0, id="another has paid"),
        pytest.param(
            SEEN, PaidVisitor("room", VisitorId("7"), PAID_MS - 10), 0, id="came back afterwards"
        ),
        pytest.param(
            replace(SEEN, admitted={}),
            PaidVisitor("room", VisitorId("7"), PAID_MS),
            0,
            id="it ran out",
        ),
    ],
)
def test_a_buyer_holds_no_slot(seen: RoomSnapshot, paid: PaidVisitor, times: int) -> None:
    text = "1 visitor has paid but still holds a slot in room 'room': 7"
    assert [*kept_slots(seen, [paid])] == [Finding("B5", text, 1)] * times


@pytest.mark.parametrize("words", [(), ("--booking", "--room", "r")])
def test_either_is_audited(words: tuple[str, ...]) -> None:
    ended = run_captured("audit", *words)
    assert ended.code == 2
    assert "--room NAME, --booking" in ended.err
