"""`waitline size`: its formulas against measurements, the page's files, and the documents."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest

from tests.command_line import Run
from waitline.sales.sizing import figures, text
from waitline.sales.sizing.model import SaleLoad, need, valkey_cores, worker_cores
from waitline.services.queue import waiting_page
from waitline.services.start_page import THEME

COSTS, PRICES = figures.costs(), figures.prices()
OPERATIONS = Path("docs/operations.md").read_text("utf-8")

LOAD = SaleLoad(
    arrivals_per_s=5_000, polls_per_s=12_400, waiting=247_400, bookings_per_s=476, bookings=10_000,
    polls=0, visitors=300_000, hours=3,
)  # fmt: skip


@pytest.fixture
def run(run: Run) -> Run:
    return partial(run, "size")


@pytest.mark.parametrize("row", COSTS.measured, ids=lambda row: row.what)
def test_the_formulas_agree_with_what_was_measured_within_a_fifth(
    row: figures.MeasuredLoad,
) -> None:
    assert worker_cores(COSTS, row.requests_per_s, row.workers) == pytest.approx(
        row.worker_cores, rel=0.2
    )
    assert valkey_cores(COSTS, row.requests_per_s, row.workers) == pytest.approx(
        row.valkey_cores, rel=0.2
    )


def test_both_kinds_of_measurements_are_there() -> None:
    commands = {row.command.split()[1] for row in COSTS.measured}
    assert commands == {"carry", "entry"}


def test_the_page_is_as_large_as_the_costs_say() -> None:
    folder = Path(waiting_page.__file__).with_name("pages")
    files = [path for path in folder.iterdir() if path.stem not in ("plain", "rules")] + [*THEME]
    assert len(files) == COSTS.page.requests
    # Headers of each answer: about 300 bytes.
    size = sum(len(brotli.compress(path.read_bytes())) + 300 for path in files)
    assert size == pytest.approx(COSTS.page.bytes, rel=0.2)


def test_every_formula_and_measurement_is_in_the_document() -> None:
    for row in (*text.formulas(COSTS), *text.agreement(COSTS)):
        assert f"| {' | '.join(row)} |" in OPERATIONS


def test_a_sale_by_hand() -> None:
    found = need(LOAD, COSTS, PRICES)
    parts = found.parts
    # 17 400 requests/s and 476 buyers/s: (0.4176 + 0.3332) / 0.375 = 2.002.
    assert parts.queue_workers == 3 + 1
    assert parts.valkey_cores == pytest.approx(3 * 0.067 + 17_400 * 10.3e-6 + 476 * 0.5e-3)
    assert parts.valkey_mb == pytest.approx(247_400 * 160 * 2 / 1e6 + 100)
    assert parts.booking_workers == 3 + 1
    assert parts.connections == 12 * 4 + 28
    assert parts.postgresql_cores == pytest.approx(476 * 2.6e-3 / 0.6)
    assert (parts.cdn_requests, parts.cdn_gb, found.dollars["CDN"]) == (0, 0, 0)
    assert found.dollars["containers"] == pytest.approx(3 * 8.5 * (0.04048 + 2 * 0.004445))


def test_ten_times_the_visitors_need_more_than_one_room_can_have() -> None:
    more = replace(LOAD, arrivals_per_s=50_000, polls_per_s=124_000, waiting=2_474_000)
    found = need(more, COSTS, PRICES)
    assert found.parts.shards > 1
    assert found.limits[0].share > 1
    assert found.limits[0].part.startswith("the one primary of the room")
    assert need(LOAD, COSTS, PRICES).parts.shards == 2
    smaller = replace(LOAD, arrivals_per_s=500, polls_per_s=1_000, bookings_per_s=20, waiting=1)
    assert need(smaller, COSTS, PRICES).parts.shards == 1


def test_a_cdn_has_its_price() -> None:
    through = need(replace(LOAD, polls=1_000_000), COSTS, PRICES)
    assert through.parts.cdn_requests == 1_000_000 + 300_000 * COSTS.page.requests
    assert through.dollars["CDN"] == pytest.approx(
        through.parts.cdn_requests / 1e4 * 0.01 + through.parts.cdn_gb * 0.085
    )
    assert through.dollars["load balancer"] < need(LOAD, COSTS, PRICES).dollars["load balancer"]


def test_every_price_has_a_date_and_a_source() -> None:
    assert PRICES.as_of.year >= 2026
    for part in (PRICES.compute, PRICES.valkey, PRICES.postgresql, PRICES.balancer, PRICES.cdn):
        assert part.source.startswith("https://")


def test_a_table_for_people(run: Run) -> None:
    status, out, err = run("--visitors", "3000", "--within", "10s", "--seats", "100")
    assert (status, err) == (0, "")
    for words in ("queue workers, with a spare one", "Formulas", "First limit:",
                  "Amazon Web Services", "CDN: requests"):  # fmt: skip
        assert words in out


def test_a_document_for_programs(run: Run) -> None:
    status, out, _ = run("--visitors", "3000", "--visitors", "6000", "--within", "10s", "--json")
    assert status == 0
    document = json.loads(out)
    assert [sale["visitors"] for sale in document["sales"]] == [3_000, 6_000]
    sale = document["sales"][0]
    assert sale["direct"]["load"]["arrivals_per_s"] == 300
    assert sale["cdn"]["load"]["polls"] > 0
    assert sale["direct"]["need"]["queue_workers"] == 2
    assert document["costs"]["measured"]
    assert document["prices"]["as_of"] == PRICES.as_of.isoformat()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--within", "soon"), "--within: 'soon' is not a duration; write 300ms, 5s, 1.5m or 2h"),
        (("--use", "3m..1m"), "use: the shorter time must come first, for example 5s..30s"),
        (("--rate", "0"), "--rate: "),
        (("--visitors", "20000000"), "--visitors: "),
    ],
)
def test_an_impossible_sale_is_one_line(run: Run, options: tuple[str, ...], said: str) -> None:
    status, out, err = run(*options)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err
