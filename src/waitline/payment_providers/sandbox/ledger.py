"""What the sandbox has charged: each key once, whatever is asked how often.

With a file, what was charged survives a restart, as it does at a provider: one line of JSON for
each change, the last of a key is the one that counts.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TextIO
from uuid import UUID

import msgspec

from waitline.kernel.errors import WaitlineError

CHARGES_MAX = 200_000
"""Charges that are remembered, about 100 MB. Beyond it the oldest is forgotten: it could be charged
again, so it must be older than any reconciler's patience."""


class ChargeState(StrEnum):
    """Where a charge stands. PROCESSING is the only one that may still become another by itself."""

    PROCESSING = "PROCESSING"
    CHARGED = "CHARGED"
    DECLINED = "DECLINED"
    CLOSED = "CLOSED"
    REFUNDED = "REFUNDED"


class Charge(msgspec.Struct):
    """One key, as the sandbox tells of it.

    Attributes:
        key: Names it.
        amount: In minor units.
        method: How the visitor pays.
        state: Where it stands.
        ref: The sandbox's own name for it.
        reason: Why it was not charged.
        asked: How often somebody asked to charge it.
        charged: How often money was taken: never more than once.
        refunded: How often money was given back: never more than once.
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
    """The key names a charge of another amount or method."""


class NothingToRefund(WaitlineError):  # noqa: N818
    """The key names no charge that was made, or one of another amount."""


class Ledger:
    """All charges by key.

    Args:
        file: Where they are kept; `None` for in memory alone.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._charges: dict[UUID, Charge] = {}
        self._path = file
        self._file: TextIO | None = None
        self._lines = 0
        if file is not None:
            for charge in _read(file):
                self._remember(charge)
            self._rewrite(file)

    def find(self, key: UUID) -> Charge | None:
        """Return a charge, or `None` if nobody has asked for it."""
        return self._charges.get(key)

    def latest(self, count: int) -> list[Charge]:
        """Return the charges asked for last, oldest first."""
        return list(self._charges.values())[-count:]

    def ask(self, key: UUID, amount: int, method: str) -> tuple[Charge, bool]:
        """Note that somebody asks to charge.

        Returns:
            The charge, and whether it is new: then it is PROCESSING until `charge` or `decline`.

        Raises:
            KeyReused: As it says.
        """
        known = self._charges.get(key)
        charge = known or Charge(key, amount, method)
        charge.asked += 1
        if known is None:
            self._remember(charge)
        elif charge.state is not ChargeState.CLOSED and (known.amount, known.method) != (
            amount,
            method,
        ):
            raise KeyReused
        return charge, known is None

    def charge(self, charge: Charge) -> None:
        """Take the money."""
        charge.charged += 1
        charge.ref = f"sandbox-{charge.key.hex}"
        self._settle(charge, ChargeState.CHARGED)

    def decline(self, charge: Charge, reason: str) -> None:
        """Take no money, now or later."""
        charge.reason = reason
        self._settle(charge, ChargeState.DECLINED)

    def rule_out(self, key: UUID) -> Charge:
        """Return a charge; one that nobody has asked for will never be made."""
        charge = self._charges.get(key)
        if charge is None:
            charge = Charge(key, reason="closed before it was asked for")
            self._remember(charge)
            self._settle(charge, ChargeState.CLOSED)
        return charge

    def refund(self, key: UUID, amount: int) -> tuple[Charge, bool]:
        """Give the money back.

        Returns:
            The charge, and whether this was the first time.

        Raises:
            NothingToRefund: As it says.
        """
        charge = self._charges.get(key)
        if charge is None or charge.amount != amount:
            raise NothingToRefund
        if charge.state is ChargeState.REFUNDED:
            return charge, False
        if charge.state is not ChargeState.CHARGED:
            raise NothingToRefund
        charge.refunded += 1
        self._settle(charge, ChargeState.REFUNDED)
        return charge, True

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _remember(self, charge: Charge) -> None:
        self._charges[charge.key] = charge
        if len(self._charges) > CHARGES_MAX:
            del self._charges[next(iter(self._charges))]

    def _settle(self, charge: Charge, state: ChargeState) -> None:
        charge.state = state
        if self._path is None or self._file is None:
            return
        self._write(charge)
        if self._lines > 2 * CHARGES_MAX:
            self._rewrite(self._path)

    def _write(self, charge: Charge) -> None:
        assert self._file is not None
        self._file.write(msgspec.json.encode(charge).decode() + "\n")
        self._file.flush()
        self._lines += 1

    def _rewrite(self, path: Path) -> None:
        """Begin the file anew with one line for each charge."""
        if self._file is not None:
            self._file.close()
        draft = path.with_suffix(".new")
        self._file, self._lines = draft.open("w", encoding="utf-8"), 0
        for charge in self._charges.values():
            if charge.state is not ChargeState.PROCESSING:
                self._write(charge)
        draft.replace(path)


def _read(file: Path) -> Iterator[Charge]:
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=Charge)
            except msgspec.DecodeError:
                # The process died while it wrote this line: nobody was told of it.
                continue
