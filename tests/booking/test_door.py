"""`waitline door`: a list holds exactly the tickets that count, and is verified offline."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.booking.sale import Sale, begin, person
from tests.booking.test_seat_imports import WHO
from tests.databases import TestDatabase
from waitline import cli
from waitline.booking.door_list import DoorLists
from waitline.booking.house import HouseSeats
from waitline.booking.seat_file import decode, records
from waitline.kernel.clock import SystemClock
from waitline.settings import load
from waitline.tokens.keyring import Keyring
from waitline.tokens.keyring_file import KeyringFile
from waitline.tokens.passes import jwks

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return KeyringFile(load(data_dir=tmp_path).keys_file).load_or_create(SystemClock().now_ms())


@pytest.fixture
def run(
    tmp_path: Path,
    ring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Run:
    """Run a `waitline door` command in this process."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    assert ring.keys

    def run(*words: object) -> tuple[int, str, str]:
        argv = ["waitline", "door", *map(str, words), "--data-dir", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfdbinary.readouterr()
        return int(ended.value.code or 0), out.decode(), err.decode()

    return run


@pytest.fixture
def sold(postgres: TestDatabase) -> Sale:
    """Seats 1 and 2 are paid for, 3 is reserved, 4 was cancelled, 5 was given away, 6 is held."""
    sale, house = Sale(postgres), HouseSeats(postgres.database)

    async def sell() -> None:
        await sale.open()
        for user, seats in ((7, [1, 2]), (8, [3]), (9, [4])):
            made = await sale.reservations.reserve(1, seats, person(user))
            if user != 8:
                asked = begin(made.reservation_id, user, made.amount)
                (begun,) = await sale.database.fetch_all("begin_payment", **asked)
                await sale.confirm(begun["charge_key"])
            if user == 9:
                await sale.reservations.cancel(made.reservation_id, person(user))
        await house.give(1, [5], "김 민지 🎫", who=WHO)
        await house.hold(1, [6], "press", who=WHO)

    postgres.wait(sell())
    return sale


def test_the_list_has_what_is_sold_and_given_away(run: Run, sold: Sale, ring: Keyring) -> None:
    url = ("--database-url", sold.postgres.url)
    status, out, err = run("list", 1, *url)
    assert (status, err) == (0, "")
    rows = [one.cells for one in records(decode(out.encode()))]
    tickets = rows[1 : rows.index(["concert", "a"])]
    assert [(row[2], row[6], row[7]) for row in tickets] == [
        ("s-r-1", "7", "sold"),
        ("s-r-2", "7", "sold"),
        ("s-r-5", "김 민지 🎫", "complimentary"),
    ]
    assert ["tickets", "3"] in rows

    async def shown(seat: int) -> list[str]:
        (row,) = await sold.sql("SELECT reservation_id FROM reserved_seat WHERE seat_id = $1", seat)
        door = DoorLists(sold.database, lambda: ring)
        return [one.code for one in await door.tickets(row["reservation_id"])]

    # The buyer sees the codes that the list has; who has not paid, or cancelled, sees none.
    codes = [row[5] for row in tickets]
    assert sold.postgres.wait(shown(1)) == codes[:2]
    assert sold.postgres.wait(shown(5)) == codes[2:]
    assert sold.postgres.wait(shown(3)) == []
    assert sold.postgres.wait(shown(4)) == []


@pytest.mark.parametrize("name", ["door.csv", "door.html"])
def test_a_file_is_verified_without_stores(
    run: Run, sold: Sale, ring: Keyring, tmp_path: Path, name: str
) -> None:
    file, url = tmp_path / name, ("--database-url", sold.postgres.url)
    assert run("list", 1, "--out", file, *url)[1] == f"Wrote 3 tickets to {file}.\n"
    status, out, err = run("verify", file, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["tickets"] == 3
    assert run("verify", file)[1].startswith("Genuine: schedule 1, 3 tickets, made at 20")
    # On a machine without the installation's secrets.
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(jwks(ring, SystemClock().now_ms())))
    assert run("verify", file, "--keys", keys)[0] == 0
    file.write_bytes(file.read_bytes().replace("김".encode(), "이".encode()))
    for more in ((), ("--keys", keys)):
        status, out, err = run("verify", file, *more)
        assert (status, out) == (1, "")
        assert "altered" in err
    keys.write_text('{"keys": []}')
    assert "not known here" in run("verify", file, "--keys", keys)[2]
    file.write_text("section,row\n")
    assert "is no door list" in run("verify", file)[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "9"], "schedule not found"),
        (["list", "1", "--out", "door.pdf"], "--out: door.pdf must end in .csv or .html"),
        (["list", "1", "--out", "no/such/door.csv"], "--out: no/such/door.csv cannot be written"),
        (["verify", "nowhere.csv"], "nowhere.csv cannot be read"),
        (["verify", __file__, "--keys", __file__], "--keys: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run: Run, sold: Sale, words: list[str], said: str
) -> None:
    url = ["--database-url", sold.postgres.url] if words[0] == "list" else []
    status, out, err = run(*words, *url)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
