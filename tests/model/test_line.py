"""The line's scripts against a reference model, on real servers.

Hypothesis drives both with the same calls, in any order, through a runner that loses answers on
purpose. After every call they must agree on the answer and on all that is stored, and the
invariants must hold over everything that has happened.

The model gets the server's time as an argument.
Where that is known only as a range of milliseconds, the model must agree at one of them.
"""

import os
from dataclasses import fields, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.model.draws import (
    CHUNKS,
    CLAIMS,
    HEARD,
    HOLDERS,
    LIMITS,
    MARKS,
    NAMES,
    STAGES,
    STEPS_MS,
    UNTIL,
    VISITORS,
    Drawn,
)
from tests.model.driver import CHANGED_KEYS, ROOM, ROOM_KEYS, WHO, Driver
from tests.model.witness import TIMEOUT_S
from tests.servers import Server
from waitline.kernel.ids import VisitorId
from waitline.queue import audit, keys, rooms
from waitline.queue.limits import Limits
from waitline.queue.model import ACCOUNT_MARK, BATCH_MAX, LAPSED_KEPT_MS, LAPSED_MAX
from waitline.queue.settings import ADMITTING, Mode
from waitline.queue.store import SWEEP
from waitline.valkey.client import ValkeyClient

# Sequences per server; a hundred times as many are a good night's run.
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "100"))  # noqa: TID251 - the runner says it here
STEPS = 40


