"""Measurements disturbed by CPU steal are repeated."""

from collections.abc import Iterator

import pytest

from waitline.kernel.errors import Unavailable
from waitline_bench import usage
from waitline_bench.host_steal import STOLEN_MOST, TRIES_MOST, measure_undisturbed


def taking(monkeypatch: pytest.MonkeyPatch, *shares: float) -> None:
    """Let the host take these shares of one try after the other."""

    def readings() -> Iterator[usage.Reading]:
        at_s = stolen_s = 0.0
        for share in shares:
            yield usage.Reading(at_s, {}, 0.0, stolen_s)
            at_s, stolen_s = at_s + 1, stolen_s + share
            yield usage.Reading(at_s, {}, 0.0, stolen_s)

    found = readings()
    monkeypatch.setattr(usage, "take_reading", lambda _roles: next(found))
    monkeypatch.setattr(usage, "cores", lambda: 1)


@pytest.mark.parametrize(
    ("shares", "outcome"),
    [
        pytest.param([0.0], ("try 1", 0.0), id="quiet"),
        pytest.param([STOLEN_MOST], ("try 1", STOLEN_MOST), id="quiet enough"),
        pytest.param([0.5, 0.25, 0.0], ("try 3", 0.0), id="quiet in the end"),
        pytest.param([0.5, 0.25, 0.75, 0.5], ("try 2", 0.25), id="never quiet"),
    ],
)
def test_the_quietest_try_counts(
    monkeypatch: pytest.MonkeyPatch, shares: list[float], outcome: tuple[str, float]
) -> None:
    assert len(shares) <= TRIES_MOST
    taking(monkeypatch, *shares)
    tries = (f"try {number}" for number in range(1, TRIES_MOST + 1))
    found, stolen = measure_undisturbed(lambda: next(tries))
    assert found == outcome[0]
    assert stolen == pytest.approx(outcome[1])
    # None was made after a quiet one.
    assert next(tries, "none left") == (
        f"try {len(shares) + 1}" if len(shares) < TRIES_MOST else "none left"
    )


def test_a_failure_during_steal_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    taking(monkeypatch, 0.5, 0.0)
    failures = iter([Unavailable("too slow")])

    def measure() -> str:
        for failure in failures:
            raise failure
        return "found"

    assert measure_undisturbed(measure) == ("found", 0.0)


@pytest.mark.parametrize("shares", [[0.0], [0.5] * TRIES_MOST], ids=["quiet", "never quiet"])
def test_a_failure_without_steal_or_at_the_last_attempt_is_raised(
    monkeypatch: pytest.MonkeyPatch, shares: list[float]
) -> None:
    taking(monkeypatch, *shares)

    def measure() -> str:
        raise Unavailable("broken")

    with pytest.raises(Unavailable, match="broken"):
        measure_undisturbed(measure)
