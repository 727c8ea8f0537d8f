"""Stopped schedules: cancelled with all refunds, or postponed.

A stop is one row: no reservation is made after it. What was reserved or sold before is ended in
chunks, by every worker and by the command that stopped it; a process that is killed leaves the rest
to the others. Each chunk makes payments REFUNDING, and the reconciler (`settlement.py`) refunds
them through the provider until it has, with backoff. A payment in progress at the stop keeps its
reservation until it is settled, and is then refunded like the others.
"""

from datetime import datetime
from typing import NamedTuple, Never

import structlog

from waitline.booking.catalogue_edits import forget_changes
from waitline.booking.catalogue_model import ScheduleUnknown
from waitline.booking.model import ScheduleStopped
from waitline.booking.sale_state import ScheduleState
from waitline.kernel.clock import Clock, SystemClock
from waitline.kernel.errors import Refused
from waitline.kernel.instants import Instant
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import Database

REASON_CHARS_MAX = 200
"""Longest reason of a stop. Source: migrations/0010_rules_of_sale.sql."""

CHUNK_MAX = 100
"""Reservations ended in one statement, as many as the sweeper's: it locks their rows for about
60 ms."""

TICK_S = 1.0
"""Between two rounds, so that unpaid seats are given up within about a second of the stop."""

SCHEDULES_MAX = 20
"""Schedules worked on in one round; the others follow in the next."""

LATE_S = 60.0
"""How long after a stop reservations are still looked for, in s. A statement that began before it
may add one; statements are cut off after a few seconds."""

LOOKS_MAX = 6
"""Attempts to refund after which a refund needs an operator's attention."""

SHOWN_MAX = 200
"""Failed refunds listed: more than an operator handles in one sitting. The count covers all."""

CHUNK_S = 10.0
"""Timeout of one chunk and of the count: both read every seat of a schedule."""

REFUND_YEARS_MAX = 5
"""Latest refund deadline of a postponed schedule, in years from now; a later one is a typing error.
Until then all its tickets can be given back."""

_YEAR_MS = 366 * 86_400_000

log = structlog.get_logger()


class RefundDeadlineImpossible(Refused):
    """The refund deadline of a postponed schedule is in the past, or too far away.

    Attributes:
        past: Whether it is in the past.
    """

    def __init__(self, *, past: bool) -> None:
        super().__init__(past)
        self.past = past


def check_refund_deadline(refund_until: datetime, now_ms: int) -> None:
    """Check the refund deadline of a postponed schedule.

    Raises:
        RefundDeadlineImpossible: It is in the past, or more than `REFUND_YEARS_MAX` years away.
    """
    ahead_ms = Instant.of(refund_until).at_ms - now_ms
    if not 0 < ahead_ms <= REFUND_YEARS_MAX * _YEAR_MS:
        raise RefundDeadlineImpossible(past=ahead_ms <= 0)


class ScheduleNotPostponed(Refused):
    """Only a postponed schedule can resume its sale.

    Attributes:
        state: What it is.
    """

    def __init__(self, state: ScheduleState) -> None:
        super().__init__(state)
        self.state = state


class EndedChunk(NamedTuple):
    """What one statement has done.

    Attributes:
        live: Reservations that were left before.
        ended: How many of them were ended.
        refunding: How many of these are refunded.
        settled: Whether none is left, and none can follow.
    """

    live: int
    ended: int
    refunding: int
    settled: bool


class StopProgress(NamedTuple):
    """Progress of ending a stopped schedule.

    Attributes:
        schedule_id: The schedule.
        state: Its state.
        state_reason: What the operator gave as the reason.
        state_at: Time of the last change of state.
        refund_until: Until when buyers of a postponed one may give their tickets back.
        settled_at: When the last reservation was ended; `None` if some are left.
        pending: Reservations that are not paid for.
        sold: Reservations that are paid for, complimentary ones among them.
        paying: Payments in progress.
        refunds: Refunds due because of the stop.
        refunded: How many of them the provider has made.
        failed: How many of them need an operator's attention.
        amount: Sum of the refunds, in minor units.
        amount_refunded: Sum of those that were made.
    """

    schedule_id: int
    state: ScheduleState
    state_reason: str | None
    state_at: datetime | None
    refund_until: datetime | None
    settled_at: datetime | None
    pending: int
    sold: int
    paying: int
    refunds: int
    refunded: int
    failed: int
    amount: int
    amount_refunded: int

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.settled_at is not None and self.refunded == self.refunds and not self.paying


class FailedRefund(NamedTuple):
    """A refund that the provider has not made after several attempts.

    Attributes:
        payment_id: The payment.
        reservation_id: The reservation.
        user_id: Who paid.
        amount: In minor units.
        flag: What the provider reports; `None` if it did not answer.
        looks: Attempts.
        provider_ref: The provider's id of the charge.
        refund_due_at: Since when it is due.
    """

    payment_id: int
    reservation_id: int
    user_id: str
    amount: int
    flag: str | None
    looks: int
    provider_ref: str | None
    refund_due_at: datetime | None


