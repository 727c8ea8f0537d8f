"""`waitline-bench booking` and `events`: a small run of every part."""

import pytest

from waitline_bench import host_steal
from waitline_bench.booking import run

pytestmark = pytest.mark.long

PARTS = {
    "seats", "seats, 304", "sections", "seats, changing", "bare reservations", "reserve",
    "bare bookings", "buy", "overload",
}  # fmt: skip


def test_the_box_office_is_measured_next_to_its_bare_statements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_steal, "TRIES_MOST", 1)
    noted: list[str] = []
    figures = run.run_booking(0.3, 1, noted.append)
    assert set(figures) == {*PARTS, "audit"}
    # How fast it was is not for a test to say; that all of it happened is.
    assert all(figures[part]["per_s"] > 0 for part in PARTS - {"overload"})
    assert all(0 <= figures[part]["stolen"] <= 1 for part in PARTS)
    assert figures["seats, 304"]["statuses"]["seats again 304"] > 0
    assert figures["seats"]["bytes"] > 1_000 * figures["seats"]["done"]
    bought = figures["buy"]
    assert bought["done"] == bought["statuses"]["pay 201"]
    assert bought["table_bytes"] > 0
    assert bought["log_bytes"] > 0
    # Gathered, one statement serves many; one at a time, a booking takes three and its share of
    # what goes on by itself.
    assert {"reserve", "begin_payment", "confirm_payment"} <= set(bought["statements"])
    for part in ("buy", "overload"):
        said = figures[part]["statuses"]
        assert {words.split()[1] for words in said} <= {"201", "503"}, said
        assert figures[part]["left"] == 0
    assert figures["audit"]["findings"] == []
    assert figures["audit"]["sold"] >= bought["done"]
    assert "the audit" in noted


def test_bookings_are_measured_with_confirmed_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_steal, "TRIES_MOST", 1)
    figures = run.run_confirmed(0.3, 1, lambda _: None)
    assert set(figures) == {"memory", "replicated"}
    for (found,) in figures.values():
        assert found["done"] == found["statuses"]["pay 201"] > 0
        assert found["ms"]["pay"]["p99"] > 0
