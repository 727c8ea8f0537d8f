"""`waitline rehearse` on a running installation: the verdict, and the cleanup."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from tests.booking_web.office import Office, running
from tests.processes import Program, started
from tests.until import until
from tests.web.stack import SOON_S
from waitline.kernel import events
from waitline.kernel.ids import REHEARSALS, RoomId
from waitline.queue import keys

pytestmark = pytest.mark.long

# Seconds that a small rehearsal may take on a machine that runs other tests as well.
PLAYED_S = 150.0

TABLES = (
    "concert", "schedule", "seat", "reservation", "reserved_seat", "visitor_seats", "payment",
    "outbox", "idempotency",
)  # fmt: skip

# Keys that appear and expire by themselves.
COME_AND_GO = {keys.AWAKE, keys.OCCUPIED, events.READINESS}


def words(office: Office, *more: object) -> list[str]:
    figures = ["rehearse", *map(str, more), "--data-dir", str(office.queue.data_dir)]
    urls = ["--queue-url", office.queue.url, "--booking-url", office.url]
    return [sys.executable, "-m", "waitline", *figures, *urls]


def rehearse(office: Office, *more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        words(office, *more), capture_output=True, text=True, timeout=PLAYED_S, check=False
    )


@contextmanager
def store(office: Office) -> Iterator[Any]:
    url = (office.queue.data_dir / "valkey.url").read_text("utf-8").strip()
    client = Redis.from_url(url, decode_responses=True)
    try:
        yield client
    finally:
        client.close()


def contents(office: Office) -> dict[str, Any]:
    """How many rows each table has, every key of the store, and who is on its lists."""
    counts = {
        table: office.sql(f"SELECT count(*) AS rows FROM {table}")[0]["rows"]  # noqa: S608
        for table in TABLES
    }
    with store(office) as client:
        names = set(client.keys("*")) - COME_AND_GO
        rooms = client.smembers("wl:rooms")
        ours = [
            entry
            for entry, said in client.xrange("wl:{events}:booking")
            if said.get("concertId", "").startswith(REHEARSALS)
        ]
        lists = client.smembers("wl:awake") | client.smembers("wl:occupied")
    ours += [name for name in lists if name.startswith(REHEARSALS)]
    return {**counts, "keys": names, "rooms": rooms, "ours": ours}


def settled(office: Office) -> dict[str, Any]:
    """Return the same once nothing more comes of what was asked before.

    Workers send their counts of addresses once a second, so the first ones of a room appear later
    than the place that they count.
    """

    def counted() -> bool:
        with store(office) as client:
            names = keys_of_rooms(client)
            return all(
                client.exists(k.addresses) for k in names if client.hget(k.room, "seq") > "0"
            )

    until(counted, SOON_S, "the addresses of all places are counted")
    return contents(office)


def keys_of_rooms(client: Any) -> list[keys.RoomKeys]:  # noqa: ANN401 - redis-py
    return [keys.of(RoomId(name)) for name in client.smembers(keys.ROOMS)]


def on_stage(office: Office) -> bool:
    """Whether somebody has reserved at a rehearsal."""
    rows = office.sql(
        "SELECT count(*) AS rows FROM reservation JOIN schedule USING (schedule_id) "
        "JOIN concert USING (concert_id) WHERE starts_with(room, $1)",
        REHEARSALS,
    )
    return bool(rows[0]["rows"])


@contextmanager
def long_rehearsal(office: Office) -> Iterator[Program]:
    """A rehearsal in the middle of which something happens."""
    argv = words(office, "--visitors", 60, "--seats", 30, "--minutes", 10)
    with started(argv, {}, lambda: on_stage(office), PLAYED_S) as program:
        yield program


@pytest.fixture(params=["trial", "production"])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(request.param)
    return found


def test_a_small_sale_is_played_judged_and_taken_away(office: Office) -> None:
    # Somebody else's sale, which nothing may happen to.
    buyer = office.show().buyer()
    reservation = buyer.reserved(buyer.show.seats[0])
    assert buyer.pay(reservation).status_code == 201
    until(lambda: buyer.standing().status_code == 404, SOON_S, "the slot is free")
    before = settled(office)
    done = rehearse(office, "--visitors", 40, "--seats", 16, "--minutes", 0.05, "--json")
    assert done.returncode in {0, 1}, done.stderr
    figures = json.loads(done.stdout)
    assert figures["go"] is (done.returncode == 0) is (not figures["reasons"])
    # A busy machine may make it slow, and that alone.
    assert all(
        "p95 " in why or "load generator" in why or "(p95)" in why for why in figures["reasons"]
    )
    assert (figures["entered"], figures["overtaken"]) == (40, 0)
    outcomes = figures["outcomes"]
    assert sum(outcomes.values()) == 40
    # Visitors who were not admitted left because the sale was sold out.
    assert figures["admitted"] == 40 - outcomes.get("left_sold_out", 0) >= 16
    assert set(outcomes) <= {"bought", "no_show", "abandoned", "no_seat", "left_sold_out"}
    assert figures["sold"]["sold"] == outcomes["bought"] > 0
    assert (figures["sold_twice"], figures["findings"]) == (0, [])
    assert {call["call"] for call in figures["calls"]} >= {
        "enter",
        "status",
        "seats",
        "reserve",
        "pay",
    }
    assert figures["removed"]["rooms"] == 1
    assert contents(office) == before
    assert before["ours"] == []


def test_a_rehearsal_below_root_paths_with_the_limits_of_a_room() -> None:
    paths = {"WAITLINE_QUEUE_ROOT_PATH": "/queue", "WAITLINE_BOOKING_ROOT_PATH": "/booking"}
    with running("production", **paths) as office:
        # One place for each address, and closed: a rehearsal in this room would be over at once.
        room = office.queue.room(
            mode="closed",
            activeMax=8,
            admitPerSecond=25,
            readySeconds=5,
            activeSeconds=30,
            addressPlacesHeld=1,
            opensAt="2199-01-01T00:00Z",
        )
        sale = "--visitors", 20, "--seats", 8, "--minutes", 0.05, "--json", "--like", room.name
        urls = "--queue-url", f"{office.queue.url}/queue", "--booking-url", f"{office.url}/booking"
        argv = [*words(office, *sale), *urls]
        done = subprocess.run(  # noqa: S603 - our own command
            argv, capture_output=True, text=True, timeout=PLAYED_S, check=False
        )
        assert done.returncode in {0, 1}, done.stderr
        figures = json.loads(done.stdout)
        limits = figures["limits"]
        assert figures["like"] == room.name
        assert (limits["activeMax"], limits["admitPerSecond"], limits["readySeconds"]) == (8, 25, 5)
        assert (figures["entered"], limits["addressPlacesHeld"]) == (20, 0)
        assert 0 < figures["most_inside"] <= 8
        assert figures["outcomes"]["bought"] > 0
        assert room.show()["totals"]["entered"] == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_one_that_is_stopped_leaves_nothing_either(trial: Office, signum: signal.Signals) -> None:
    before = settled(trial)
    with long_rehearsal(trial) as program:
        assert contents(trial) != before
        program.process.send_signal(signum)
        assert program.process.wait(PLAYED_S) == 130
        assert "The rehearsal was cleaned up" in program.output
    assert contents(trial) == before


def test_what_a_killed_one_leaves_is_found_and_taken_away(trial: Office) -> None:
    before = settled(trial)
    with long_rehearsal(trial) as program:
        refused = rehearse(trial)
        assert refused.returncode == 2
        assert "another rehearsal is running" in refused.stderr
        program.process.kill()
        program.process.wait()
    assert contents(trial) != before
    cleaned = rehearse(trial, "--clean")
    assert cleaned.returncode == 0
    assert "Cleaned up: 1 room" in cleaned.stdout
    # What its visitors had asked for last may have been answered after that.
    until(
        lambda: (
            rehearse(trial, "--clean").stdout.startswith("Nothing to clean up")
            and contents(trial) == before
        ),
        PLAYED_S,
        "all of it is gone",
    )


def test_what_is_left_in_either_store_is_taken_away(trial: Office) -> None:
    """As an earlier version left it, or one that was killed between two steps."""
    sold, theirs = f"{REHEARSALS}20250101-120002", f"{REHEARSALS}mine"
    for room in (sold, theirs):
        created(trial, room)
    trial.sql("INSERT INTO concert (title, venue, room) VALUES ('An operator''s', '', $1)", sold)
    before = settled(trial)
    only_line, only_office = f"{REHEARSALS}20250101-120000", f"{REHEARSALS}20250101-120001"
    created(trial, only_line)
    trial.sql(
        "INSERT INTO concert (title, venue, room, origin) VALUES ('left', '', $1, 'rehearsal')",
        only_office,
    )
    cleaned = rehearse(trial, "--clean")
    assert cleaned.stdout.startswith("Cleaned up: 2 rooms, 1 database row"), cleaned
    assert contents(trial) == before
    assert rehearse(trial, "--clean").stdout.startswith("Nothing to clean up")


def created(office: Office, room: str) -> None:
    """Create a room, which nobody registers as a rehearsal's."""
    response = office.queue.client.post(
        "/api/v1/rooms", json={"room": room}, headers=office.queue.operator
    )
    assert response.status_code == 201, response.text


