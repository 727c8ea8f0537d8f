"""Ledger of the sandbox in SQLite: a unique key per charge, so that each is charged at most once.

A settled charge is committed before the answer is sent, so it survives `kill -9`, as at a real
provider. Charges in progress are in memory only; a restart forgets them.

Statements run on the event loop: a commit takes about 50 us, no more than a hand-over to a thread.
"""

import sqlite3
import time
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from waitline.kernel.errors import Misconfigured, WaitlineError
from waitline.payment_providers.model import DisputeState, Money, RefundState

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

# Columns of later versions, added to an older ledger when it is opened.
_LATER = {
    "taken": "INTEGER NOT NULL DEFAULT 0",
    "returned": "INTEGER NOT NULL DEFAULT 0 CHECK (returned <= taken)",
    "currency": "TEXT NOT NULL DEFAULT 'KRW'",
    "refund": "TEXT NOT NULL DEFAULT ''",
    "dispute": "TEXT NOT NULL DEFAULT ''",
    "at_ms": "INTEGER NOT NULL DEFAULT 0",
    "event": "TEXT NOT NULL DEFAULT 'charge'",
    "priced_in": "TEXT NOT NULL DEFAULT 'KRW'",
}


class ChargeState(StrEnum):
    """State of a charge. Only PROCESSING changes without a request.

    AUTHENTICATING: the visitor must confirm. REFUNDED: all that was taken was returned.
    """

    PROCESSING = "PROCESSING"
    AUTHENTICATING = "AUTHENTICATING"
    CHARGED = "CHARGED"
    DECLINED = "DECLINED"
    CLOSED = "CLOSED"
    REFUNDED = "REFUNDED"


class Charge(msgspec.Struct):
    """One charge, as in the sandbox's API and webhooks.

    Attributes:
        key: Idempotency key.
        amount: Requested amount, in minor units.
        method: Payment method.
        state: Its state.
        ref: The sandbox's id of the charge.
        reason: Why it was not charged.
        asked: Number of requests to charge it.
        charged: How often it was charged: 0 or 1.
        refunded: How often it was refunded as a whole: 0 or 1.
        taken: Amount charged, in minor units.
        returned: Amount refunded, in minor units.
        currency: Currency of `taken`, as ISO 4217 writes it.
        refund: State of the last refund: done, pending or failed; empty if there was none.
        dispute: State of a dispute: open, won or lost; empty if there was none.
        at_ms: When it was recorded, in ms since the epoch.
        event: What a webhook reports: charge, refund or dispute.
        priced_in: Currency of `amount`.
        number: Position in the list.
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
    taken: int = 0
    returned: int = 0
    currency: str = "KRW"
    refund: str = ""
    dispute: str = ""
    at_ms: int = 0
    event: str = "charge"
    priced_in: str = "KRW"
    number: int = 0


class KeyReused(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The key was used with another amount, currency or method."""


class NothingToRefund(WaitlineError):  # noqa: N818
    """The key was not charged, or with another amount."""


