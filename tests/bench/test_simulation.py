"""The simulation compared with the Lua scripts and with a replayed sale."""

import json
from pathlib import Path
from random import Random

import pytest

from tests.command_line import Run
from tests.servers import Server
from tests.store.room import Room
from waitline.queue.limits import Limits
from waitline.queue.model import Moved
from waitline.sales.simulation.gate import Gate

# What a prediction may be off by here: a share of what was measured, and for times some of what
# the visitors were late by. They share two cores with the admitter, the store and whatever else
# runs, and whoever leaves late keeps others waiting. The 5 % that a prediction is held to are for
# the command, and a machine of its own.
NEAR = 0.25
LATE = 3


def test_the_gate_counts_as_the_scripts_move(valkey: Server) -> None:
    dice = Random(4)  # noqa: S311 - dice, not secrets
    limits = Limits(active_max=200, admit_per_s=20_000, admit_burst=60, ready_ttl_ms=400)
    room = Room(valkey)
    room.open(active_max=200, admit_per_s=20_000, admit_burst=60, ready_ttl_ms=400)
    gate = Gate(tokens=0, at_ms=bucket_at(room))
    inside: list[str] = []
    outcomes = []
    joined = waiting = 0
    for _ in range(60):
        if dice.random() < 0.8:
            names = [str(joined + n) for n in range(dice.randint(1, 40))]
            room.join(*names)
            joined, waiting = joined + len(names), waiting + len(names)
        taken = room.take()
        # The bucket notes the instant of a call that moved somebody; another only lies between.
        now_ms = bucket_at(room) if taken.outcome.admitted else taken.from_ms
        expected = gate.admit(now_ms, waiting, limits)
        if taken.outcome.admitted or taken.from_ms == taken.to_ms:
            assert taken.outcome == expected
        gate.lapse(now_ms + limits.ready_ttl_ms, taken.outcome.admitted)
        first = joined - waiting
        inside += [str(first + n) for n in range(taken.outcome.admitted)]
        waiting = taken.outcome.waiting
        outcomes.append(taken.outcome)
    assert {outcome.free == 0 for outcome in outcomes} == {True, False}
    assert room.survey().admitted == gate.admitted == len(inside)
    room.reach(room.now_ms() + limits.ready_ttl_ms)
    while room.sweep().more:
        pass
    gate.sweep(room.now_ms())
    assert room.survey().admitted == gate.admitted == 0
    assert Moved(*room.take().outcome) == gate.admit(bucket_at(room), waiting, limits)
    room.close()


@pytest.mark.long
def test_a_sale_that_takes_place_goes_as_predicted(run: Run, tmp_path: Path) -> None:
    words = "--visitors 800 --over 1s --rate 200 --burst 50 --active-max 300 --use 200ms..800ms"
    more = "--no-shows 0.1 --ready 4s --check --json --out"
    ended = run("simulate", *words.split(), *more.split(), tmp_path)
    check = json.loads(ended.out)["check"]
    assert check["broken"] == []
    # It says 1 where it is off by more than 5 %, which a busy machine can make of it.
    assert ended.code == (0 if check["holds"] else 1)
    rows = {row["name"]: row for row in check["differences"]}
    assert list(rows) == ["drained_ms", "mean_ms", "p50_ms", "p90_ms", "peak_line"]
    for row in rows.values():
        allowed = NEAR * row["measured"] + LATE * check["behind_ms"]
        assert abs(row["predicted"] - row["measured"]) <= allowed, row
    assert max(check["line"]) <= rows["peak_line"]["measured"]
    assert check["line"][-1] == 0
    assert ">measured</text>" in (tmp_path / "simulation.html").read_text("utf-8")


def bucket_at(room: Room) -> int:
    return int(room.raw("HGET", room.keys.rate, "tokens_at"))
