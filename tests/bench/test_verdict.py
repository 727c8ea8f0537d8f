"""The verdict on a run: its criteria, and the line that gives the reasons."""

from dataclasses import replace

import pytest

from waitline_bench.scenario import verdict
from waitline_bench.scenario.summary import Check, Summary, Threshold
from waitline_bench.scenario.verdict import RoomFound

FOUND = Summary(
    iterations=100,
    dropped=0,
    requests=100,
    lasted_s=10.0,
    times={},
    failed=0.0,
    rates={},
    trends={},
    thresholds=[Threshold("http_req_duration{name:enter}", "p(95)<200", 20.0, ok=True)],
    checks=[Check("entered", 100, 0)],
    errors=[],
)
ROOM = RoomFound("sale", 50, 50, 100, 1_000, 100.0, [])
SLOW = Threshold("http_req_duration{name:enter}", "p(95)<200", 312.0, ok=False)
OWN = Threshold("checks", "rate>0.9", 0.95, ok=True)


@pytest.mark.parametrize(
    ("found", "room", "line"),
    [
        pytest.param(FOUND, ROOM, "", id="all is well"),
        pytest.param(
            replace(FOUND, thresholds=[SLOW]),
            ROOM,
            "enter: 312 ms, must be p95 < 200 ms",
            id="slow",
        ),
        pytest.param(
            replace(FOUND, dropped=1_234), ROOM, "1,234 arrivals were dropped", id="drops"
        ),
        pytest.param(
            replace(FOUND, checks=[Check("entered", 98, 2)]),
            ROOM,
            "2 answers were wrong: 'entered'",
            id="wrong answers",
        ),
        pytest.param(
            replace(FOUND, checks=[Check("entered", 98, 2)], thresholds=[OWN]),
            ROOM,
            "",
            id="as many wrong answers as the script allows",
        ),
        pytest.param(
            replace(FOUND, errors=["Error: boom"]),
            ROOM,
            "the script failed 1 time: Error: boom",
            id="the script itself",
        ),
        pytest.param(
            replace(FOUND, iterations=0), ROOM, "nothing was carried out to the end", id="nothing"
        ),
        pytest.param(
            FOUND,
            replace(ROOM, findings=["Q3: 1 had their turn while place 7 waits: v9"]),
            "room sale: Q3: 1 had their turn while place 7 waits: v9",
            id="the line was wrong",
        ),
    ],
)
def test_what_a_run_is_worth(found: Summary, room: RoomFound, line: str) -> None:
    judged = verdict.judge(found, [], [room])
    assert judged.line == line
    assert judged.ok is (line == "")


def test_a_line_names_some_reasons_and_counts_the_others() -> None:
    broken = replace(ROOM, findings=[f"Q{number}: broken" for number in range(1, 7)])
    line = verdict.judge(FOUND, [], [broken]).line
    assert "Q4: broken" in line
    assert line.endswith("; and 2 more in the report")


@pytest.mark.parametrize(
    ("passes", "fails", "entered", "wrong"),
    [
        pytest.param(100, 0, 100, "", id="everybody"),
        pytest.param(98, 2, 99, "", id="one got in without an answer"),
        pytest.param(100, 0, 99, "100 entries were acknowledged, but 99", id="one was lost"),
        pytest.param(100, 0, 101, "100 visitors came, but 101 places", id="one got two"),
    ],
)
def test_acknowledged_entries_have_places(
    passes: int, fails: int, entered: int, wrong: str
) -> None:
    found = replace(FOUND, checks=[Check("entered", passes, fails)])
    said = verdict.reckoned(found, [replace(ROOM, entered=entered)])
    assert said.startswith(wrong)
    assert bool(said) is bool(wrong)


@pytest.mark.parametrize(
    ("arrivals", "planned", "wrong"),
    [
        pytest.param(310_001, 310_000, "", id="one more, at the end"),
        pytest.param(309_905, 310_000, "", id="a few too late"),
        pytest.param(300_000, 310_000, "k6 offered 300,000 of 310,000 arrivals", id="far too few"),
        pytest.param(34, 36, "", id="two of few"),
        pytest.param(7, 0, "", id="as many as could be served"),
    ],
)
def test_what_was_to_be_offered_was(arrivals: int, planned: int, wrong: str) -> None:
    said = verdict.underfed(arrivals, planned)
    assert said.startswith(wrong)
    assert bool(said) is bool(wrong)
    assert verdict.judge(FOUND, [], [ROOM], [said]).ok is not bool(wrong)


