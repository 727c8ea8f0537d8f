"""Mode of an installation: a property of its data, which both stores hold. Pure.

A store gets its mode at the first start on it. Starting in another mode is refused, so that a
forgotten option never exposes real sales. `waitline mode set` changes it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from waitline.kernel.errors import WaitlineError


class DataMode(StrEnum):
    """What may be done with the data of a store."""

    TRIAL = "trial"
    PRODUCTION = "production"


class OtherMode(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The data in a store belongs to another mode; the message is one line with the remedy."""


class StoredMode(NamedTuple):
    """The mode that a store holds, and the evidence for one if it holds none.

    Attributes:
        store: Name of the store, as it begins a sentence: `Valkey`, `The database`.
        mode: Its mode; `None` if none was ever written.
        owned: What an operator may have created, counted for display: `3 rooms`.
        tried: What only a trial creates, counted for display: `the demo concert`.
    """

    store: str
    mode: DataMode | None
    owned: Sequence[str] = ()
    tried: Sequence[str] = ()

    def require(self, wanted: DataMode) -> None:
        """Check that a process of a mode may use the data.

        Data without a mode is from before this rule, or from a store that lost its mode. It gets
        the mode of the first start only where that exposes or hides nothing.

        Raises:
            OtherMode: It may not; the message says what to do.
        """
        change = f"`waitline mode set {wanted}` changes it, and first says what it deletes"
        if self.mode is not None and self.mode is not wanted:
            raise OtherMode(
                f"{self.store} holds the data of an installation in {self.mode} mode, and this is "
                f"{wanted} mode: start with --mode {self.mode}, or change the mode; {change}"
            )
        if self.mode is None and wanted is DataMode.TRIAL and self.owned:
            start = "" if self.tried else "start with --mode production; "
            raise OtherMode(
                f"{self.store} holds {_listed(self.owned)} without a mode, so it may be in "
                f"production: {start}if all of it is test data, {change}"
            )
        if self.mode is None and wanted is DataMode.PRODUCTION and self.tried:
            start = "" if self.owned else "start with --mode trial, or "
            raise OtherMode(
                f"{self.store} holds {_listed(self.tried)} without a mode, so it was in trial "
                f"mode: {start}change the mode; {change}"
            )


def _listed(parts: Sequence[str]) -> str:
    """Join parts of a sentence: `3 rooms, 2 concerts and 1 booking`."""
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last
