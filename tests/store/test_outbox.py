"""The outbox relay: events reach the stream at least once and in order."""

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.databases import TestDatabase
from tests.servers import Server
from tests.until import until_async
from waitline.booking import outbox
from waitline.booking.outbox import (
    ATTEMPTS_MAX,
    BATCH_MAX,
    Outbox,
    Relay,
)
from waitline.kernel import events
from waitline.kernel.errors import Unavailable
from waitline.trial import ValkeyServer
from waitline.valkey.client import ValkeyClient
from waitline.valkey.durability import Unconfirmed

# A busy machine is no failure here.
TIMEOUT_S = 5.0


class Office:
    """Database, store and relay, with a look past the relay at what they hold."""

    def __init__(self, postgres: TestDatabase, server: Server) -> None:
        self.postgres = postgres
        self.server = server
        self.store = ValkeyClient(server.url, timeout_s=TIMEOUT_S)
        self.relay = Relay(postgres.database, self.store)
        self.outbox = Outbox(postgres.database)

    def sql(self, statement: str, *values: object) -> list[Any]:
        return list(self.postgres.wait(self.postgres.sql(statement, *values)))

    def write(self, reservation: int = 1, **received: object) -> UUID:
        """Write an event as the confirmation of a payment does."""
        payload = {
            "concertId": "r", "userId": "7", "reservationId": reservation, "paymentId": 3,
            "amount": 50_000, **received,
        }  # fmt: skip
        event_id: UUID = self.sql(
            "INSERT INTO outbox (topic, payload) VALUES ($1, $2::jsonb) RETURNING event_id",
            events.PAYMENT_COMPLETED,
            json.dumps(payload),
        )[0]["event_id"]
        return event_id

    def write_many(self, count: int) -> None:
        """Write events of the reservations 0 to count - 1."""
        self.sql(
            "INSERT INTO outbox (topic, payload) "
            "SELECT 't', jsonb_build_object('reservationId', n) FROM generate_series(0, $1) AS n",
            count - 1,
        )

    def send(self) -> int:
        return self.postgres.wait(self.relay.send())

    def stream(self, key: str = events.STREAM) -> list[dict[str, str]]:
        found = self.server.wait(self.server.command("XRANGE", key, "-", "+"))
        return [fields for _, fields in found]

    def sent(self) -> list[str]:
        """The reservations of the stream's entries, in order."""
        return [fields["reservationId"] for fields in self.stream()]

    def make_due(self) -> None:
        """Let the pause before the next attempt be over."""
        self.sql("UPDATE outbox SET send_at = listening_now()")

    def row(self) -> Any:  # noqa: ANN401 - a row
        return self.sql("SELECT *, send_at - listening_now() AS pause FROM outbox")[0]

    def spoil(self) -> None:
        """Put something in the stream's place that takes no entries."""
        self.server.wait(self.server.command("SET", events.STREAM, "no stream"))

    def close(self) -> None:
        self.postgres.wait(self.store.close())


@pytest.fixture
def office(postgres: TestDatabase, valkey: Server) -> Iterator[Office]:
    office = Office(postgres, valkey)
    yield office
    office.close()


class DiesBeforeMarking(Relay):
    """A relay that dies between sending and marking."""

    def __init__(self, office: Office) -> None:
        super().__init__(_Dying(office.postgres.database), office.store)  # type: ignore[arg-type]


class Died(Exception):  # noqa: N818
    pass


class _Dying:
    def __init__(self, database: Any) -> None:  # noqa: ANN401
        self._database = database

    async def fetch_all(self, statement: str, **values: object) -> Any:  # noqa: ANN401
        if statement == "sent_events":
            raise Died
        return await self._database.fetch_all(statement, **values)


def test_an_event_is_sent_with_the_fields_of_the_contract(office: Office) -> None:
    event_id = office.write()
    assert office.send() == 1
    (fields,) = office.stream()
    assert int(fields.pop("ageMs")) >= 0
    row = office.row()
    assert datetime.fromisoformat(fields.pop("timestamp")) == row["created_at"].replace(
        microsecond=row["created_at"].microsecond // 1000 * 1000
    )
    assert fields == {
        "topic": "booking.payment.completed",
        "eventId": str(event_id),
        "concertId": "r",
        "userId": "7",
        "reservationId": "1",
        "paymentId": "3",
        "amount": "50000",
    }
    assert row["sent_at"] is not None
    assert office.send() == 0