_MEMBERS = (
    "amount", "method", "state", "ref", "reason", "asked", "charged", "refunded", "taken",
    "returned", "currency", "refund", "dispute", "at_ms", "event", "priced_in",
)  # fmt: skip
_SELECT = f"SELECT number, key, {', '.join(_MEMBERS)} FROM charge "  # noqa: S608 - our columns


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
            known = {row[1] for row in self._database.execute("PRAGMA table_info(charge)")}
            for column, kind in _LATER.items():
                if column not in known:
                    self._database.execute(f"ALTER TABLE charge ADD COLUMN {column} {kind}")
            (last,) = self._database.execute("SELECT max(number) FROM charge").fetchone()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise Misconfigured(f"cannot use {file} as a ledger: {error}") from None
        self._last_number: int = last or 0

    def find_charge(self, key: UUID) -> Charge | None:
        """Return a charge, or `None` for an unknown key."""
        if key in self._processing:
            return self._processing[key][1]
        row = self._database.execute(_SELECT + "WHERE key = ?", (key.bytes,)).fetchone()
        return None if row is None else _charge(row)

    def charges_after(self, number: int, since_ms: int, count: int) -> list[Charge]:
        """Return settled charges that were recorded since a time, after a position in the list."""
        rows = self._database.execute(
            _SELECT + "WHERE number > ? AND at_ms >= ? ORDER BY number LIMIT ?",
            (number, since_ms, count),
        )
        return [_charge(row) for row in rows]

    def latest_charges(self, count: int) -> list[Charge]:
        """Return the charges that were requested last, oldest first."""
        settled = self._database.execute(_SELECT + "ORDER BY number DESC LIMIT ?", (count,))
        numbered = [(row[0], _charge(row)) for row in settled]
        numbered += self._processing.values()
        numbered.sort(key=lambda one: one[0])
        return [charge for _, charge in numbered[-count:]]

    def begin_charge(self, key: UUID, price: Money, method: str) -> tuple[Charge, bool]:
        """Record a request to charge.

        Returns:
            The charge, and whether it is new. A new one is PROCESSING until `complete_charge` or
            `decline_charge`; the caller limits how many are.

        Raises:
            KeyReused: The key is known with another amount, currency or method.
        """
        known = self.find_charge(key)
        if known is None:
            amount, currency = price
            charge = Charge(key, amount, method, asked=1, currency=currency, priced_in=currency)
            self._processing[key] = (self._next_number(), charge)
            return charge, True
        known.asked += 1
        if key not in self._processing:
            self._database.execute("UPDATE charge SET asked = asked + 1 WHERE key = ?", [key.bytes])
        described = (Money(known.amount, known.priced_in), known.method)
        if known.state is not ChargeState.CLOSED and described != (price, method):
            raise KeyReused
        return known, False

    def complete_charge(
        self, charge: Charge, *, more: int = 0, currency: str | None = None
    ) -> None:
        """Make the charge.

        Args:
            charge: The requested charge.
            more: How much more is taken.
            currency: Currency in which it is taken; `None` for that of the price.
        """
        _take(charge, more, currency or charge.priced_in)
        self._settle(charge)

    def authenticate_charge(self, charge: Charge) -> None:
        """Record that the charge waits for the visitor's confirmation."""
        charge.ref = _ref(charge)
        charge.state = ChargeState.AUTHENTICATING
        self._settle(charge)

    def confirm_charge(self, key: UUID, *, confirmed: bool) -> Charge | None:
        """Record the visitor's decision; return the charge, or `None` if it does not wait."""
        charge = self.find_charge(key)
        if charge is None or charge.state is not ChargeState.AUTHENTICATING:
            return None
        if confirmed:
            _take(charge, 0, charge.currency)
        else:
            charge.reason = "not authenticated"
            charge.state = ChargeState.DECLINED
        self._save(charge)
        return charge

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
        elif charge.state is ChargeState.AUTHENTICATING:
            charge.reason = "closed before it was authenticated"
            charge.state = ChargeState.CLOSED
            self._save(charge)
        return charge

    def refund_charge(
        self, key: UUID, amount: int, outcome: RefundState = RefundState.DONE
    ) -> tuple[Charge, bool]:
        """Refund a charge: what is left of it, once.

        Args:
            key: Key of the charge.
            amount: The whole charge.
            outcome: Outcome of the refund, if it is the first.

        Returns:
            The charge, and whether this was the first time.

        Raises:
            NothingToRefund: The key was not charged, or with another amount.
        """
        charge = self.find_charge(key)
        if charge is None or not charge.charged or charge.taken != amount:
            raise NothingToRefund
        if charge.refund:
            return charge, False
        return self.return_money(charge, charge.taken - charge.returned, outcome), True

    def return_money(self, charge: Charge, amount: int, outcome: RefundState) -> Charge:
        """Refund a part of a charge, or all of it, as in a provider's dashboard.

        Raises:
            NothingToRefund: Less than that is left of it.
        """
        if charge.state is not ChargeState.CHARGED or amount > charge.taken - charge.returned:
            raise NothingToRefund
        charge.event = "refund"
        if outcome is RefundState.DONE:
            charge.returned += amount
        if charge.returned == charge.taken:
            charge.state = ChargeState.REFUNDED
            charge.refunded = 1
            charge.refund = RefundState.DONE
        elif outcome is not RefundState.DONE:
            charge.refund = outcome
        self._save(charge)
        return charge

    def dispute_charge(self, charge: Charge, state: DisputeState) -> Charge:
        """Record that the visitor's bank disputes a charge, or has decided."""
        charge.event, charge.dispute = "dispute", state
        self._save(charge)
        return charge

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _save(self, charge: Charge) -> None:
        """Commit what has changed in a settled charge."""
        assigned = ", ".join(f"{name} = ?" for name in _MEMBERS)
        self._database.execute(
            f"UPDATE charge SET {assigned} WHERE key = ?",  # noqa: S608 - our columns
            (*(getattr(charge, name) for name in _MEMBERS), charge.key.bytes),
        )

    def _settle(self, charge: Charge) -> None:
        number, _ = self._processing[charge.key]
        self._insert(number, charge)
        del self._processing[charge.key]

    def _insert(self, number: int, charge: Charge) -> None:
        """Commit a settled charge, and drop those beyond `CHARGES_MAX`."""
        charge.number, charge.at_ms = number, time.time_ns() // 1_000_000
        values = [getattr(charge, name) for name in _MEMBERS]
        self._database.execute(
            f"INSERT INTO charge (number, key, {', '.join(_MEMBERS)}) "  # noqa: S608 - our columns
            f"VALUES (?, ?{', ?' * len(values)})",
            (number, charge.key.bytes, *values),
        )
        oldest = self._last_number - CHARGES_MAX
        if oldest > 0:
            self._database.execute("DELETE FROM charge WHERE number <= ?", (oldest,))


def _ref(charge: Charge) -> str:
    return f"sandbox-{charge.key.hex}"


def _take(charge: Charge, more: int, currency: str) -> None:
    charge.charged += 1
    charge.ref = _ref(charge)
    charge.taken, charge.currency = charge.amount + more, currency
    charge.state = ChargeState.CHARGED


def _charge(row: tuple[Any, ...]) -> Charge:
    """Return a row as a charge; its columns are in the order of `_SELECT`."""
    number, key, *members = row
    values = dict(zip(_MEMBERS, members, strict=True))
    values["state"] = ChargeState(values["state"])
    # Ledgers of earlier versions have small letters.
    values["currency"] = values["currency"].upper()
    return Charge(UUID(bytes=key), number=number, **values)