class LineMachine(Driver):
    """Calls of every verb, and what must be true after each."""

    @initialize(
        limits=LIMITS,
        crowd=VISITORS,
        stage=st.sampled_from(STAGES),
        listens=st.sampled_from([True, True, False]),
    )
    def begin(self, limits: Limits, crowd: list[VisitorId], stage: str, *, listens: bool) -> None:
        """Begin where something can happen already."""
        # Without a heartbeat, as in a room of an older version, the server's time counts.
        self.listens = listens
        # Whether the bucket was filled faster than by the clock.
        self.aged = False
        # Whether the server's clock was set.
        self.stepped = False
        self.newcomers = 0
        self._open(limits)
        if stage == "waiting":
            self.join(crowd)
        elif stage != "new":
            self.let_in(crowd, "token", stage)

    @rule(visitors=VISITORS, keys=st.none() | st.lists(MARKS, min_size=6, max_size=6))
    def join(self, visitors: list[VisitorId], keys: list[str] | None = None) -> None:
        # Nearly all come with a statement where one is required, as in a shop that asks for it.
        account = [ACCOUNT_MARK] * len(visitors) if self.reference.signed else []
        marks = keys[: len(visitors)] if keys else account
        self._call(
            lambda: self.line.join(ROOM, visitors, marks),
            lambda model, at: model.join(at, visitors, marks),
        )

    @rule(signed=st.booleans())
    def change_identity(self, *, signed: bool) -> None:
        """Take statements from now on, or no more."""
        identity = "signed" if signed else "claimed"
        inside = self.reference.inside()
        if signed == self.reference.signed or not inside:
            self._change(["identity", identity], signed=signed)
            return
        self._run(rooms.CHANGE, CHANGED_KEYS, [WHO, "identity", identity])
        if self.witness.last.rows != [("occupied", *inside)]:
            self._differ([("occupied", *inside)], self.reference)

    @rule(drawn=CLAIMS)
    def status(self, drawn: list[Drawn]) -> None:
        claims = self._claims(drawn)
        self._call(
            lambda: self.line.status(ROOM, claims), lambda model, at: model.status(at, claims)
        )

    @rule(visitors=VISITORS)
    def validate(self, visitors: list[VisitorId]) -> None:
        self._call(
            lambda: self.line.validate(ROOM, visitors),
            lambda model, at: model.validate(at, visitors),
        )

    @rule(drawn=CLAIMS)
    def activate(self, drawn: list[Drawn]) -> None:
        claims = self._claims(drawn)
        self._call(
            lambda: self.line.activate(ROOM, claims), lambda model, at: model.activate(at, claims)
        )

    @rule(drawn=CLAIMS, times=st.integers(1, 3))
    def extend(self, drawn: list[Drawn], times: int) -> None:
        claims = self._claims(drawn) * times
        self._call(
            lambda: self.line.extend(ROOM, claims), lambda model, at: model.extend(at, claims)
        )

    @rule(drawn=CLAIMS, times=st.integers(1, 2))
    def slide(self, drawn: list[Drawn], times: int) -> None:
        claims = self._claims(drawn) * times
        # Within the millisecond of the activation there is nothing to add.
        self.server.wait(self._reach(self.server.wait(self.server.now_ms()) + 1))
        self._call(
            lambda: self.slides.slide(ROOM, claims), lambda model, at: model.slide(at, claims)
        )

    @rule(count=st.integers(1, 3))
    def walk_in(self, count: int) -> None:
        """Admit without a line; each call has names of its own, a repeated one too."""
        self._call(
            lambda: self.walk_ins.walk_in(ROOM, [self._newcomer() for _ in range(count)]),
            lambda model, at: model.walk_in(at, [*map(str, self.witness.last.args[1:])]),
        )

    @rule(drawn=CLAIMS)
    def leave(self, drawn: list[Drawn]) -> None:
        claims = self._claims(drawn)
        self._call(lambda: self.line.leave(ROOM, claims), lambda model, at: model.leave(at, claims))

    @rule(drawn=CLAIMS)
    def rejoin(self, drawn: list[Drawn]) -> None:
        claims = self._claims(drawn)
        self._call(
            lambda: self.line.rejoin(ROOM, claims), lambda model, at: model.rejoin(at, claims)
        )

    @rule(visitors=VISITORS, then=st.sampled_from(["right", "wrong", "none"]))
    def be_passed_over(self, visitors: list[VisitorId], then: str) -> None:
        """Join, be silent when the turn comes, and come back."""
        self.join(visitors)
        self.pass_time("silence")
        self.pass_time("token")
        self.admit([""], 2, heard=True)
        self.rejoin([(("passed", number), then) for number in range(3)])
        self.survey()

    @rule(holders=HOLDERS, chunk_max=CHUNKS, heard=HEARD)
    def admit(self, holders: list[str], chunk_max: int, *, heard: bool) -> None:
        for holder in holders:
            self._admit(holder, chunk_max, heard=heard)

    @rule(visitors=VISITORS, until=UNTIL, stage=st.sampled_from(["active", "ready"]))
    def let_in(self, visitors: list[VisitorId], until: str, stage: str) -> None:
        """Join and be admitted at once, perhaps after others fell silent.

        Most of what can happen comes after.
        """
        self.pass_time(until)
        self.join(visitors)
        self.pass_time("token")
        self.admit(["", "a"], 2, heard=True)
        if stage == "active":
            self.activate([(("admitted", number), "right") for number in range(3)])

    @rule(chunk_max=CHUNKS, heard=HEARD)
    def sweep(self, chunk_max: int, *, heard: bool) -> None:
        heard_ms = self._heard_ms(heard=heard)
        self._call(
            lambda: self.line.sweep(ROOM, chunk_max=chunk_max, heard_ms=heard_ms),
            lambda model, at: model.sweep(at, chunk_max, LAPSED_KEPT_MS, LAPSED_MAX, heard_ms),
        )

    @rule(memory=st.sampled_from([(250, 20, 9), (1, 0, 9), (2, 10_000, 1)]))
    def forget(self, memory: tuple[int, int, int]) -> None:
        """Sweep with a shorter memory than a room has."""
        k = keys.of(ROOM)
        where = (k.room, k.admitted, k.lapsed, k.slots)
        self._call(
            lambda: self.witness.run(SWEEP, where, (*memory, 0)),
            lambda model, at: model.sweep(at, *memory, 0),
        )

    @rule(mode=st.sampled_from([Mode.OPEN] * 6 + [*Mode]))
    def switch(self, mode: Mode) -> None:
        resumes = mode in ADMITTING and self.reference.mode not in ADMITTING
        self._change(["mode", mode], resumes=resumes, mode=mode)

    @rule(limits=LIMITS, names=st.sets(st.sampled_from([f.name for f in fields(Limits)])))
    def change(self, limits: Limits, names: set[str]) -> None:
        """Change some limits, between any two calls."""
        changes = {name: getattr(limits, name) for name in sorted(names)}
        if changes:
            words = [word for pair in changes.items() for word in pair]
            self._change(words, limits=replace(self.reference.limits, **changes))
            self.history.changed(self.reference.limits, self.witness.last.from_ms)

    @rule(per_s=st.sampled_from([1000.0, 5000.0, 100.0, 0.5, 0.0]), more=st.integers(-1, 4))
    def decide(self, per_s: float, more: int) -> None:
        """Let admission follow a shop, whose reports may say anything."""
        until = self.reference.counters["admitted"] + more
        words = (self.decided_ms, "full", repr(per_s), str(until), "")
        self._run(rooms.DECIDE, (ROOM_KEYS.room, ROOM_KEYS.rate), words)
        ((word, at_ms),) = self.witness.last.rows
        assert word == "decided"
        self.decided_ms = int(at_ms)
        before = self.reference.decided
        self.reference = replace(self.reference, decided=(per_s, until))
        self._settle(self.witness.last.rows, resumes=before is not None and before[0] <= 0 < per_s)

    @rule(forward_ms=st.sampled_from(STEPS_MS), sure=st.integers(0, 3))
    def step(self, forward_ms: int, sure: int) -> None:
        """Set the server's clock: to what is stored, an outage is a step forward."""
        # Seldom, or everything would happen in outages.
        if sure == 3 and self.reference.step(forward_ms):
            self.stepped = True
            for name in ("beat_ms", "lost_ms"):
                words = ("HINCRBY", keys.of(ROOM).room, name, -forward_ms)
                self.server.wait(self.store.command(*words))
            self.history.stepped(self.server.wait(self.server.now_ms()))

    @rule(ms=st.sampled_from([60_000, 20]))
    def age(self, ms: int) -> None:
        """Let the tokens have been counted earlier, as if that time had passed since."""
        if self.server.wait(self.store.command("HEXISTS", ROOM_KEYS.rate, "tokens_at")):
            self.server.wait(self.store.command("HINCRBY", ROOM_KEYS.rate, "tokens_at", -ms))
            self.reference.bucket_at_ms -= ms
            self.history.aged(self.server.wait(self.server.now_ms()), ms)
            self.aged = True

    @rule(by=st.sampled_from(["mode", "shop"]), ms=st.sampled_from([60_000, 20]))
    def stop_and_go_on(self, by: str, ms: int) -> None:
        """Admit nobody for a while, in which no admitter calls."""
        if by == "mode":
            self.switch(Mode.PAUSED)
        else:
            self.decide(0.0, 4)
        self.age(ms)
        if by == "mode":
            self.switch(Mode.OPEN)
        else:
            self.decide(5000.0, 4)
        self.admit([""], 250, heard=True)

    @rule(sure=st.integers(0, 7))
    def reset(self, sure: int) -> None:
        # Seldom, or nothing would ever last.
        if sure == 7:
            k = ROOM_KEYS
            where = (*k[: k.index(k.record)], k.origins, k.changes)
            self._call(
                lambda: self.witness.run(rooms.RESET, where, (WHO,)),
                lambda model, at: model.reset(at),
            )

    @rule()
    def survey(self) -> None:
        k = keys.of(ROOM)
        self._run(rooms.SURVEY, (k.room, k.waiting, k.admitted, k.rate), ())
        # What follows in the row is what is stored, which the model is compared with anyway.
        self.witness.last = self.witness.last._replace(rows=[self.witness.last.rows[0][:7]])
        self._agree(lambda model, at: model.survey(at))

    @rule()
    def lose(self) -> None:
        """Lose the answer to the next call; the caller will repeat it."""
        self.witness.losing = True

    @rule(until=UNTIL)
    def pass_time(self, until: str) -> None:
        """Wait for what comes next of a kind, if that is soon."""
        model, true_ms = self.reference, self.server.wait(self.server.now_ms())
        now_ms, stays = model.listened(true_ms), model.stays.values()
        match until:
            case "expiry":
                due = [stay.expires_ms for stay in stays if stay.admitted]
            case "silence":
                silent_ms = model.limits.idle_ms * 17 // 16 + 1
                due = [stay.heard_ms + silent_ms for stay in stays if stay.waits]
            case "token":
                due = [max(model.bucket_at_ms, 0) + int(1000 / model.limits.admit_per_s) + 1]
            case _:
                due = [model.lease_until_ms]
        soon = [at for at in due if now_ms < at <= now_ms + 60]
        if soon:
            self.server.wait(self._reach(true_ms + min(soon) - now_ms))

    @invariant()
    def audit_finds_nothing(self) -> None:
        seen = self.server.wait(audit.take_snapshot(self.store, ROOM))
        found = audit.examine(seen)
        if self.aged:
            # The audit goes by the times of admission, which `age` leaves; `History` checks Q5.
            found = [one for one in found if one.invariant != "Q5"]
        if self.stepped:
            # The listening clock may be ahead of the server's then, which does not really step.
            found = [one for one in found if one.invariant != "Q8"]
        assert found == []


def test_line_agrees_with_its_model(server: Server) -> None:
    LineMachine.server = server
    LineMachine.store = ValkeyClient(server.url, timeout_s=TIMEOUT_S)
    assert len(NAMES) <= BATCH_MAX
    try:
        run_state_machine_as_test(
            LineMachine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        server.wait(LineMachine.store.close())