def test_its_age_is_counted_from_when_it_was_written(office: Office) -> None:
    office.write()
    office.sql("UPDATE outbox SET created_at = now() - interval '90 s'")
    office.send()
    (fields,) = office.stream()
    assert 90_000 <= int(fields["ageMs"]) < 120_000


def test_events_are_sent_in_the_order_of_writing_a_bounded_number_at_once(office: Office) -> None:
    count = BATCH_MAX + 10
    office.write_many(count)
    assert [office.send(), office.send(), office.send()] == [BATCH_MAX, 10, 0]
    assert office.sent() == [str(number) for number in range(count)]


def test_a_later_event_of_a_reservation_waits_for_the_earlier_one(office: Office) -> None:
    office.write(reservation=1, amount=1)
    office.write(reservation=1, amount=2)
    office.write(reservation=2)
    assert office.send() == 2
    assert office.sent() == ["1", "2"]
    assert office.send() == 1
    assert [fields["amount"] for fields in office.stream()] == ["1", "50000", "2"]


def test_a_later_event_waits_for_one_that_another_relay_has(office: Office) -> None:
    office.write(reservation=1)
    with pytest.raises(Died):
        office.postgres.wait(DiesBeforeMarking(office).send())
    office.write(reservation=1)
    assert office.send() == 0


def test_who_dies_before_marking_has_the_event_sent_again(office: Office) -> None:
    event_id = office.write()
    with pytest.raises(Died):
        office.postgres.wait(DiesBeforeMarking(office).send())
    assert len(office.stream()) == 1
    assert office.send() == 0, "it is left to the one who has it, for a while"
    office.make_due()
    assert office.send() == 1
    assert [fields["eventId"] for fields in office.stream()] == [str(event_id)] * 2
    office.make_due()
    assert office.send() == 0


def test_two_relays_share_the_events(office: Office) -> None:
    office.write_many(2 * BATCH_MAX)

    async def both() -> tuple[int, int]:
        other = Relay(office.postgres.database, office.store)
        return await asyncio.gather(office.relay.send(), other.send())

    assert sum(office.postgres.wait(both())) + office.send() == 2 * BATCH_MAX
    assert sorted(map(int, office.sent())) == list(range(2 * BATCH_MAX))


def test_a_refused_event_is_tried_again_after_pauses_that_double_until_it_is_dead(
    office: Office,
) -> None:
    office.write()
    office.spoil()
    pauses = []
    row = office.row()
    for attempt in range(1, ATTEMPTS_MAX + 1):
        assert not row["dead"]
        office.make_due()
        assert office.send() == 1
        row = office.row()
        assert row["attempts"] == attempt
        assert "WRONGTYPE" in row["last_error"]
        pauses.append(row["pause"].total_seconds())
    assert row["dead"]
    for earlier, later in pairwise(pauses):
        # The pause runs while it is looked at.
        assert later == pytest.approx(min(2 * earlier, outbox.PAUSE_MAX_S), abs=TIMEOUT_S)
    office.make_due()
    assert office.send() == 0


@pytest.mark.parametrize("payload", ["[]", '"text"', '{"seats": [1]}', '{"amount": null}'])
def test_what_has_no_form_for_the_stream_is_refused_and_holds_up_nothing_else(
    office: Office, payload: str
) -> None:
    office.sql("INSERT INTO outbox (topic, payload) VALUES ('t', $1::jsonb)", payload)
    office.write(reservation=5)
    assert office.send() == 2
    assert office.sent() == ["5"]
    total, (unsent,) = office.postgres.wait(office.outbox.unsent())
    assert (total, unsent.attempts, unsent.payload) == (1, 1, json.loads(payload))
    assert unsent.last_error


def test_a_silent_store_counts_no_attempt(office: Office, postgres: TestDatabase) -> None:
    office.write()
    gone = Relay(
        postgres.database, ValkeyClient("unix:///nowhere/valkey.sock", timeout_s=TIMEOUT_S)
    )
    for _ in range(ATTEMPTS_MAX + 1):
        with pytest.raises(Unavailable):
            postgres.wait(gone.send())
    row = office.row()
    assert (row["attempts"], row["dead"]) == (0, False)
    assert row["last_error"]
    assert office.send() == 1
    assert office.row()["last_error"] is None


