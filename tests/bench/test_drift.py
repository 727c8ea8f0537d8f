"""Leak detection: a leak is distinguished from warm-up and from noise."""

from collections.abc import Sequence

import pytest

from waitline_bench.scenario import drift, result_text
from waitline_bench.scenario.drift import FILES_PER_H_MAX, MEMORY_MB_PER_H_MAX

# Half an hour, a look every ten seconds.
AT_S = [10.0 * look for look in range(181)]
UNTIL_S = 1_800.0


def growing(per_hour: float, start: float = 100.0) -> list[float]:
    return [start + at_s / 3_600 * per_hour for at_s in AT_S]


def seen(
    role: str, memory_mb: list[float], files: list[float], processes: list[int] | None = None
) -> dict[str, dict[str, Sequence[float]]]:
    counts = processes or [1] * len(memory_mb)
    return {"memory_mb": {role: memory_mb}, "files": {role: files}, "processes": {role: counts}}


def stepped(values: list[float], step: float) -> list[float]:
    """The values as whole steps, as memory is taken, with a spike every minute."""
    return [
        value // step * step + (50.0 if look % 6 == 3 else 0.0) for look, value in enumerate(values)
    ]


FLAT = [100.0] * len(AT_S)
WARMING = [100.0 + min(at_s, UNTIL_S / 3) for at_s in AT_S]


@pytest.mark.parametrize(
    ("memory_mb", "files", "ok"),
    [
        pytest.param(FLAT, FLAT, [True, True], id="flat"),
        pytest.param(WARMING, WARMING, [True, True], id="it warmed up"),
        pytest.param(stepped(FLAT, 1.0), FLAT, [True, True], id="spikes"),
        pytest.param(growing(2 * MEMORY_MB_PER_H_MAX), FLAT, [False, True], id="a leak"),
        pytest.param(
            stepped(growing(2 * MEMORY_MB_PER_H_MAX), 1.0),
            FLAT,
            [False, True],
            id="in steps",
        ),
        pytest.param(FLAT, growing(2 * FILES_PER_H_MAX), [True, False], id="files left open"),
        pytest.param(growing(0.9 * MEMORY_MB_PER_H_MAX), FLAT, [True, True], id="just not"),
        pytest.param(growing(-500.0), FLAT, [True, True], id="it shrinks"),
    ],
)
def test_growth_is_judged(memory_mb: list[float], files: list[float], ok: list[bool]) -> None:
    judged = drift.judged(AT_S, seen("worker", memory_mb, files), UNTIL_S)
    assert [one.ok for one in judged] == ok


def test_criteria_have_labels() -> None:
    memory, files = drift.judged(AT_S, seen("booking", growing(12), FLAT), UNTIL_S)
    assert memory.subject == "MB that are added per hour per process, booking workers"
    assert result_text.condition(memory.subject, memory.condition) == "growth ≤ 30"
    assert result_text.measured(memory.subject, memory.condition, memory.value) == "12"
    assert files.subject == "open files that are added per hour per process, booking workers"


def test_processes_that_come_are_no_growth() -> None:
    more = [4 if at_s < 1_200 else 9 for at_s in AT_S]
    each = [float(count * 50) for count in more]
    judged = drift.judged(AT_S, seen("postgres", each, each, more), UNTIL_S)
    assert [one.value for one in judged] == [0.0, 0.0]


def test_the_generator_is_not_judged() -> None:
    grown = {"k6": growing(5_000), "runner": growing(900), "sandbox": growing(40), "worker": FLAT}
    ones = {role: [1.0] * len(AT_S) for role in grown}
    columns = {"memory_mb": grown, "files": grown, "processes": ones}
    assert len(drift.judged(AT_S, columns, UNTIL_S)) == 2


@pytest.mark.parametrize(
    ("at_s", "until_s"),
    [
        pytest.param(AT_S[:31], 300.0, id="five minutes"),
        pytest.param(AT_S[::40], UNTIL_S, id="hardly a look"),
    ],
)
def test_of_a_short_run_nothing_is_said(at_s: list[float], until_s: float) -> None:
    grown = growing(10_000)[: len(at_s)]
    assert drift.judged(at_s, seen("worker", grown, grown), until_s) == []


def test_a_slope_takes_two_looks() -> None:
    assert drift.per_hour([], []) == 0.0
    assert drift.per_hour([1.0], [5.0]) == 0.0
    assert drift.per_hour([0.0, 1.0], [0.0, 1.0]) == 3_600.0
