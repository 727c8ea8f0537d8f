"""`waitline outbox`: both sides of the events, as an operator sees them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.databases import TestDatabase
from tests.servers import Server
from tests.web.stack import Done, waitline
from waitline.admission.payment_events import GROUP
from waitline.kernel import events

pytestmark = pytest.mark.long


class Operator:
    """Runs the command on both servers."""

    def __init__(self, postgres: TestDatabase, valkey: Server, folder: Path) -> None:
        self.postgres = postgres
        self.valkey = valkey
        self.where = (
            "--database-url", postgres.url, "--valkey-url", valkey.url, "--data-dir", folder,
        )  # fmt: skip

    def write(self, *, dead: bool) -> str:
        (row,) = self.postgres.wait(
            self.postgres.sql(
                "INSERT INTO outbox (topic, payload, dead, attempts, last_error) "
                "VALUES ('t', '{\"reservationId\": 1}', $1, $2, $3) RETURNING event_id",
                dead,
                8 if dead else 0,
                "why not" if dead else None,
            )
        )
        return str(row["event_id"])

    def tell(self, stream: str) -> str:
        words = ("topic", events.PAYMENT_COMPLETED, "userId", "7", "reason", "no room")
        entry_id: str = self.valkey.wait(self.valkey.command("XADD", stream, "*", *words))
        return entry_id

    def listed(self) -> Any:  # noqa: ANN401 - JSON
        done = waitline("outbox", "--json", *self.where)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    def retry(self, *words: str) -> Done:
        return waitline("outbox", "retry", *words, *self.where)


def test_both_sides_are_listed_and_dead_events_are_sent_again(
    postgres: TestDatabase, valkey: Server, tmp_path: Path
) -> None:
    operator = Operator(postgres, valkey, tmp_path)
    waiting, dead = operator.write(dead=False), operator.write(dead=True)
    operator.tell(events.STREAM)
    letter = operator.tell(events.DEAD)
    valkey.wait(valkey.command("XGROUP", "CREATE", events.STREAM, GROUP, "0"))

    found = operator.listed()
    unsent, stream = found["unsent"], found["stream"]
    assert [(one["id"], one["state"], one["reason"]) for one in unsent["events"]] == [
        (dead, "dead", "why not"),
        (waiting, "pending", None),
    ]
    assert (unsent["count"], unsent["events"][0]["event"]) == (2, {"reservationId": 1})
    assert (stream["unread"], stream["unhandled"], stream["dead"]) == (1, 0, 1)
    assert [(one["id"], one["reason"]) for one in stream["letters"]] == [(letter, "no room")]

    done = operator.retry(dead, letter)
    assert (done.returncode, done.stdout) == (0, "2 events will be sent again\n")
    found = operator.listed()
    assert {one["state"] for one in found["unsent"]["events"]} == {"pending"}
    assert (found["stream"]["unread"], found["stream"]["dead"]) == (2, 0)

    assert operator.retry(dead).returncode == 2
    done = operator.retry("--all")
    assert (done.returncode, done.stdout) == (0, "0 events will be sent again\n")
    for wrong in ((), (dead, "--all")):
        assert operator.retry(*wrong).returncode == 2


def test_people_can_read_it(postgres: TestDatabase, valkey: Server, tmp_path: Path) -> None:
    operator = Operator(postgres, valkey, tmp_path)
    done = waitline("outbox", *operator.where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Unsent events: 0" in done.stdout
    operator.write(dead=True)
    assert "dead" in waitline("outbox", *operator.where).stdout


def test_one_side_is_shown_while_the_other_is_silent(
    postgres: TestDatabase, tmp_path: Path
) -> None:
    nowhere = "unix:///nowhere/valkey.sock"
    where = ("--database-url", postgres.url, "--valkey-url", nowhere, "--data-dir", tmp_path)
    done = waitline("outbox", "--json", *where)
    # A script must not take half of it for all.
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["unsent"] == {"count": 0, "events": []}
    assert "unavailable" in found["stream"]
    assert "sent events:" in waitline("outbox", *where).stdout
