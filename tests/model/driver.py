"""Call a room and its reference model alike, and compare them after each call."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine

from tests.model.draws import LEASE_MS, NAMES, Drawn
from tests.model.invariants import History
from tests.model.reference import Reference
from tests.model.stay import Row
from tests.model.witness import TIMEOUT_S, Seen, Witness
from tests.servers import Server
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys, rooms
from waitline.queue.limits import Limits
from waitline.queue.settings import Mode
from waitline.queue.slides import Slides
from waitline.queue.store import Line, StayClaim
from waitline.queue.walk_ins import WalkIns
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

ROOM = RoomId("model")
ROOM_KEYS = keys.of(ROOM)
CHANGED_KEYS = (
    ROOM_KEYS.room, ROOM_KEYS.waiting, ROOM_KEYS.admitted, ROOM_KEYS.rate, ROOM_KEYS.changes,
)  # fmt: skip

WHO = "operator of the model"
"""Author of the operator's changes, for the room's log."""


class Driver(RuleBasedStateMachine):
    """The calls of a room, and of its model."""

    server: ClassVar[Server]
    store: ClassVar[ValkeyClient]
    reference: Reference
    decided_ms: int
    listens: bool
    newcomers: int

    def _open(self, limits: Limits) -> None:
        self.server.wait(self.server.clear())
        self.witness = Witness(self.store, ROOM)
        self.line = Line(self.witness)
        self.slides, self.walk_ins = Slides(self.witness), WalkIns(self.witness)
        k = keys.of(ROOM)
        words = [WHO, "mode", "open", "standby", "on", *_words(limits)]
        self._run(rooms.OPEN, (k.room, k.rate, k.changes), words)
        seen = self.witness.last
        assert seen.rows == [("opened",)]
        opened_ms = seen.contents.bucket[1]
        assert seen.from_ms <= opened_ms <= seen.to_ms
        self.reference = Reference(limits, Mode.OPEN, opened_ms)
        self.decided_ms = 0
        assert seen.contents == self.reference.contents()
        self.history = History(limits, seen.contents, opened_ms)

    def _run(self, script: scripts.Script, where: Sequence[str], args: Sequence[str | int]) -> None:
        lost, self.witness.losing = self.witness.losing, False
        self.server.wait(self.witness.run(script, where, args))
        self.witness.losing = lost

    def _admit(self, holder: str, chunk_max: int, *, heard: bool) -> None:
        heard_ms = self._heard_ms(heard=heard)
        self._call(
            lambda: self.line.admit(
                ROOM, holder=holder, lease_ms=LEASE_MS, chunk_max=chunk_max, heard_ms=heard_ms
            ),
            lambda model, at: model.admit(at, holder, LEASE_MS, chunk_max, heard_ms),
        )

    def _heard_ms(self, *, heard: bool) -> int:
        """When a worker last listened: now, or nobody knows."""
        return self.server.wait(self.server.now_ms()) if heard and self.listens else 0

    def _change(
        self, words: list[Any], *, resumes: bool = False, **changes: Limits | Mode | bool
    ) -> None:
        self._run(rooms.CHANGE, CHANGED_KEYS, [WHO, *words])
        self.reference = replace(self.reference, **changes)  # type: ignore[arg-type]  # by name
        self._settle([("changed",)], resumes=resumes)

    def _settle(self, rows: list[Row], *, resumes: bool) -> None:
        """Compare an operator's change; one that lets a room admit again empties its bucket."""
        seen = self.witness.last
        if resumes:
            self.history.emptied(seen.from_ms)
        self._remember(seen)
        for at_ms in range(seen.from_ms, seen.to_ms + 1):
            if resumes:
                self.reference.empty_bucket(self.reference.listened(at_ms))
            if (seen.rows, seen.contents) == (rows, self.reference.contents()):
                return
        self._differ(rows, self.reference)

    def _call(
        self,
        ask: Callable[[], Coroutine[Any, Any, object]],
        verb: Callable[[Reference, int], list[Row]],
    ) -> None:
        """Call; the answer lost, call again, as any client does."""
        try:
            self.server.wait(ask())
        except Unavailable:
            self._agree(verb)
            self.server.wait(ask())
        self._agree(verb)

    def _agree(self, verb: Callable[[Reference, int], list[Row]]) -> None:
        seen = self.witness.last
        self._remember(seen)
        tried = []
        for at_ms in range(seen.from_ms, seen.to_ms + 1):
            model = deepcopy(self.reference)
            tried.append((verb(model, at_ms), model))
            if tried[-1][0] == seen.rows and model.contents() == seen.contents:
                self.reference = model
                return
        self._differ(*tried[0])

    def _remember(self, seen: Seen) -> None:
        self.history.add(seen)

    def _differ(self, rows: list[Row], model: Reference) -> None:
        """Say what the server did that the model does not."""
        assert self.witness.last.rows == rows
        assert self.witness.last.contents == model.contents()

    def _claims(self, drawn: list[Drawn]) -> list[StayClaim]:
        claims: list[StayClaim] = []
        for who, kind in drawn:
            visitor = self._who(*who)
            stay = self.reference.stays.get(visitor)
            place, joined_ms = (stay.place, stay.joined_ms) if stay else (1, 1)
            other_place, earlier_ms = kind == "wrong", kind == "earlier"
            stay_text = f"{place + other_place}-{joined_ms - earlier_ms}"
            claims.append((visitor, 0 if kind == "none" else stay_text))
        return claims

    def _who(self, where: str, number: int) -> VisitorId:
        stays = self.reference.stays.items()
        standing = {
            "admitted": sorted(visitor for visitor, stay in stays if stay.admitted),
            "waiting": self.reference.line(),
            "passed": sorted(visitor for visitor, stay in stays if stay.letter == "P"),
        }
        chosen = standing.get(where) or NAMES
        return chosen[number % len(chosen)]

    def _newcomer(self) -> VisitorId:
        self.newcomers += 1
        return VisitorId(f"w{self.newcomers}")

    async def _reach(self, at_ms: int) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while await self.server.now_ms() < at_ms:
                pass


def _words(limits: Limits) -> list[Any]:
    return [word for item in fields(limits) for word in (item.name, getattr(limits, item.name))]