class ScheduleStops:
    """Stops schedules, and ends their reservations.

    Args:
        database: Holds them.
        late_s: As `LATE_S`.
        clock: Gives the time with which refund deadlines are compared.
    """

    def __init__(
        self, database: Database, *, late_s: float = LATE_S, clock: Clock | None = None
    ) -> None:
        self._database = database
        self._late_s = late_s
        self._clock = clock or SystemClock()

    async def cancel(self, schedule: int, reason: str | None, *, who: str) -> bool:
        """Cancel a schedule; return whether it was not cancelled before.

        Args:
            schedule: The schedule.
            reason: Reason that buyers see, 1 to `REASON_CHARS_MAX` characters.
            who: Who cancels it, for the log.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        return (await self._stop(schedule, ScheduleState.CANCELLED, reason, None, who))[1]

    async def postpone(
        self, schedule: int, reason: str | None, refund_until: datetime, *, who: str
    ) -> bool:
        """Postpone a schedule; return whether anything has changed.

        Args:
            schedule: The schedule.
            reason: As in `cancel`.
            refund_until: Until when buyers may give their tickets back.
            who: Who postpones it, for the log.

        Raises:
            ScheduleUnknown: There is no such schedule.
            ScheduleStopped: It is cancelled.
            RefundDeadlineImpossible: `refund_until` is in the past, or years away.
        """
        check_refund_deadline(refund_until, self._clock.now_ms())
        before, changed = await self._stop(
            schedule, ScheduleState.POSTPONED, reason, refund_until, who
        )
        if before is ScheduleState.CANCELLED:
            raise ScheduleStopped(before)
        return changed

    async def resume(self, schedule: int, *, who: str) -> None:
        """Put a postponed schedule on sale again.

        Args:
            schedule: The schedule.
            who: Who resumes it, for the log.

        Raises:
            ScheduleUnknown: There is no such schedule.
            ScheduleNotPostponed: It is cancelled, or on sale.
        """
        row = await self._database.fetch_one("resume_schedule", schedule_id=schedule, who=who)
        if row is None:
            raise ScheduleUnknown
        await forget_changes(self._database)
        before = ScheduleState(row["before"])
        if before is not ScheduleState.POSTPONED:
            raise ScheduleNotPostponed(before)

    async def _stop(
        self,
        schedule: int,
        state: ScheduleState,
        reason: str | None,
        until: datetime | None,
        who: str,
    ) -> tuple[ScheduleState, bool]:
        row = await self._database.fetch_one(
            "stop_schedule",
            schedule_id=schedule,
            state=state,
            reason=reason,
            refund_until=until,
            who=who,
        )
        if row is None:
            raise ScheduleUnknown
        await forget_changes(self._database)
        return ScheduleState(row["before"]), row["changed"]

    async def end_chunk(self, schedule: int) -> EndedChunk:
        """End at most `CHUNK_MAX` reservations of a stopped schedule.

        Raises:
            ScheduleUnknown: There is no such schedule, or it is not stopped.

        Invariant:
            B10.
        """
        row = await self._database.fetch_one(
            "end_reservations",
            within_s=CHUNK_S,
            schedule_id=schedule,
            chunk_max=CHUNK_MAX,
            late_s=self._late_s,
        )
        if row is None:
            raise ScheduleUnknown
        return EndedChunk(row["live"], row["ended"], row["refunding"], row["settled"])

    async def progress(self, schedule: int) -> StopProgress:
        """Count the ended reservations and the refunds of a schedule.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        row = await self._database.fetch_one(
            "stop_progress", within_s=CHUNK_S, schedule_id=schedule, looks_max=LOOKS_MAX
        )
        if row is None:
            raise ScheduleUnknown
        values = {name: row[name] for name in StopProgress._fields}
        return StopProgress(**values)._replace(state=ScheduleState(row["state"]))

    async def failed(self, schedule: int) -> list[FailedRefund]:
        """Return at most `SHOWN_MAX` refunds that need attention, the oldest first."""
        rows = await self._database.fetch_all(
            "failed_refunds",
            within_s=CHUNK_S,
            schedule_id=schedule,
            looks_max=LOOKS_MAX,
            rows_max=SHOWN_MAX,
        )
        return [FailedRefund(**{name: row[name] for name in FailedRefund._fields}) for row in rows]

    async def run(self) -> Never:
        """Process stopped schedules until cancelled."""
        await periodic("schedule_stop", self.work, TICK_S)

    async def work(self) -> bool:
        """End a chunk of each stopped schedule; return whether there may be more."""
        rows = await self._database.fetch_all("unsettled_schedules", schedules_max=SCHEDULES_MAX)
        ended = 0
        for row in rows:
            schedule = row["schedule_id"]
            try:
                chunk = await self.end_chunk(schedule)
            except ScheduleUnknown:
                # Put on sale again, or deleted, since it was listed.
                continue
            ended += chunk.ended
            if chunk.ended or chunk.settled:
                log.info(
                    "schedule_settling",
                    schedule=schedule,
                    live=chunk.live,
                    ended=chunk.ended,
                    refunding=chunk.refunding,
                    settled=chunk.settled,
                )
        return ended > 0
