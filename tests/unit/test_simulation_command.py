"""`waitline simulate`: table, JSON and page; a one-line error for an impossible sale."""

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.command_line import Run
from waitline.sales.durations import format_duration

SMALL = ("--visitors", "300", "--over", "2s", "--rate", "100", "--active-max", "40", "--use", "1s")


@pytest.fixture
def run(run: Run) -> Run:
    return partial(run, "simulate")


def test_it_teaches_with_an_example(run: Run) -> None:
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert "waitline simulate --visitors 1000000" in out


def test_a_table_for_people(run: Run, tmp_path: Path) -> None:
    status, out, _ = run(*SMALL, "--out", tmp_path)
    assert status == 0
    assert "300 visitors over 2s; 100/s, burst 25; 40 slots" in out
    for name in (
        "everybody admitted after",
        "wait, p90",
        "status, each 1 s",
        "now-serving, 50 edges",
    ):
        assert name in out


def test_a_room_on_several_shards_is_compared_with_one(run: Run, tmp_path: Path) -> None:
    status, out, _ = run(*SMALL, "--shards", "3", "--out", tmp_path)
    assert status == 0
    assert "The room spread over 3 shards" in out
    designs = json.loads((tmp_path / "simulation.json").read_text("utf-8"))["shards"]["designs"]
    for row in designs:
        assert f" {row['design']} " in out
    assert designs[0]["design"] == "one shard, as built"


def test_a_document_for_programs_and_a_page(run: Run, tmp_path: Path) -> None:
    status, out, _ = run(*SMALL, "--json", "--out", tmp_path / "new")
    assert status == 0
    printed = json.loads(out)
    kept = json.loads((tmp_path / "new" / "simulation.json").read_text("utf-8"))
    assert printed == kept
    assert printed["sale"]["limits"]["active_max"] == 40
    outcome = printed["outcome"]
    assert sum(outcome["joined"]) == sum(outcome["admitted"]) == 300
    assert outcome["most_admitted"] == 40
    assert [load["total"] for load in outcome["loads"]] == [
        sum(load["per_s"]) for load in outcome["loads"]
    ]
    assert printed["check"] is None
    page = (tmp_path / "new" / "simulation.html").read_text("utf-8")
    assert page.count("<svg") == 4
    # It needs nothing else: no script, and no address but that of the drawings' own language.
    assert "<script" not in page
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_the_same_seed_makes_the_same_sale(run: Run, tmp_path: Path) -> None:
    one, two = (run(*SMALL, "--seed", "3", "--json", "--out", tmp_path)[1] for _ in range(2))
    assert json.loads(one)["outcome"] == json.loads(two)["outcome"]


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0.0 s"),
        (99_940, "99.9 s"),
        (149_900, "2 min 30 s"),
        (179_999, "3 min 00 s"),
        (5_999_000, "99 min 59 s"),
        (6_621_200, "1 h 50 min"),
    ],
)
def test_times_as_people_say_them(ms: int, said: str) -> None:
    assert format_duration(ms) == said


def test_late_visitors_are_reported(run: Run, tmp_path: Path) -> None:
    _, out, _ = run(*SMALL, "--ready", "1s", "--out", tmp_path)
    assert re.search(r"\d+ visitors? learned of their turn too late to activate", out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--over", "1000/s*x"), "'x' is not a duration", id="arrivals"),
        pytest.param(("--rate", "0"), "--rate: must be from 0.01 to", id="rate"),
        pytest.param(("--active-max", "0"), "--active-max: must be from 1 to", id="slots"),
        pytest.param(("--ready", "1ms"), "--ready: must be from 10", id="ready"),
        pytest.param(("--visitors", "20000000"), "--visitors: must be from 1 to", id="visitors"),
        pytest.param(("--visitors", "0"), "--visitors: must be from 1 to", id="nobody"),
        pytest.param(("--use", "9s..1s"), "use: the shorter time must come first", id="use"),
        pytest.param(("--rate", "1"), "at least 3.5 days", id="too long"),
        pytest.param(("--visitors", "400000", "--check"), "replays at most 300,000", id="check"),
    ],
)
def test_what_cannot_be_played_is_one_line(
    run: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    status, out, err = run(*words, "--out", tmp_path)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"waitline: [^\n]+\n", re.sub(r"\x1b\[\d+m", "", err))
    assert said in err


def test_without_the_extra_only_this_command_refuses() -> None:
    # `None` for a module is how Python notes that there is none.
    program = (
        "import sys; sys.modules.update(numpy=None, matplotlib=None); "
        "from waitline import cli; cli.main()"
    )
    helped, refused = (
        subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", program, word],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        for word in ("--help", "simulate")
    )
    assert (helped.returncode, refused.returncode) == (0, 2)
    assert "not installed: numpy, matplotlib; run pip install numpy matplotlib" in refused.stderr
