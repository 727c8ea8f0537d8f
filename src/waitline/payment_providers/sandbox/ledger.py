"""Ledger of the sandbox in SQLite: a unique key per charge, so that each is charged at most once.

A settled charge is committed before the answer is sent, so it survives `kill -9`, as at a real
provider. Charges under way are in memory only; a restart forgets them.

Statements run on the event loop: a commit takes about 50 us, no more than a hand-over to a thread.
"""

import sqlite3
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from waitline.kernel.errors import Misconfigured, WaitlineError

CHARGES_MAX = 200_000
"""Charges kept, about 40 MB. A dropped key could be charged again, so this must cover the time
until the reconciler settles an attempt: it is 400 s at 500 charges/s."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # fsync policy: at checkpoints only, every 1 000 pages. Each commit reaches the kernel before
    # the answer, so a crash of the process loses nothing. A power cut may lose the last commits,
    # but does not damage the file. Source: https://www.sqlite.org/pragma.html#pragma_synchronous.
    "PRAGMA synchronous = NORMAL",
)

_TABLE = """
CREATE TABLE IF NOT EXISTS charge (
    number INTEGER PRIMARY KEY,  -- in the order of the first requests
    key BLOB NOT NULL UNIQUE,
    amount INTEGER NOT NULL,
    method TEXT NOT NULL,
    state TEXT NOT NULL,
    ref TEXT NOT NULL,
    reason TEXT NOT NULL,
    asked INTEGER NOT NULL,
    charged INTEGER NOT NULL CHECK (charged <= 1),
    refunded INTEGER NOT NULL CHECK (refunded <= charged)
)
"""


class ChargeState(StrEnum):
    """State of a charge. Only PROCESSING changes without a request."""

    PROCESSING = "PROCESSING"
    CHARGED = "CHARGED"
    DECLINED = "DECLINED"
    CLOSED = "CLOSED"
    REFUNDED = "REFUNDED"


class Charge(msgspec.Struct):
    """One charge, as in the sandbox's API and webhooks.

    Attributes:
        key: Idempotency key.
        amount: In minor units.
        method: Payment method.
        state: Its state.
        ref: The sandbox's id of the charge.
        reason: Why it was not charged.
        asked: Number of requests to charge it.
        charged: How often it was charged: 0 or 1.
        refunded: How often it was refunded: 0 or 1.
    """

    key: UUID
    amount: int = 0
    method: str = ""
    state: ChargeState = ChargeState.PROCESSING
    ref: str = ""
    reason: str = ""
    asked: int = 0
    charged: int = 0
    refunded: int = 0


class KeyReused(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The key was used with another amount or method."""


class NothingToRefund(WaitlineError):  # noqa: N818
    """The key was not charged, or with another amount."""


class Ledger:
    """All charges by key. Not for several threads.

    Args:
        file: Database file, created if missing; `None` keeps everything in memory.

    Raises:
        Misconfigured: The file cannot be opened, or is not a ledger.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._processing: dict[UUID, tuple[int, Charge]] = {}
        # Each statement is a transaction of its own.
        self._database = sqlite3.connect(file or ":memory:", isolation_level=None, timeout=1.0)
        try:
            for statement in (*_PRAGMAS, _TABLE):
                self._database.execute(statement)
            (last,) = self._database.execute("SELECT max(number) FROM charge").fetchone()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise Misconfigured(f"cannot use {file} as a ledger: {error}") from None
        self._last_number: int = last or 0

    def find_charge(self, key: UUID) -> Charge | None:
        """Return a charge, or `None` for an unknown key."""
        if key in self._processing:
            return self._processing[key][1]
        row = self._database.execute("SELECT * FROM charge WHERE key = ?", (key.bytes,)).fetchone()
        return None if row is None else _charge(row)

    def latest_charges(self, count: int) -> list[Charge]:
        """Return the charges that were requested last, oldest first."""
        settled = self._database.execute(
            "SELECT * FROM charge ORDER BY number DESC LIMIT ?", (count,)
        )
        numbered = [(row[0], _charge(row)) for row in settled]
        numbered += self._processing.values()
        numbered.sort(key=lambda one: one[0])
        return [charge for _, charge in numbered[-count:]]

    def begin_charge(self, key: UUID, amount: int, method: str) -> tuple[Charge, bool]:
        """Record a request to charge.

        Returns:
            The charge, and whether it is new. A new one is PROCESSING until `complete_charge` or
            `decline_charge`; the caller limits how many are.

        Raises:
            KeyReused: The key is known with another amount or method.
        """
        known = self.find_charge(key)
        if known is None:
            charge = Charge(key, amount, method, asked=1)
            self._processing[key] = (self._next_number(), charge)
            return charge, True
        known.asked += 1
        if key not in self._processing:
            self._database.execute("UPDATE charge SET asked = asked + 1 WHERE key = ?", [key.bytes])
        described = (known.amount, known.method)
        if known.state is not ChargeState.CLOSED and described != (amount, method):
            raise KeyReused
        return known, False

    def complete_charge(self, charge: Charge) -> None:
        """Make the charge."""
        charge.charged += 1
        charge.ref = f"sandbox-{charge.key.hex}"
        charge.state = ChargeState.CHARGED
        self._settle(charge)

    def decline_charge(self, charge: Charge, reason: str) -> None:
        """Decline the charge for good."""
        charge.reason = reason
        charge.state = ChargeState.DECLINED
        self._settle(charge)

    def close_charge(self, key: UUID) -> Charge:
        """Return a charge; an unknown key becomes CLOSED and is never charged."""
        charge = self.find_charge(key)
        if charge is None:
            closed = ChargeState.CLOSED
            charge = Charge(key, state=closed, reason="closed before it was asked for")
            self._insert(self._next_number(), charge)
        return charge

    def refund_charge(self, key: UUID, amount: int) -> tuple[Charge, bool]:
        """Refund a charge.

        Returns:
            The charge, and whether this was the first time.

        Raises:
            NothingToRefund: The key was not charged, or with another amount.
        """
        refunded = self._database.execute(
            "UPDATE charge SET state = 'REFUNDED', refunded = refunded + 1 "
            "WHERE key = ? AND amount = ? AND state = 'CHARGED' RETURNING *",
            (key.bytes, amount),
        ).fetchall()
        if refunded:
            return _charge(refunded[0]), True
        charge = self.find_charge(key)
        if charge is None or (charge.amount, charge.state) != (amount, ChargeState.REFUNDED):
            raise NothingToRefund
        return charge, False

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _settle(self, charge: Charge) -> None:
        number, _ = self._processing[charge.key]
        self._insert(number, charge)
        del self._processing[charge.key]

    def _insert(self, number: int, charge: Charge) -> None:
        """Commit a settled charge, and drop those beyond `CHARGES_MAX`."""
        members = msgspec.structs.astuple(charge)[1:]
        self._database.execute(
            "INSERT INTO charge VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, charge.key.bytes, *members),
        )
        oldest = self._last_number - CHARGES_MAX
        if oldest > 0:
            self._database.execute("DELETE FROM charge WHERE number <= ?", (oldest,))


def _charge(row: tuple[Any, ...]) -> Charge:
    """Return a row as a charge; its columns are in the order of the members."""
    _, key, amount, method, state, *rest = row
    return Charge(UUID(bytes=key), amount, method, ChargeState(state), *rest)
