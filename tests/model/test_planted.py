"""Mutation tests of the line's invariants: each has a planted bug that it catches by its own name.

The machine of `test_line` runs on a script with a bug in it, and without the reference model, which
would catch most of them first. If one of these fails, that invariant proves nothing.
"""

import traceback
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from typing_extensions import override

from tests.model.reference import Reference
from tests.model.stay import Row
from tests.model.test_line import STEPS, LineMachine
from tests.model.witness import TIMEOUT_S, Seen
from tests.servers import Server
from waitline.queue import rooms, slides, store, walk_ins
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

EXAMPLES = 4_000
"""Sequences until an invariant counts as blind."""

SEED = 5
"""Begins the sequences. With this one, all of these bugs show within a second or two; with others
one of them may take a minute."""


MODULES = (store, slides, walk_ins, rooms)


class Caught(BaseException):
    """An invariant failed."""


@seed(SEED)
class Unguarded(LineMachine):
    """The machine with nothing but the invariants; the model only follows.

    Attributes:
        caught: The invariant that failed, by the name of its check; empty before.
    """

    caught = ""

    @override
    def _remember(self, seen: Seen) -> None:
        try:
            super()._remember(seen)
        except AssertionError as error:
            names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            Unguarded.caught = next(name for name in reversed(names) if name.startswith("q"))
            raise Caught(Unguarded.caught) from None

    @override
    def _differ(self, rows: list[Row], model: Reference) -> None:
        self.reference = model

    @override
    def audit_finds_nothing(self) -> None:
        """Left to `waitline audit`'s own tests."""


def planted(script: scripts.Script, right: str, wrong: str) -> scripts.Script:
    assert script.source.count(right) == 1, f"{script.name}.lua has changed: plant another bug"
    return replace(script, source=script.source.replace(right, wrong))


