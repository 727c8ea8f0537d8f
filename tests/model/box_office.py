"""Reference model of the box office: plain Python, one call at a time.

Time passes in spells, while somebody listens. A hold lasts for one spell and ends in the second,
and so does what a payment keeps. Nothing else ends one: steps of the clock and outages are not even
calls here. A reservation has also lapsed, or a payment outlasted its time, once that is said.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

SEATS = 6
SEATS_MAX = 3
PRICE = 100

# Spells after which a hold is over, and what a payment keeps.
HOLD_SPELLS = 2

# Later than any lapse that was said.
OF_ITSELF = 1_000


class Contents(NamedTuple):
    """All that is stored, in order of numbers."""

    seats: list[str]
    reservations: list[str]
    live: list[int]
    held: dict[int, int]
    payments: list[str]
    announced: list[int]


@dataclass(slots=True)
class Hold:
    """One reservation.

    Attributes:
        lapsed: When it lapsed, counted in lapses; 0 if it did not.
        paying: Whether an attempt to pay keeps its seats.
        spells: Spells of time since it was made.
        paying_spells: Spells of time since the payment was begun.
    """

    user: int
    seats: list[int]
    state: str = "PENDING"
    lapsed: int = 0
    paying: bool = False
    spells: int = 0
    paying_spells: int = 0

    @property
    def live(self) -> bool:
        return self.state in {"PENDING", "CONFIRMED"}

    @property
    def due(self) -> bool:
        """Whether it is the sweeper's."""
        return self.state == "PENDING" and self.lapsed > 0 and not self.paying

    @property
    def read(self) -> str:
        return "EXPIRED" if self.due else self.state


@dataclass(slots=True)
class Attempt:
    """One payment."""

    hold: Hold
    state: str = "PENDING"


@dataclass
class BoxOffice:
    """One schedule with seats 1 to `SEATS`; reservations and payments are numbered from 1."""

    holds: list[Hold] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    announced: list[int] = field(default_factory=list)
    lapses: int = 0

    def contents(self) -> Contents:
        users = {hold.user for hold in self.holds}
        return Contents(
            seats=[self._seat(number) for number in range(1, SEATS + 1)],
            reservations=[hold.state for hold in self.holds],
            live=[len(hold.seats) if hold.live else 0 for hold in self.holds],
            held={user: self._held(user) for user in sorted(users)},
            payments=[attempt.state for attempt in self.attempts],
            announced=self.announced,
        )

    def reserve(self, user: int, seats: list[int]) -> str:
        if max(seats) > SEATS:
            return "SeatUnknown"
        taken = {number for number in seats if self._seat(number) != "AVAILABLE"}
        if taken:
            own = {n for hold in self.holds if hold.user == user and hold.live for n in hold.seats}
            return "OwnHold" if taken <= own else "SeatTaken"
        if self._held(user) + len(seats) > SEATS_MAX:
            return "TooManySeats"
        self.holds.append(Hold(user, seats))
        return "PENDING"

    def find(self, number: int, user: int) -> str:
        hold = self._hold(number)
        return self._refused(hold, user) or hold.read

    def cancel(self, number: int, user: int) -> str:
        hold = self._hold(number)
        refused = self._refused(hold, user)
        if refused:
            return refused
        if not hold.live or hold.due:
            return "ReservationOver"
        if hold.state == "PENDING" and hold.paying:
            return "PaymentRunning"
        before, hold.state, hold.paying = hold.state, "CANCELLED", False
        for attempt in self.attempts:
            if attempt.hold is hold and attempt.state == "COMPLETED":
                attempt.state = "REFUNDING"
        return before

    def lapse(self, number: int) -> int:
        """Let its time be over; return how many lapsed before, itself included."""
        self.lapses += 1
        if number <= len(self.holds):
            self._hold(number).lapsed = self.lapses
        return self.lapses

    def listen(self) -> None:
        """Let a spell of time pass while somebody listens."""
        for number, hold in enumerate(self.holds, start=1):
            hold.spells += 1
            hold.paying_spells += 1
            if hold.spells == HOLD_SPELLS and not hold.lapsed:
                hold.lapsed = OF_ITSELF + number
            if hold.paying_spells >= HOLD_SPELLS:
                hold.paying = False

    def outlast(self, number: int) -> None:
        """Let a payment take too long."""
        if number <= len(self.holds):
            self._hold(number).paying = False

    def expire(self, chunk_max: int) -> list[int]:
        due = [number for number, hold in enumerate(self.holds, start=1) if hold.due]
        due = sorted(due, key=lambda number: self._hold(number).lapsed)[:chunk_max]
        for number in due:
            self._hold(number).state = "EXPIRED"
        return sorted(due)

    def begin(self, number: int, user: int, amount: int) -> str:  # noqa: PLR0911 - as many words
        if number > len(self.holds):
            return "unknown"
        hold = self._hold(number)
        if hold.user != user:
            return "foreign"
        if hold.state != "PENDING":
            return hold.state.lower()
        if hold.lapsed:
            return "lapsed"
        if amount != PRICE * len(hold.seats):
            return "amount"
        if any(attempt.hold is hold and attempt.state == "PENDING" for attempt in self.attempts):
            return "running"
        self.attempts.append(Attempt(hold))
        hold.paying, hold.paying_spells = True, 0
        return "begun"

    def confirm(self, number: int) -> str:
        attempt = self.attempts[number - 1]
        if attempt.state == "PENDING" and attempt.hold.state == "PENDING":
            attempt.state, attempt.hold.state, attempt.hold.paying = "COMPLETED", "CONFIRMED", False
            self.announced.append(number)
        elif attempt.state in {"PENDING", "FAILED"}:
            attempt.state = "REFUNDING"
        return attempt.state

    def fail(self, number: int) -> bool:
        attempt = self.attempts[number - 1]
        if attempt.state != "PENDING":
            return False
        attempt.state, attempt.hold.paying = "FAILED", False
        return True

    def refunded(self, number: int) -> bool:
        attempt = self.attempts[number - 1]
        if attempt.state != "REFUNDING":
            return False
        attempt.state = "REFUNDED"
        return True

    def unsettled(self) -> list[int]:
        return [
            number
            for number, attempt in enumerate(self.attempts, start=1)
            if attempt.state in {"PENDING", "REFUNDING"}
        ]

    def _hold(self, number: int) -> Hold:
        return self.holds[number - 1] if number <= len(self.holds) else Hold(0, [])

    @staticmethod
    def _refused(hold: Hold, user: int) -> str:
        if not hold.user:
            return "ReservationUnknown"
        return "" if hold.user == user else "ReservationForeign"

    def _seat(self, number: int) -> str:
        states = [hold.state for hold in self.holds if hold.live and number in hold.seats]
        assert len(states) <= 1
        return (
            {"PENDING": "RESERVED", "CONFIRMED": "OCCUPIED"}[states[0]] if states else "AVAILABLE"
        )

    def _held(self, user: int) -> int:
        held = Counter[int]()
        for hold in self.holds:
            held[hold.user] += len(hold.seats) if hold.live else 0
        return held[user]
