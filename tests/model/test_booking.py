"""The box office's statements against a reference model, on a real PostgreSQL.

Hypothesis drives both with the same calls in any order. After every call they must agree on the
answer and on all that is stored, and at the end the audit must find nothing.

Time passes when the test says so: it is what is written in the rows, and is written anew. The
database's clock jumps, and nobody listens, at any moment: the model knows nothing of that.
"""

import json
import os
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
from aiosql.queries import Queries
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from tests.booking.sale import begin, charged, person
from tests.databases import EMPTY, Patient, TestDatabase
from tests.model.box_office import PRICE, SEATS, SEATS_MAX, BoxOffice, Contents
from waitline.booking import audit
from waitline.booking.model import ReservationForeign
from waitline.booking.store import Reservations
from waitline.kernel.errors import Refused
from waitline.kernel.findings import Finding
from waitline.postgres import statements as sql
from waitline.postgres.pool import Database

# A hundred times as many are a good night's run.
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "100"))  # noqa: TID251 - the runner says it here
STEPS = 30

# Longer ago than any of the times that are written here.
EVER_S = 4e9

OPEN = f"""
    {EMPTY};
    INSERT INTO concert (title, venue, room) VALUES ('a', 'b', 'room');
    INSERT INTO schedule (concert_id, starts_at, visitor_seats_max)
    VALUES (1, '2999-01-01', {SEATS_MAX});
    INSERT INTO seat (schedule_id, section, row_name, row_position, seat_number, grade, price)
    SELECT 1, 's', 'r', n, 's-r-' || n, 'VIP', {PRICE} FROM generate_series(1, {SEATS}) AS n;
"""  # noqa: S608 - our own numbers

LOOK = """
SELECT jsonb_build_object(
    'seats', (SELECT jsonb_agg(state ORDER BY seat_id) FROM seat),
    'reservations', (SELECT jsonb_agg(state ORDER BY reservation_id) FROM reservation),
    'live', (SELECT jsonb_agg(seats ORDER BY reservation_id) FROM (
        SELECT reservation_id, count(*) FILTER (WHERE live) AS seats
        FROM reserved_seat GROUP BY reservation_id) AS held),
    'held', (SELECT jsonb_object_agg(user_id || holder, seats) FROM visitor_seats),
    'payments', (SELECT jsonb_agg(state ORDER BY payment_id) FROM payment),
    'announced', (SELECT jsonb_agg((
        SELECT count(*) FROM payment WHERE payment_id <= (payload ->> 'paymentId')::bigint
    ) ORDER BY event_no) FROM outbox)
)
"""

# Numbers 1 and 2 are two visitors under one name.
BUYERS = {1: person(1, "a"), 2: person(1, "b"), 3: person(2, "a")}
USERS = st.sampled_from([*BUYERS])
# Who asks: the owner most of the time, else one of the others.
ASKS = st.sampled_from([0, 0, 0, 0, 1, 2])
SEAT_LISTS = st.lists(st.integers(1, SEATS), min_size=1, max_size=SEATS_MAX + 1, unique=True)
# Where a sequence begins: most of what can happen comes after these.
STAGES = {
    "new": [],
    "held": ["reserve"],
    "half over": ["reserve", "listen"],
    "half over, by a clock that was put back": ["reserve", "put_back", "listen"],
    "two lapsed": ["reserve", "lapse", "reserve", "lapse"],
    "paying": ["reserve", "begin"],
    "paying at the end": ["reserve", "begin", "lapse"],
    "declined at the end": ["reserve", "begin", "fail", "lapse"],
    "declined": ["reserve", "begin", "fail"],
    "overdue": ["reserve", "begin", "lapse", "outlast"],
    "lost": ["reserve", "begin", "lapse", "outlast", "expire"],
    "paid": ["reserve", "begin", "confirm"],
}

# What a hold and a payment last, in s, and a spell of time: one ends neither, two end both. 100 s
# are to spare, for two seconds of each step (`0005_listening.sql`) and for a slow machine.
HOLD_S = 300.0
SPELL_S = 200.0
# Steps of the database's clock, or outages.
CLOCK_STEPS_S = [3_600.0, -3_600.0, 16.0, -16.0]

# Counted from the last one.
NUMBERS = st.sampled_from([1, 1, 1, 2, 2, 3, 4, 0])


