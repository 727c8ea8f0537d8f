"""`waitline-bench scrape`: a small run of every case."""

import pytest

from waitline_bench import scraping

pytestmark = pytest.mark.long


def test_scrapes_are_measured_by_rooms_and_what_visitors_notice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("WORKERS", (1,)), ("ROOMS", (1, 20)), ("SLEEPING", 20), ("SCRAPES", 2)):
        monkeypatch.setattr(scraping, name, value)
    steps: list[str] = []
    found = scraping.run_scrapes(steps.append, 0.3, 1)
    one, twenty, asleep = found["scrapes"]
    assert [(row["rooms"], row["sleeping"]) for row in found["scrapes"]] == [
        (1, 0), (20, 0), (1, 20),
    ]  # fmt: skip
    # How long they took is not for a test to say; how much they carried is.
    assert twenty["samples"] > one["samples"] + 19 * 10
    assert abs(asleep["samples"] - one["samples"]) < 60
    assert twenty["gzip_bytes"] < twenty["bytes"] / 3
    (visitors,) = found["visitors"]
    assert visitors["workers"] == 1
    assert all(visitors[f"p50_ms_{how}"] > 0 for how in ("without", "with"))
    assert "workers: 1, sleeping rooms: 20" in steps
