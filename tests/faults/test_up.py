"""The box office of `waitline up`: restarted when it dies, with its data kept across starts."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stack import (
    SOON_S,
    START_S,
    WAITLINE,
    Stack,
    children,
    is_ready,
    kill,
    runs,
    sql,
    up,
)
from tests.processes import environment, started
from tests.until import until
from waitline.trial.machine import free_port

pytestmark = pytest.mark.long

# Seconds until what was killed is there again: it is noticed within 0.2 s, and starts as at first.
BACK_S = START_S


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A whole stack, the box office too."""
    with (
        tempfile.TemporaryDirectory(prefix="wl-") as name,
        up(Path(name), workers=1, box_office=True) as running,
    ):
        yield running


@pytest.mark.parametrize("part", ["postgres", "sandbox", "booking"])
def test_what_dies_is_started_again(stack: Stack, part: str) -> None:
    sql(stack, "INSERT INTO concert (title, venue, room) VALUES ('before', $1, 'x')", part)
    dead: int = getattr(stack, part)
    kill(dead)
    until(lambda: not runs(dead), SOON_S, "it is dead")
    until(stack.whole, BACK_S, "everything is there again")
    assert getattr(stack, part) != dead
    until(lambda: is_ready(stack.booking_port), SOON_S, "the box office answers")
    kept = sql(stack, "SELECT FROM concert WHERE title = 'before' AND venue = $1", part)
    assert len(kept) == 1


def test_a_concert_is_on_sale_and_what_was_booked_stays(folder: Path) -> None:
    with up(folder, workers=1, box_office=True) as stack:
        assert sql(stack, "SELECT count(*) FROM seat WHERE schedule_id = 1")[0][0] == 10_000
        sql(stack, "UPDATE seat SET state = 'OCCUPIED' WHERE seat_id = 7")
        os.kill(stack.program.pid, signal.SIGTERM)
        assert stack.program.process.wait(START_S) == 0
        assert not (folder / "postgres.url").exists()
        assert "Traceback" not in stack.program.output
    with up(folder, workers=1, box_office=True) as stack:
        sold = sql(stack, "SELECT seat_id FROM seat WHERE state <> 'AVAILABLE'")
        assert [row["seat_id"] for row in sold] == [7]


def test_in_production_the_box_office_is_closed_until_somebody_takes_money(folder: Path) -> None:
    ports = ("--queue-port", str(free_port()), "--booking-port", str(free_port()))
    argv = [*WAITLINE, "up", "--mode", "production", "--workers", "1", *ports]
    env = {"WAITLINE_QUEUE_MANAGEMENT_PORT": str(free_port())}
    with started([*argv, "--data-dir", str(folder)], env, lambda: True, START_S) as program:
        until(lambda: "operator.key" in program.output, START_S, "it says where everything is")
        assert "not started: WAITLINE_PAYMENT_KEY is not set" in program.output
        assert len(children(program.pid)) == 4, "Valkey, its guard, queue service and admitter"
    assert not (folder / "postgres").exists()


def test_a_provider_that_was_chosen_by_half_is_said_before_anything_starts(folder: Path) -> None:
    argv = [*WAITLINE, "up", "--mode", "production", "--data-dir", str(folder / "data")]
    env = {**environment(), "WAITLINE_PAYMENT_KEY": "a-key-of-our-shop"}
    done = subprocess.run(  # noqa: S603 - our own command
        argv, env=env, capture_output=True, text=True, check=False, timeout=START_S
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("waitline: WAITLINE_WEBHOOK_SECRET is not set: ")
    assert "a-key-of-our-shop" not in done.stderr
    assert not (folder / "data").exists()


def test_a_booking_port_that_is_taken_is_said_in_one_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        argv = [*WAITLINE, "up", "--queue-port", str(free_port()), "--booking-port", str(port)]
        done = subprocess.run(  # noqa: S603 - our own command
            [*argv, "--data-dir", str(folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )
    assert done.returncode == 1
    assert done.stderr == (
        f"waitline: cannot listen on 127.0.0.1, port {port}: Address already in use; "
        "--booking-port chooses another\n"
    )
    assert not (folder / "postgres.url").exists()