def test_where_real_money_is_taken_nothing_is_rehearsed() -> None:
    live = {
        "WAITLINE_PAYMENTS": "real-money",
        "WAITLINE_PAYMENT_PROVIDER": "stripe",
        "WAITLINE_PAYMENT_KEY": "sk_live_0123456789abcdef",
    }
    with running("production", **live) as office:
        before = settled(office)
        refused = rehearse(office, "--visitors", 10, "--seats", 10, "--minutes", 0.1)
        assert refused.returncode == 2
        assert "takes real money (stripe)" in refused.stderr
        assert contents(office) == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--visitors", 0), "--visitors: must be from 1"),
        (("--seats", 100_001), "--seats: must be from 1"),
        (("--minutes", 0), "--minutes: must be above 0"),
        (("--queue-url", "nowhere"), "is not the URL of a service"),
        (("--like", "no-such-room"), "'no-such-room' not found; `waitline rooms list`"),
        (("--like", " "), "the name of a room"),
        (("--like", "r", "--clean"), "--like: --clean plays no sale"),
    ],
)
def test_what_cannot_be_rehearsed_is_one_line(
    trial: Office, more: tuple[object, ...], said: str
) -> None:
    argv = [*words(trial), *map(str, more)]
    done = subprocess.run(  # noqa: S603 - our own command
        argv, capture_output=True, text=True, timeout=PLAYED_S, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