def test_an_event_that_no_replica_confirms_is_sent_again(
    office: Office, postgres: TestDatabase
) -> None:
    office.write()
    store = ValkeyClient(office.server.url, durability="replicated")
    with pytest.raises(Unconfirmed):
        postgres.wait(Relay(postgres.database, store).send())
    postgres.wait(store.close())
    row = office.row()
    assert (row["sent_at"], row["attempts"]) == (None, 0)
    assert office.send() == 1
    assert len(office.stream()) == 2


def test_dead_events_are_listed_first_and_sent_on_retry(office: Office) -> None:
    alive, dead, other = office.write(1), office.write(2), office.write(3)
    office.sql("UPDATE outbox SET dead = true, attempts = 8 WHERE event_no > 1")
    total, unsent = office.postgres.wait(office.outbox.unsent())
    assert total == 3
    assert [event.event_id for event in unsent] == [dead, other, alive]
    assert office.postgres.wait(office.outbox.retry([alive, dead])) == 1
    assert office.send() == 2
    assert office.sent() == ["1", "2"]
    assert office.postgres.wait(office.outbox.retry(None)) == 1
    assert office.postgres.wait(office.outbox.retry(None)) == 0
    assert office.send() == 1
    assert office.postgres.wait(office.outbox.unsent()) == (0, [])


def test_events_are_sent_again_after_a_restore(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FORGET_MAX", 2)
    office.write_many(5)
    assert office.send() == 5
    office.sql("UPDATE outbox SET sent_at = now() - interval '1 hour' WHERE event_no % 5 = 1")
    since_ms = office.sql("SELECT (extract(epoch FROM now()) * 1000)::bigint AS ms")[0]["ms"]
    # In chunks of two; the one of an hour ago stays sent.
    assert office.postgres.wait(office.outbox.resend(since_ms - 60_000)) == 4
    assert office.send() == 4
    assert len(office.stream()) == 9


def test_sent_events_are_forgotten_after_a_day_a_chunk_at_a_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FORGET_MAX", 2)
    office.write_many(5)
    office.sql(
        "UPDATE outbox SET sent_at = now() - interval '1 day' - interval '1 s' WHERE event_no <= 3"
    )
    office.sql("UPDATE outbox SET sent_at = now() - interval '23 h' WHERE event_no = 4")
    forgotten = [office.postgres.wait(office.relay.forget()) for _ in range(3)]
    assert forgotten == [2, 1, 0]
    assert [row["event_no"] for row in office.sql("SELECT event_no FROM outbox ORDER BY 1")] == [
        4,
        5,
    ]


def test_the_stream_is_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "STREAM_MAX", 100)
    office.write_many(5 * BATCH_MAX)
    while office.send():
        pass
    # The server trims whole nodes of a hundred entries.
    assert 100 <= len(office.stream()) <= 300
    assert office.sent()[-1] == str(5 * BATCH_MAX - 1)


def test_a_relay_that_runs_sends_what_is_written_and_survives_silence(
    postgres: TestDatabase,
) -> None:
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        embedded = ValkeyServer(Path(folder))
        embedded.start()
        try:
            postgres.wait(_outlive(postgres, embedded))
        finally:
            os.kill(embedded.pid, signal.SIGCONT)
            embedded.stop()


async def _outlive(postgres: TestDatabase, embedded: ValkeyServer) -> None:
    async def write() -> None:
        await postgres.sql("INSERT INTO outbox (topic, payload) VALUES ('t', '{}')")

    async def all_sent() -> bool:
        return not await postgres.sql("SELECT FROM outbox WHERE sent_at IS NULL")

    async def noticed() -> bool:
        return bool(await postgres.sql("SELECT FROM outbox WHERE last_error IS NOT NULL"))

    store = ValkeyClient(embedded.url)
    running = asyncio.create_task(Relay(postgres.database, store).run())
    await write()
    await until_async(all_sent, 4 * TIMEOUT_S)
    os.kill(embedded.pid, signal.SIGSTOP)
    await write()
    await until_async(noticed, 4 * TIMEOUT_S)
    os.kill(embedded.pid, signal.SIGCONT)
    await until_async(all_sent, 4 * TIMEOUT_S)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert await store.command("XLEN", events.STREAM) >= 2
    await store.close()