@pytest.mark.parametrize(
    ("name", "right", "wrong", "by"),
    [
        pytest.param(
            "JOIN",
            "if row then",
            "if false then",
            "q1_one_place_per_visitor",
            id="q1 who holds a slot takes a place besides",
        ),
        pytest.param(
            "JOIN",
            "redis.call('HSET', room, 'seq', string.format('%d', last))",
            "",
            "q2_places_rise_and_are_never_reused",
            id="q2 the last place is forgotten",
        ),
        pytest.param(
            "ADMIT",
            "'ZPOPMIN'",
            "'ZPOPMAX'",
            "q3_nobody_is_admitted_while_a_lower_place_waits",
            id="q3 the last come first",
        ),
        pytest.param(
            "ADMIT",
            "active_max - redis.call('ZCARD', admitted)",
            "active_max + 1 - redis.call('ZCARD', admitted)",
            "q4_admitted_never_exceed_active_max",
            id="q4 one too many",
        ),
        pytest.param(
            "ADMIT",
            "math.min(chunk_max, free, math.floor(tokens), left)",
            "math.min(chunk_max, free, left)",
            "q5_a",
            id="q5 no rate",
        ),
        pytest.param(
            "ADMIT",
            "redis.call('HDEL', rate, 'tokens', 'tokens_at')",
            "",
            "q10_a_refused_call_changes_nothing",
            id="q10 what is held saves up",
        ),
        pytest.param(
            "CHANGE",
            "if not admitted_before and admits_now() then",
            "if false then",
            "q5_a_pause_saves_nothing_up",
            id="q5 a pause saves up",
        ),
        pytest.param(
            "DECIDE",
            "tonumber(per_s) <= 0",
            "tonumber(per_s) < 0",
            "q5_a_pause_saves_nothing_up",
            id="q5 while sold out it saves up",
        ),
        pytest.param(
            "ADMIT",
            "redis.call('HDEL', heard, unpack(visitors))",
            "",
            "q6_a_visitor_is_in_exactly_one_state",
            id="q6 half of the admitted still waits",
        ),
        pytest.param(
            "LEAVE",
            "redis.call('HINCRBY', room, 'abandoned', #from_line)",
            "",
            "q7_nobody_is_lost",
            id="q7 who leaves is not counted",
        ),
        pytest.param(
            "REJOIN",
            "math.max(serving, tonumber(served or 0))",
            "0",
            "q3_nobody_is_admitted_while_a_lower_place_waits",
            id="q3 what is served falls when somebody returns",
        ),
        pytest.param(
            "REJOIN",
            "redis.call('ZREM', lapsed, unpack(gone))",
            "",
            "q6_a_visitor_is_in_exactly_one_state",
            id="q6 who returns is lapsed besides",
        ),
        pytest.param(
            "REJOIN",
            "redis.call('HINCRBY', room, 'returned', #gone)",
            "",
            "q7_nobody_is_lost",
            id="q7 who returns is not counted",
        ),
        pytest.param(
            "REJOIN",
            "joins[#joins + 1], joins[#joins + 2] = place, visitor",
            "joins[#joins + 1], joins[#joins + 2] = seq, visitor",
            "q1_one_place_per_visitor",
            id="q1 who returns gets another's place",
        ),
        pytest.param(
            "REJOIN",
            "if stranger(claim, place .. '-' .. joined) then\n      refused",
            "if false then\n      refused",
            "q9_a_strangers_ticket_serves_nobody",
            id="q9 a stranger calls somebody back",
        ),
        pytest.param(
            "EXTEND",
            "tonumber(extensions) >= tonumber(most)",
            "tonumber(extensions) > tonumber(most)",
            "q8_extensions_never_exceed_the_most",
            id="q8 one extension more",
        ),
        pytest.param(
            "SLIDE",
            "return math.min(now + ttl, admitted_ms + longest + now - clock)",
            "return now + ttl",
            "q8_a_slide_adds_time_and_nothing_else",
            id="q8 a stay slides for ever",
        ),
        pytest.param(
            "SLIDE",
            "slid_ms(admitted_ms), extensions\n",
            "slid_ms(admitted_ms), extensions + 1\n",
            "q8_",
            id="q8 a slide counts as an extension",
        ),
        pytest.param(
            "SLIDE",
            "if stranger(claim, place .. '-' .. joined) then return {'stranger'} end",
            "",
            "q9_a_strangers_ticket_serves_nobody",
            id="q9 a stranger keeps somebody's slot",
        ),
        pytest.param(
            "WALK_IN",
            "or redis.call('ZCARD', waiting) > 0 then",
            "then",
            "q3_nobody_is_admitted_while_a_lower_place_waits",
            id="q3 a newcomer passes the line",
        ),
        pytest.param(
            "WALK_IN",
            "active_max - before - unsure_slots(room, clock)",
            "active_max + 1 - before",
            "q4_admitted_never_exceed_active_max",
            id="q4 one newcomer too many",
        ),
        pytest.param(
            "ACTIVATE",
            "if stranger(claim, place .. '-' .. joined) then return {'stranger'} end",
            "",
            "q9_a_strangers_ticket_serves_nobody",
            id="q9 any claim will do",
        ),
        pytest.param(
            "ADMIT",
            ".. as_ready .. mark",
            ".. as_ready",
            "q9_a_stay_keeps_its_mark",
            id="q9 who is admitted is nobody's any more",
        ),
        pytest.param(
            "ADMIT",
            "redis.pcall('HINCRBY', room, 'lease_refused', 1)",
            "redis.call('HSET', room, 'lease_until', string.format('%d', now + 40))",
            "q10_a_refused_call_changes_nothing",
            id="q10 a refusal renews the other's lease",
        ),
    ],
)
def test_an_invariant_catches_its_bug(
    *, valkey: Server, monkeypatch: pytest.MonkeyPatch, name: str, right: str, wrong: str, by: str
) -> None:
    where = next(module for module in MODULES if hasattr(module, name))
    monkeypatch.setattr(where, name, planted(getattr(where, name), right, wrong))
    Unguarded.server = valkey
    Unguarded.store = ValkeyClient(valkey.url, timeout_s=TIMEOUT_S)
    Unguarded.caught = ""
    try:
        # Where the same calls went well before, in other milliseconds, Hypothesis says so instead.
        with pytest.raises((Caught, Flaky)):
            search()
    finally:
        valkey.wait(Unguarded.store.close())
    assert Unguarded.caught.startswith(by)


def search() -> None:
    run_state_machine_as_test(
        Unguarded,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            # What is found need not be made smaller.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