class BoxOfficeMachine(RuleBasedStateMachine):
    """Calls of every kind, and what must be true after each."""

    postgres: ClassVar[TestDatabase]
    database: ClassVar[Database]
    connection: ClassVar[asyncpg.Connection]

    @initialize(seats=SEAT_LISTS, stage=st.sampled_from(list(STAGES)))
    def open(self, seats: list[int], stage: str) -> None:
        """Begin where something can happen already."""
        self.postgres.wait(self.connection.execute(OPEN))
        self.reservations = Reservations(self.database, HOLD_S)
        self.beat()
        self.model = BoxOffice()
        self.owners: list[int] = []
        self.keys: list[UUID] = []
        free = [number for number in range(1, SEATS + 1) if number not in seats]
        for step in STAGES[stage]:
            match step:
                case "reserve":
                    first = not self.owners
                    self.reserve(1 if first else 2, seats[:SEATS_MAX] if first else free[:1])
                case "begin":
                    self.begin(1, 0, paid_right=True)
                case "expire":
                    self.expire(1)
                case "listen":
                    self.listen()
                case "put_back":
                    self.step(-3_600.0, noticed=True)
                case _:
                    getattr(self, step)(1)

    @rule(user=USERS, seats=SEAT_LISTS)
    def reserve(self, user: int, seats: list[int]) -> None:
        received = self._outcome(self._reserve(user, seats))
        if received == "PENDING":
            self.owners.append(user)
        self._agree(received, self.model.reserve(user, seats))

    @rule(user=USERS)
    def reserve_what_is_not_there(self, user: int) -> None:
        received = self._outcome(self._reserve(user, [1, SEATS + 1]))
        self._agree(received, self.model.reserve(user, [1, SEATS + 1]))

    @rule(which=NUMBERS, asks=ASKS)
    def find(self, which: int, asks: int) -> None:
        number, user = self._chosen(which, asks)
        received = self._outcome(self._find(number, user))
        self._agree(received, self.model.find(number, user))

    @rule(which=NUMBERS, asks=ASKS)
    def cancel(self, which: int, asks: int) -> None:
        number, user = self._chosen(which, asks)
        received = self._outcome(self._cancel(number, user))
        self._agree(received, self.model.cancel(number, user))

    @rule(which=NUMBERS)
    def lapse(self, which: int) -> None:
        number, _ = self._chosen(which, 0)
        at = self.model.lapse(number)
        self._sql(
            "UPDATE reservation SET expires_at = timestamptz '2001-01-01' + $2 * interval '1 s' "
            "WHERE reservation_id = $1",
            number,
            at,
        )

    @rule()
    def beat(self) -> None:
        self.postgres.wait(self.reservations.beat())

    @rule()
    def listen(self) -> None:
        """Let time pass while a worker beats: more is shown than what is lost."""
        self._sql("UPDATE listening SET lost_s = lost_s - $1", SPELL_S)
        self.model.listen()

    @rule(step_s=st.sampled_from(CLOCK_STEPS_S), noticed=st.booleans())
    def step(self, step_s: float, *, noticed: bool) -> None:
        """Put the database's clock forward, as an outage does too, or back.

        The last beat moves the other way.
        """
        self._sql(
            "UPDATE listening SET beat_at = beat_at - make_interval(secs => $1), "
            "lost_s = lost_s - $1",
            step_s,
        )
        if noticed:
            self.beat()

    @rule(which=NUMBERS)
    def outlast(self, which: int) -> None:
        number, _ = self._chosen(which, 0)
        self.model.outlast(number)
        self._sql(
            "UPDATE reservation SET paying_until = timestamptz '2001-01-01' "
            "WHERE reservation_id = $1 AND paying_until IS NOT NULL",
            number,
        )

    @rule(chunk_max=st.sampled_from([100, 2, 1]))
    def expire(self, chunk_max: int) -> None:
        expired = self.postgres.wait(self.reservations.expire(chunk_max))
        received = sorted(one.reservation_id for one in expired)
        self._agree(received, self.model.expire(chunk_max))

    @rule(which=NUMBERS, asks=ASKS, paid_right=st.sampled_from([True, True, True, False]))
    def begin(self, which: int, asks: int, *, paid_right: bool) -> None:
        number, user = self._chosen(which, asks)
        seats = len(self.model.holds[number - 1].seats) if number <= len(self.model.holds) else 1
        amount = PRICE * seats if paid_right else PRICE * seats + 1
        asked = {**begin(number, BUYERS[user], amount), "grace_s": HOLD_S}
        (row,) = self.postgres.wait(self.database.fetch_all("begin_payment", **asked))
        if row["outcome"] == "begun":
            self.keys.append(row["charge_key"])
        self._agree(row["outcome"], self.model.begin(number, user, amount))

    @rule(which=NUMBERS)
    def confirm(self, which: int) -> None:
        """Learn that the provider has charged: at once, late, or again."""
        if self.keys:
            number, key = self._attempt(which)
            (row,) = self.postgres.wait(self.database.fetch_all("confirm_payment", **charged(key)))
            self._agree(row["state"], self.model.confirm(number))

    @rule(which=NUMBERS)
    def fail(self, which: int) -> None:
        if self.keys:
            number, key = self._attempt(which)
            row = self.postgres.wait(
                self.database.fetch_one(
                    "fail_payment", charge_key=key, reason="declined", who="webhook"
                )
            )
            self._agree(row is not None, self.model.fail(number))

    @rule(which=NUMBERS)
    def refunded(self, which: int) -> None:
        if self.keys:
            number, key = self._attempt(which)
            row = self.postgres.wait(
                self.database.fetch_one("refunded_payment", charge_key=key, who="reconciler")
            )
            self._agree(row is not None, self.model.refunded(number))

    @rule()
    def look(self) -> None:
        """See what the reconciler would see."""
        self._sql("UPDATE payment SET look_at = timestamptz '2001-01-01'")
        rows = self.postgres.wait(
            self.database.fetch_all(
                "unsettled_payments",
                chunk_max=100,
                pause_s=1.0,
                open_pause_max_s=9.0,
                pause_max_s=9.0,
            )
        )
        keys = [row["charge_key"] for row in rows]
        received = sorted(self.keys.index(key) + 1 for key in keys if key in self.keys)
        self._agree(received, self.model.unsettled())

    @override
    def teardown(self) -> None:
        if hasattr(self, "model"):
            assert self.postgres.wait(self.audited()) == []

    async def audited(self) -> Sequence[Finding]:
        return await audit.examine(self.database, at_price=True, late_s=EVER_S, looks_max=STEPS)

    def _agree(self, received: object, expected: object) -> None:
        assert received == expected
        assert self.postgres.wait(self._contents()) == self.model.contents()

    def _outcome(self, call: Coroutine[Any, Any, str]) -> str:
        """Return the answer, or the name of a refusal."""

        async def ask() -> str:
            try:
                return await call
            except Refused as refusal:
                return type(refusal).__name__

        return self.postgres.wait(ask())

    async def _reserve(self, user: int, seats: list[int]) -> str:
        return (await self.reservations.reserve(1, seats, BUYERS[user])).state

    async def _find(self, number: int, user: int) -> str:
        found = await self.reservations.find(number)
        if found.buyer != BUYERS[user]:
            raise ReservationForeign
        return found.state

    async def _cancel(self, number: int, user: int) -> str:
        return await self.reservations.cancel(number, BUYERS[user])

    async def _contents(self) -> Contents:
        stored = json.loads(await self.connection.fetchval(LOOK))
        names = {buyer.user_id + buyer.holder: number for number, buyer in BUYERS.items()}
        held = {names[name]: seats for name, seats in (stored["held"] or {}).items()}
        lists = {name: stored[name] or [] for name in Contents._fields if name != "held"}
        return Contents(held=held, **lists)

    def _sql(self, statement: str, *values: object) -> None:
        self.postgres.wait(self.connection.execute(statement, *values))

    def _chosen(self, which: int, asks: int) -> tuple[int, int]:
        """Choose a reservation, among the last ones, and who asks for it.

        Most of what can happen comes of several calls about the same one. 0 is not there.
        """
        number = max(1, len(self.owners) + 1 - which)
        owner = self.owners[number - 1] if number <= len(self.owners) else 1
        return number, (owner + asks - 1) % len(BUYERS) + 1

    def _attempt(self, which: int) -> tuple[int, UUID]:
        index = max(0, len(self.keys) - max(1, which))
        return index + 1, self.keys[index]


@contextmanager
def on(
    machine: type[BoxOfficeMachine], postgres: TestDatabase, statements: Queries | None = None
) -> Iterator[None]:
    """Let a machine run on a database, perhaps on statements with a bug."""
    machine.postgres = postgres
    machine.database = Patient(postgres.url, "waitline.booking")
    if statements is not None:
        machine.database._statements = sql.parse(statements)  # noqa: SLF001
    machine.connection = postgres.wait(asyncpg.connect(postgres.url))
    try:
        yield
    finally:
        postgres.wait(machine.connection.close())
        postgres.wait(machine.database.close())


def test_the_box_office_agrees_with_its_model(postgres: TestDatabase) -> None:
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with on(BoxOfficeMachine, postgres):
        run_state_machine_as_test(BoxOfficeMachine, settings=chosen)
