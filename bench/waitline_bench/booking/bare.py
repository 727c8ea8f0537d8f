"""The box office's SQL statements alone, by pgbench: the upper bound.

The statements are those of `booking/sql`, with pgbench's variables as parameters. Each client books
its own seats, so no statement waits for a lock.
"""

import asyncio
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from waitline.booking.migrations import migrate
from waitline.kernel.errors import Unavailable
from waitline.postgres import statements
from waitline.postgres.sessions import SESSION
from waitline.settings import inherited
from waitline.trial.postgres_server import embedded_binaries

CLIENTS = 12
"""As many connections as one worker's pool has."""

SEATS_EACH = 20_000
"""Seats per client: more than it books in one measurement."""

SQL_S = 60.0
"""Timeout of creating a quarter of a million seats, in s."""

Kind = Literal["reservations", "bookings"]

# Name and end of each statement; `\gset` stores the result in variables.
_STATEMENTS: dict[Kind, Sequence[tuple[str, str]]] = {
    "reservations": [("reserve", ";")],
    "bookings": [
        ("reserve", r"\gset"),
        ("begin_payment", r"\gset paid_"),
        ("confirm_payment", ";"),
    ],
}

_VALUES = {
    "schedule_ids": "ARRAY[1]",
    "user_ids": "ARRAY[:user::text]",
    "holders": "ARRAY['bare']",
    "key_nos": "'{}'",
    "keys": "'{}'",
    "requests": "'{}'",
    "languages": "'{}'",
    "keys_max": "0",
    "wanted_nos": "ARRAY[1]",
    "wanted_seats": "ARRAY[:seat]",
    "hold_s": "300",
    "amounts": "ARRAY[10000]",
    "methods": "ARRAY['CARD']",
    "patience_s": "60",
    "grace_s": "60",
    "at_price": "true",
    "provider_refs": "ARRAY['bare']",
    "reservation_ids": "ARRAY[:reservation_id]",
    "charge_keys": "ARRAY[:paid_charge_key]",
    "charged": "ARRAY[10000]",
    "currencies": "ARRAY[NULL::text]",
    "whos": "ARRAY['payment call']",
    "request_ids": "ARRAY[NULL::text]",
}

_RATE = re.compile(r"tps = ([\d.]+)")
_NEXT = r"""\set n :n + 1
\set seat :client_id * {each} + :n
\set user :seat
"""
_SEATS = """
INSERT INTO concert (title, venue, room) VALUES ('bench', '', 'bench');
INSERT INTO schedule (concert_id, starts_at) VALUES (1, '2999-01-01');
INSERT INTO seat (schedule_id, section, row_name, row_position, seat_number, grade, price)
SELECT 1, 'A', (n / 100)::text, n % 100 + 1, n::text, 'A', 10000
FROM generate_series(1, {seats}) AS n;
ANALYZE;
"""


def rate(kind: Kind, url: str, folder: Path, seconds: float) -> float:
    """Return reservations or bookings per second that the statements alone reach.

    Args:
        kind: What to measure.
        url: Address of the server; a temporary database is created on it.
        folder: Folder for pgbench's script.
        seconds: Length of the measurement.

    Raises:
        Unavailable: pgbench failed.
    """
    text = _NEXT.format(each=SEATS_EACH)
    for name, end in _STATEMENTS[kind]:
        text += _filled(_statement(name), _VALUES).rstrip().rstrip(";") + f" {end}\n"
    script = folder / f"{kind}.pgbench"
    script.write_text(text, "utf-8")
    return _measured(url, script, seconds)


def _measured(url: str, script: Path, seconds: float) -> float:
    name = "waitline_bare"
    own = url.replace("/waitline?", f"/{name}?")
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    _psql(url, drop)
    _psql(url, f"CREATE DATABASE {name}")
    try:
        asyncio.run(migrate(own))
        _psql(own, _SEATS.format(seats=CLIENTS * SEATS_EACH))
        return _pgbench(own, script, seconds)
    finally:
        _psql(url, drop)


def _psql(url: str, text: str) -> None:
    command = [str(embedded_binaries() / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    done = subprocess.run(  # noqa: S603 - our own binary
        [*command, f"--command={text}", url],
        capture_output=True,
        text=True,
        check=False,
        timeout=SQL_S,
    )
    if done.returncode:
        raise Unavailable(f"psql failed: {done.stderr.strip()[-300:]}")


def _pgbench(url: str, script: Path, seconds: float) -> float:
    command = [str(embedded_binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared"]
    command += [f"--client={CLIENTS}", f"--time={max(1, round(seconds))}", "--define=n=0"]
    # Prepared, as in the service.
    session = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    done = subprocess.run(  # noqa: S603 - our own binary
        [*command, f"--file={script}", url],
        env=inherited() | {"PGOPTIONS": session},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
    )
    found = _RATE.search(done.stdout)
    if done.returncode or found is None:
        raise Unavailable(f"pgbench failed: {(done.stderr.strip() or done.stdout)[-300:]}")
    return float(found[1])


def _statement(name: str) -> str:
    text = statements.source("waitline.booking")
    found = re.search(rf"-- name: {name}\b[^\n]*\n(.*?)(?=\n-- name:|\Z)", text, re.DOTALL)
    assert found is not None, name
    return found[1]


def _filled(statement: str, values: dict[str, str]) -> str:
    """Replace the parameters of a statement; `::type` is not one."""
    return re.sub(r"(?<!:):([a-z_]+)", lambda name: values.get(name[1], name[0]), statement)
