"""The supervised loop: its pace, its failure policy, its log lines."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from waitline.kernel.errors import Unavailable
from waitline.kernel.periodic import (
    BUG_MAX_S,
    LINES_MAX,
    LINES_WITHIN_S,
    RETRY_S,
    UNAVAILABLE_MAX_S,
    periodic,
)

NAME = "seat_expiry"
EVERY_S = 0.25

Outcome = bool | Exception | None
Lines = list[tuple[str, str]]


class Ended(BaseException):
    """All rounds are done."""


class Rounds:
    """Runs the loop on a clock of its own, a round per outcome; a round takes `takes_s`."""

    def __init__(self, outcomes: Sequence[Outcome], *, takes_s: float = 0.0) -> None:
        self._outcomes = iter(outcomes)
        self._takes_s = takes_s
        self._now_s = 100.0
        self.started_s: list[float] = []
        self.pauses_s: list[float] = []

    async def _step(self) -> bool | None:
        self.started_s.append(self._now_s)
        self._now_s += self._takes_s
        outcome = next(self._outcomes, Ended())
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def _sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self._now_s += seconds

    def run(self, every_s: float = EVERY_S, seed: int = 1) -> Lines:
        async def run() -> None:
            await periodic(
                NAME,
                self._step,
                every_s,
                now_s=lambda: self._now_s,
                sleep=self._sleep,
                rng=random.Random(seed),  # noqa: S311 - only jitter
            )

        with capture_logs() as logs, pytest.raises(Ended):
            asyncio.run(run())
        return [(line["event"], line["log_level"]) for line in logs]


def test_rounds_begin_at_the_interval() -> None:
    rounds = Rounds([None, False, None], takes_s=0.125)
    assert rounds.run() == []
    assert rounds.started_s == [100.0, 100.25, 100.5, 100.75]


@pytest.mark.parametrize(
    ("outcomes", "takes_s"),
    [
        pytest.param([True, True], 0.125, id="more to do"),
        pytest.param([None, None], 0.5, id="too long"),
    ],
)
def test_the_next_round_begins_at_once(outcomes: list[Outcome], takes_s: float) -> None:
    rounds = Rounds(outcomes, takes_s=takes_s)
    rounds.run()
    assert rounds.pauses_s == [0.0, 0.0]


@pytest.mark.parametrize(
    ("failure", "level", "max_s"),
    [
        pytest.param(lambda: Unavailable("gone"), "warning", UNAVAILABLE_MAX_S, id="unavailable"),
        pytest.param(
            lambda: ExceptionGroup("", [ExceptionGroup("", [Unavailable("gone")])]),
            "warning",
            UNAVAILABLE_MAX_S,
            id="unavailable in a group",
        ),
        pytest.param(lambda: ValueError("bug"), "error", BUG_MAX_S, id="bug"),
        pytest.param(
            lambda: ExceptionGroup("", [Unavailable("gone"), ValueError("bug")]),
            "error",
            BUG_MAX_S,
            id="bug in a group",
        ),
    ],
)
def test_a_failure_and_its_end_are_logged_once(
    failure: Callable[[], Exception], level: str, max_s: float
) -> None:
    rounds = Rounds([None, *(failure() for _ in range(20)), None, None])
    assert rounds.run() == [(f"{NAME}_failed", level), (f"{NAME}_recovered", "info")]
    pauses_s = rounds.pauses_s[1:21]
    assert RETRY_S / 2 <= pauses_s[0] <= RETRY_S
    assert max_s / 2 <= pauses_s[-1] <= max_s
    assert max(pauses_s) <= max_s
    # Jitter: two of the same length would be two loops in step.
    assert len(set(pauses_s)) == len(pauses_s)


def test_another_kind_of_failure_is_logged_again() -> None:
    rounds = Rounds([Unavailable(), Unavailable(), ValueError(), TypeError(), TypeError(), None])
    assert [level for _, level in rounds.run()] == ["warning", "error", "error", "info"]


def test_a_step_that_fails_by_turns_does_not_fill_the_log() -> None:
    """And what the log shows last is how it is: it works, or it fails."""
    flapping: list[Outcome] = [Unavailable(), None] * 500
    for last, event in ((None, "recovered"), (Unavailable(), "failed")):
        rounds = Rounds([*flapping, *[last] * 400])
        lines = rounds.run()
        minutes = sum(rounds.pauses_s) / LINES_WITHIN_S
        assert len(lines) <= LINES_MAX * (minutes + 1)
        assert lines[-1][0] == f"{NAME}_{event}"


def test_after_a_recovery_the_backoff_begins_anew() -> None:
    rounds = Rounds([*[ValueError()] * 10, None, ValueError()])
    rounds.run()
    assert rounds.pauses_s[9] > RETRY_S
    assert rounds.pauses_s[11] <= RETRY_S


def test_a_rare_step_is_retried_soon_and_in_the_end_as_rarely() -> None:
    rounds = Rounds([Unavailable()] * 20)
    rounds.run(every_s=60.0)
    assert rounds.pauses_s[0] <= RETRY_S
    assert 30.0 <= rounds.pauses_s[-1] <= 60.0


def test_the_log_says_why_and_when_it_is_retried() -> None:
    async def step() -> None:
        raise Unavailable("the store does not answer")

    async def sleep(_seconds: float) -> None:
        raise Ended

    async def run() -> None:
        await periodic(NAME, step, EVERY_S, sleep=sleep)

    logs: list[Any]
    with capture_logs() as logs, pytest.raises(Ended):
        asyncio.run(run())
    assert logs[0]["reason"] == "the store does not answer"
    assert 0 < logs[0]["retry_in_s"] <= RETRY_S


def test_cancellation_passes_through() -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def step() -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(periodic(NAME, step, EVERY_S))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