@pytest.mark.parametrize(
    ("script_ms", "round_ms", "ok"),
    [
        pytest.param(0.5, 20.0, [True, True], id="fast"),
        pytest.param(10.0, 2_000.0, [False, False], id="at the limit"),
        pytest.param(None, None, [False, False], id="unknown is not good"),
    ],
)
def test_the_servers_own_thresholds(
    script_ms: float | None, round_ms: float | None, ok: list[bool]
) -> None:
    assert [one.ok for one in verdict.served(script_ms, round_ms)] == ok


@pytest.mark.parametrize(
    ("unaware", "waiting", "admitted", "wrong"),
    [
        pytest.param(0, 0, 0, "", id="empty"),
        pytest.param(0, 3, 0, "everybody has left, and in room sale 3 wait", id="in the line"),
        pytest.param(0, 0, 2, "everybody has left, and in room sale 0 wait", id="leaked slots"),
        pytest.param(2, 1, 1, "", id="an entry without an answer"),
        pytest.param(2, 1, 2, "everybody has left, and in room sale 1 wait", id="one more"),
    ],
)
def test_everybody_who_has_left_is_gone(
    unaware: int, waiting: int, admitted: int, wrong: str
) -> None:
    found = replace(FOUND, checks=[Check("entered", 98, unaware)])
    said = verdict.drained(found, [replace(ROOM, waiting=waiting, admitted=admitted)])
    assert said.startswith(wrong)
    assert bool(said) is bool(wrong)


@pytest.mark.parametrize(
    ("last", "wrong"),
    [
        pytest.param({"worker": [1, 2], "valkey": [3], "postgres": [9]}, [], id="all as before"),
        pytest.param(
            {"worker": [1, 7], "valkey": [3]},
            ["queue workers: a process ended during the run"],
            id="a worker was started again",
        ),
        pytest.param({"worker": [1, 2]}, ["Valkey: a process ended during the run"], id="gone"),
    ],
)
def test_nothing_of_the_installation_died(last: dict[str, list[int]], wrong: list[str]) -> None:
    first = {"worker": [1, 2], "valkey": [3], "postgres": [4, 5], "k6": [6]}
    assert verdict.survived(first, last) == wrong
    assert verdict.judge(FOUND, [], [ROOM], wrong).ok is not bool(wrong)


def test_what_the_box_office_got_wrong_counts() -> None:
    judged = verdict.judge(FOUND, [], [ROOM], books=["B2: 1 seats were sold twice: 7"])
    assert judged.line == "box office: B2: 1 seats were sold twice: 7"
    assert not judged.ok


AT_S = [float(second) for second in range(1, 61)]


def looks(held: float, into: float, out: float) -> dict[str, list[float]]:
    return {
        "admitted": [held] * 60,
        "admissions_per_s": [into] * 60,
        "exits_per_s": [out] * 60,
    }


@pytest.mark.parametrize(
    ("columns", "subject", "ok"),
    [
        pytest.param(looks(1_000, 50, 50), "full from 1 s on", True, id="full, in balance"),
        pytest.param(looks(1_000, 50, 40), "full from 1 s on", False, id="full, and yet more"),
        pytest.param(looks(500, 50, 49.9), "after 40 s", True, id="never full, in balance"),
        pytest.param(looks(500, 50, 20), "after 40 s", False, id="never full, and growing"),
    ],
)
def test_as_many_leave_as_come_in(columns: dict[str, list[float]], subject: str, ok: bool) -> None:  # noqa: FBT001
    judged = verdict.flow(AT_S, columns, 1_000, stay_s=30.0, until_s=60.0)
    assert judged is not None
    assert judged.subject.endswith(subject)
    assert judged.ok is ok


def test_too_short_a_run_says_nothing_about_balance() -> None:
    assert verdict.flow(AT_S, looks(500, 50, 50), 1_000, stay_s=30.0, until_s=45.0) is None
    assert verdict.flow(AT_S, looks(500, 50, 50), 1_000, stay_s=50.0, until_s=60.0) is None
    assert verdict.flow(AT_S, looks(1_000, 0, 0), 1_000, stay_s=30.0, until_s=60.0) is None
