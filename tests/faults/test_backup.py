"""An installation is backed up under load, lost, and restored to a second into an empty folder.

What clients were answered by then is there, nothing later is, the line and the box office agree,
and the provider's later charges are found and refunded.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.faults.stack import SOON_S, START_S, WAITLINE, Stack, is_ready, snapshot, sql
from tests.faults.test_booking_crash import Buyer, audited
from tests.faults.test_killed_up import concerned
from tests.processes import environment, started
from tests.servers import Server
from tests.until import until
from waitline.booking.provider_audit import LATE_S
from waitline.kernel.clock import SystemClock
from waitline.kernel.ids import RoomId, VisitorId
from waitline.trial.backup.folder import iso
from waitline.trial.installation import start
from waitline.trial.machine import free_port

pytestmark = pytest.mark.long

HALL = RoomId("hall")
SECRET = "a-secret-of-the-tests-of-back-ups"

# Seconds that a command may take on a machine that others use: a restore forces all to the disk.
COMMAND_S = 240.0

# Seconds by which the clocks of a client, of Valkey and of PostgreSQL may be apart.
APART_S = 0.3


def now_s() -> float:
    return SystemClock().now_ms() / 1000


@dataclass
class Answers:
    """What clients were answered: when they asked, when the answer was there, and what it was."""

    places: list[tuple[float, float, str, str]] = field(default_factory=list)
    sales: list[tuple[float, float, Buyer]] = field(default_factory=list)


@contextmanager
def load(stack: Stack) -> Iterator[Answers]:
    """Visitors take places in a room that admits nobody, and others buy seats."""
    over, answers = threading.Event(), Answers()

    def join(name: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            visitor, asked_s = f"w{name}-{number}", now_s()
            token = entered(stack, visitor)["token"]
            answers.places.append((asked_s, now_s(), visitor, token))

    def buy() -> None:
        while not over.is_set():
            buyer = Buyer(stack, "1")
            asked_s = now_s()
            assert buyer.pay().status_code == 201
            answers.sales.append((asked_s, now_s(), buyer))

    threads = [
        *(threading.Thread(target=join, args=(name,)) for name in range(2)),
        *(threading.Thread(target=buy) for _ in range(2)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join(START_S)


def entered(stack: Stack, visitor: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{stack.port}/api/v1/queue/enter"
    body = {"concertId": HALL, "userId": visitor}
    data: dict[str, Any] = httpx.post(url, json=body, timeout=SOON_S).json()["data"]
    return data


@dataclass(frozen=True)
class Provider:
    """A payment provider outside of the installation, which outlives it."""

    port: int
    booking_port: int
    ledger: Path

    @property
    def settings(self) -> dict[str, str]:
        return {
            "payment_url": f"http://127.0.0.1:{self.port}",
            "payment_key": SECRET,
            "webhook_secret": SECRET,
            "booking_port": str(self.booking_port),
        }

    @property
    def variables(self) -> dict[str, str]:
        return {f"WAITLINE_{name}".upper(): value for name, value in self.settings.items()} | {
            "WAITLINE_MODE": "trial"
        }

    def kept(self) -> set[str]:
        """Keys of the charges that were not refunded."""
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as ledger:
            rows = ledger.execute("SELECT key FROM charge WHERE charged > refunded").fetchall()
        return {str(UUID(bytes=key)) for (key,) in rows}


@contextmanager
def provider(folder: Path) -> Iterator[Provider]:
    made = Provider(free_port(), free_port(), folder / "ledger.sqlite3")
    words = ["sandbox-pay", "--port", str(made.port), "--latency", "0"]
    words += ["--webhook-url", f"http://127.0.0.1:{made.booking_port}/api/v1/payments/webhook"]
    words += ["--ledger-file", str(made.ledger)]

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{made.port}/health", timeout=SOON_S).is_success
        except httpx.HTTPError:
            return False

    with started([*WAITLINE, *words], made.variables, answers, START_S):
        yield made


@contextmanager
def installed(data_dir: Path, there: Provider) -> Iterator[Stack]:
    with start(
        1, there.settings, box_office=True, data_dir=data_dir, batch_scheduling=False
    ) as program:
        yield Stack(program, program.port, data_dir, program.valkey_url, program.booking_port)


def run(*words: str, **variables: str) -> Any:  # noqa: ANN401 - JSON
    """Run a command that prints JSON; a finding is no failure of it."""
    done = subprocess.run(  # noqa: S603 - our own command
        [*WAITLINE, *words, "--json"],
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S,
    )
    assert done.returncode in {0, 1}, done.stderr
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@contextmanager
def backing_up(stack: Stack, into: Path) -> Iterator[dict[str, str]]:
    """Back up meanwhile; at the end there is what the command says of it."""
    words = [*WAITLINE, "backup", str(into), "--json", "--data-dir", str(stack.data_dir)]
    said: dict[str, str] = {}
    with started(words, {}, lambda: any(into.glob("*/backup.json")), START_S) as program:
        yield said
        os.kill(program.pid, signal.SIGINT)
        until(lambda: not program.alive, SOON_S, "the back-up ends")
        assert program.process.returncode == 0, program.output
        said.update(json.loads(program.output.splitlines()[-1]))


def test_what_was_answered_by_then_is_there_and_nothing_later(folder: Path) -> None:
    with ExitStack() as stack:
        there = stack.enter_context(provider(folder))
        backups, lost, new = folder / "backups", folder / "lost", folder / "new"
        with installed(lost, there) as first:
            first.room(HALL, mode="paused")
            with load(first) as answers, backing_up(first, backups) as said:
                more(answers)
                rewritten(first)
                more(answers)
                at_s = int(now_s())
                until(lambda: now_s() > at_s + 1 + APART_S, SOON_S, "the second is over")
                more(answers)
            os.kill(first.program.pid, signal.SIGKILL)
        until(lambda: not concerned(lost), START_S, "nothing of it runs any more")
        shutil.rmtree(lost)
        to = iso(at_s)
        assert said["first"] <= to <= said["last"]
        restored = run("restore", str(backups), "--to", to, "--data-dir", str(new))
        assert restored["restoredTo"] == to
        second = stack.enter_context(installed(new, there))
        until(lambda: is_ready(second.port) and is_ready(second.booking_port), START_S, "it runs")
        compare(second, answers, at_s)
        refund(second, answers, there, at_s)
        agree(second)
        go_on(second, answers, at_s)
        agree(second)


def more(answers: Answers) -> None:
    """Wait for some more of each answer."""
    places, sales = len(answers.places), len(answers.sales)
    until(
        lambda: len(answers.places) > places + 30 and len(answers.sales) > sales + 3,
        START_S,
        "there is load",
    )


def rewritten(stack: Stack) -> None:
    """Let Valkey rewrite its append-only file, which begins new files and removes the old ones."""
    server = Server(stack.url)
    try:
        server.wait(server.command("BGREWRITEAOF"))

        def done() -> bool:
            info = server.wait(server.command("INFO", "persistence"))
            return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]

        until(done, SOON_S, "the append-only file is rewritten")
    finally:
        server.close()


def compare(stack: Stack, answers: Answers, at_s: int) -> None:
    """Compare what is there with what clients were answered."""
    seen = snapshot(stack.url, HALL)
    early = [one for one in answers.places if one[1] < at_s + 1 - APART_S]
    late = [one for one in answers.places if one[0] > at_s + 1 + APART_S]
    assert early
    assert late
    for _, _, visitor, token in early:
        assert seen.waiting[VisitorId(visitor)] == int(token.split(".")[2])
    assert not {VisitorId(one[2]) for one in late} & seen.waiting.keys()
    confirmed = {
        row["reservation_id"]
        for row in sql(stack, "SELECT reservation_id FROM reservation WHERE state = 'CONFIRMED'")
    }
    early_sales = {one[2].reservation for one in answers.sales if one[1] < at_s + 1 - APART_S}
    late_sales = {one[2].reservation for one in answers.sales if one[0] > at_s + 1 + APART_S}
    assert early_sales
    assert late_sales
    assert early_sales <= confirmed
    assert not late_sales & confirmed


def refund(stack: Stack, answers: Answers, there: Provider, at_s: int) -> None:
    """Find and refund what buyers paid later."""
    where = ("--data-dir", str(stack.data_dir), "--database-url", url(stack))
    ours = {row["key"] for row in sql(stack, "SELECT charge_key::text AS key FROM payment")}
    unknown = there.kept() - ours
    late = [one for one in answers.sales if one[0] > at_s + 1 + APART_S]
    assert len(unknown) >= len(late) > 0

    def refunded() -> bool:
        # A charge counts as unknown once it is two minutes old.
        run("payments", "refund-unknown", "--yes", *where, **there.variables)
        return there.kept() <= ours

    found = until_found(*where, **there.variables)
    assert {one["invariant"] for one in found} == {"B4"}
    until(refunded, LATE_S + START_S, "later charges are refunded")
    assert run("audit", "--provider", *where, **there.variables)["findings"] == []


def until_found(*where: str, **variables: str) -> list[dict[str, Any]]:
    """Return what the comparison with the provider finds, once it finds something."""
    found: list[dict[str, Any]] = []

    def finds() -> bool:
        found[:] = run("audit", "--provider", *where, **variables)["findings"]
        return bool(found)

    until(finds, LATE_S + START_S, "later charges are found")
    return found


def url(stack: Stack) -> str:
    return (stack.data_dir / "postgres.url").read_text("utf-8")


def agree(stack: Stack) -> None:
    """Check both stores, and that they agree (B5)."""
    where = ("--data-dir", str(stack.data_dir), "--valkey-url", stack.url)
    until(lambda: audited(stack) == [], START_S, "the box office has no findings")
    for room in (HALL, "1"):
        assert run("audit", "--room", room, *where)["findings"] == []


def go_on(stack: Stack, answers: Answers, at_s: int) -> None:
    """Sell more; let who waited go on waiting, and who joined later join again."""
    buyer = Buyer(stack, "1")
    assert buyer.pay().status_code == 201
    until(lambda: buyer.standing() == "NOT_FOUND", SOON_S, "the slot is free")
    early = next(one for one in answers.places if one[1] < at_s + 1 - APART_S)
    late = next(one for one in answers.places if one[0] > at_s + 1 + APART_S)
    assert entered(stack, early[2])["token"] == early[3], "the place is kept"
    path = f"http://127.0.0.1:{stack.port}/api/v1/queue/validate"
    body = {"concertId": HALL, "userId": late[2], "token": late[3]}
    refused = httpx.post(path, json=body, timeout=SOON_S)
    # A place that is not there any more: its ticket opens nothing.
    assert refused.status_code == 401
    again = entered(stack, late[2])
    assert again["isNewEntry"]
    assert again["token"] != late[3]
