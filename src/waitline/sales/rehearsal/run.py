"""Run one rehearsal, from the preflight check to the cleanup, which always runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import Any, TypeVar

import uvloop

from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.ids import RoomId
from waitline.payment_providers.registry import PROVIDERS, Registration
from waitline.queue.limits import LIMIT_SETTINGS
from waitline.queue.settings import Rules
from waitline.sales.histogram import Histogram
from waitline.sales.http_client import HttpClient
from waitline.sales.rehearsal import stage, verdict, watch
from waitline.sales.rehearsal.plan import RehearsalPlan
from waitline.sales.rehearsal.stage import Removed, Settled, Stage
from waitline.sales.rehearsal.tally import VisitorTally
from waitline.sales.rehearsal.verdict import Findings
from waitline.sales.rehearsal.visitors import RehearsalCrowd
from waitline.sales.rehearsal.watch import RoomSample, Watch

DRAIN_S = 1_800.0
"""Longest time from the last arrival to the end, in s. Longer waits would show nothing more."""

OnSample = Callable[[RoomSample], None]
Audit = Callable[[], Sequence[str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RehearsalTarget:
    """The installation that a rehearsal runs against.

    Attributes:
        queue_url: Address of the queue service.
        booking_url: Address of the booking service.
        store_url: Address of Valkey.
        database_url: Address of PostgreSQL.
        operator_key: Key of the operator API.
        rules: Settings of the rehearsal's room.
        like: The room that they were taken from; `None` for those of new rooms.
    """

    queue_url: str
    booking_url: str
    store_url: str
    database_url: str
    operator_key: str
    rules: Rules
    like: str | None


@dataclass(frozen=True, slots=True)
class RehearsalOutcome:
    """The outcome of a rehearsal.

    Attributes:
        room: Room of the rehearsal.
        mode: Mode of the booking service.
        payments: Payment provider.
        settled: Final state in Valkey and PostgreSQL.
        tally: Latencies, refusals and outcomes as the visitors saw them.
        samples: Samples of the room, one per second.
        found: The figures that the verdict is based on.
        removed: What the cleanup removed.
    """

    room: RoomId
    mode: str
    payments: str
    settled: Settled
    tally: VisitorTally
    samples: list[RoomSample]
    found: Findings
    removed: Removed

    @property
    def reasons(self) -> list[str]:
        """Reasons for a no-go; empty for a go."""
        return verdict.reasons(self.found)


@dataclass(frozen=True, slots=True)
class _Played:
    tally: VisitorTally
    samples: list[RoomSample]
    silences: int
    busy: float


def run_rehearsal(
    plan: RehearsalPlan, there: RehearsalTarget, on_progress: OnSample, audited: Audit, rng: Random
) -> RehearsalOutcome:
    """Rehearse a sale, and clean up however it ends.

    Args:
        plan: The parameters of the rehearsal.
        there: The installation to rehearse on.
        on_progress: Receives a sample of the room each second.
        audited: Audits the box office, and returns the findings as text.
        rng: Random generator for arrivals and behaviour.

    Raises:
        Misconfigured: The installation takes real money, or another rehearsal exists.
        Unavailable: A service or a store does not answer.
    """
    provider, mode = asyncio.run(_preflight(there))
    room = stage.room_name(SystemClock().now_ms())
    try:
        schedule = _with_stage(there, lambda on: on.put_up(room, there.rules, plan.seats))
        played = uvloop.run(
            _played(plan, there, room, schedule, PROVIDERS[provider], on_progress, rng)
        )
        settled = _with_stage(there, lambda on: on.settled(room))
        findings = [*settled.findings, *audited()]
    finally:
        removed = clear(there.store_url, there.database_url)
    return RehearsalOutcome(
        room=room,
        mode=mode,
        payments=provider,
        settled=settled,
        tally=played.tally,
        samples=played.samples,
        found=_found(plan, played, settled, findings),
        removed=removed,
    )


def clear(store_url: str, database_url: str) -> Removed:
    """Remove the rooms and concerts of all rehearsals.

    Raises:
        Unavailable: Something could not be removed; the message says what to do.
    """

    async def run() -> Removed:
        async with stage.opened(store_url, database_url) as there:
            return await there.clear()

    try:
        return asyncio.run(run())
    except (Unavailable, KeyboardInterrupt) as error:
        raise Unavailable(
            f"the rehearsal was not cleaned up completely ({str(error) or 'stopped'}): "
            "`waitline rehearse --clean` removes the rest"
        ) from None


async def _preflight(there: RehearsalTarget) -> tuple[str, str]:
    """Run the preflight check; return the payment provider and the mode."""
    queue, office = HttpClient(there.queue_url), HttpClient(there.booking_url)
    try:
        answer = await queue.request("GET", "/actuator/health/readiness")
        if answer.status != HTTPStatus.OK:
            raise Unavailable(f"{queue.url} is not ready (HTTP {answer.status})")
        provider, mode = await stage.payments(office, there.operator_key)
    finally:
        queue.close()
        office.close()
    async with stage.opened(there.store_url, there.database_url) as on:
        others = await on.rehearsals()
    if others:
        raise Misconfigured(
            f"{', '.join(sorted(others)[:3])}: another rehearsal is running, or was not cleaned "
            "up. `waitline rehearse --clean` removes it"
        )
    return provider, mode


def _with_stage(there: RehearsalTarget, use: Callable[[Stage], Awaitable[T]]) -> T:
    async def run() -> T:
        async with stage.opened(there.store_url, there.database_url) as on:
            return await use(on)

    return asyncio.run(run())


async def _played(  # noqa: PLR0917 - the parameters of one run
    plan: RehearsalPlan,
    there: RehearsalTarget,
    room: RoomId,
    schedule: int,
    provider: Registration,
    on_progress: OnSample,
    rng: Random,
) -> _Played:
    tally = VisitorTally()
    queue, office = HttpClient(there.queue_url), HttpClient(there.booking_url)
    crowd = RehearsalCrowd(
        plan,
        room=room,
        schedule=schedule,
        queue=queue,
        office=office,
        provider=provider,
        tally=tally,
        rng=rng,
    )
    started_s, used_s = time.perf_counter(), time.process_time()
    async with stage.opened(there.store_url, there.database_url) as on:
        watcher = Watch(on, room, tally, on_progress)
        watching = asyncio.create_task(watcher.run())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(plan.over_s + DRAIN_S):
                    await crowd.come()
        finally:
            took_s, used_s = time.perf_counter() - started_s, time.process_time() - used_s
            await asyncio.sleep(watch.LOOK_S)
            watching.cancel()
            queue.close()
            office.close()
    return _Played(tally, watcher.samples, watcher.silences, used_s / took_s)


def _found(
    plan: RehearsalPlan, played: _Played, settled: Settled, findings: Sequence[str]
) -> Findings:
    tally, totals = played.tally, settled.sale_totals.totals
    return Findings(
        visitors=plan.visitors,
        done=tally.done,
        calls=tally.calls(),
        refused=tally.refused,
        freed_p95_ms=tally.freed.quantile_ms(0.95),
        overtaken=settled.survey.counters["overtaken"],
        twice=tally.twice,
        acknowledged=sum(tally.sold.values()),
        noted=totals.confirmed,
        under_way=settled.under_way,
        findings=findings,
        silences=played.silences,
        late_p99_ms=tally.late.quantile_ms(0.99) or 0.0,
        busy=played.busy,
    )


def figures(
    outcome: RehearsalOutcome, plan: RehearsalPlan, there: RehearsalTarget
) -> dict[str, Any]:
    """Return all figures, in a form that JSON can hold."""
    tally, settled, found = outcome.tally, outcome.settled, outcome.found
    counters = settled.survey.counters
    return {
        "go": not outcome.reasons,
        "reasons": outcome.reasons,
        "visitors": plan.visitors,
        "seats": plan.seats,
        "minutes": plan.minutes,
        "room": outcome.room,
        "like": there.like,
        "limits": {
            setting.wire: setting.to_wire(getattr(there.rules.limits, setting.name))
            for setting in LIMIT_SETTINGS
        },
        "mode": outcome.mode,
        "payments": outcome.payments,
        "calls": [
            {**call, "p95_limit_ms": verdict.P95_MS.get(call["call"])} for call in found.calls
        ],
        "refusals": {f"{call} {code}": n for (call, code), n in sorted(tally.refused.items())},
        "outcomes": dict(tally.outcomes),
        "wait_ms": _quantiles(tally.waits),
        "journey_ms": _quantiles(tally.journeys),
        "slot_freed_ms": _quantiles(tally.freed),
        "entered": counters["entered"],
        "admitted": counters["admitted"],
        "overtaken": counters["overtaken"],
        "sold_twice": tally.twice,
        "drained_s": watch.drained_s(outcome.samples, there.rules.limits),
        "most_waiting": max((sample.waiting for sample in outcome.samples), default=0),
        "most_inside": max((sample.inside for sample in outcome.samples), default=0),
        "limited_by_s": watch.limited(outcome.samples, there.rules.limits),
        "sold": settled.sale_totals.totals._asdict(),
        "findings": list(found.findings),
        "generator": {
            "late_p99_ms": found.late_p99_ms,
            "busy": round(found.busy, 3),
            "was_the_limit": found.outrun,
        },
        "removed": outcome.removed._asdict(),
    }


def _quantiles(times: Histogram) -> dict[str, float | None]:
    return {f"p{share}": times.quantile_ms(share / 100) for share in (50, 95, 99)}
