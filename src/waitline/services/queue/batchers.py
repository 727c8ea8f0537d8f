"""Batchers of the visitors' verbs: one each, for the life of a worker."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from waitline.kernel.batching import Batcher
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.utilisation import Utilisation
from waitline.queue.addresses import Addresses, Newcomer
from waitline.queue.batches import line_batcher
from waitline.queue.claims import BrowserClaim, Claims
from waitline.queue.model import Again, Joined, Passed, Slot, Standing, Waiting
from waitline.queue.slides import Slides
from waitline.queue.store import Line, StayClaim
from waitline.queue.walk_ins import WalkedIn, WalkIns


@dataclass(frozen=True, slots=True)
class Batchers:
    """One batcher per verb, for as long as `jobs` run."""

    join: Batcher[RoomId, tuple[VisitorId, str], Joined | Again | Slot | Passed]
    rejoin: Batcher[RoomId, StayClaim, Waiting]
    status: Batcher[RoomId, StayClaim, Standing]
    validate: Batcher[RoomId, VisitorId, Slot]
    activate: Batcher[RoomId, StayClaim, Slot]
    extend: Batcher[RoomId, StayClaim, Slot]
    leave: Batcher[RoomId, StayClaim, object]
    walk_in: Batcher[RoomId, VisitorId, WalkedIn]
    slide: Batcher[RoomId, StayClaim, Slot]
    claim: Batcher[RoomId, BrowserClaim, None]
    allow: Batcher[RoomId, Newcomer, bool]

    @classmethod
    def of(
        cls, line: Line, addresses: Addresses, walk_ins: WalkIns, slides: Slides, claims: Claims
    ) -> "Batchers":
        """Build one per verb of the line, and one for limits of client addresses."""
        utilisation = Utilisation()
        return cls(
            join=line_batcher("join", partial(_join, line), utilisation),
            rejoin=line_batcher("rejoin", line.rejoin, utilisation),
            status=line_batcher("status", line.status, utilisation),
            validate=line_batcher("validate", line.validate, utilisation),
            activate=line_batcher("activate", line.activate, utilisation),
            extend=line_batcher("extend", line.extend, utilisation),
            leave=line_batcher("leave", line.leave, utilisation),
            walk_in=line_batcher("walk_in", walk_ins.walk_in, utilisation),
            slide=line_batcher("slide", slides.slide, utilisation),
            claim=line_batcher("claim", claims.claim, utilisation),
            allow=line_batcher("allow", addresses.allow, utilisation),
        )

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """Return the batchers' loops, to run while they are in use."""
        return [
            batcher.run()
            for batcher in (
                self.join,
                self.rejoin,
                self.status,
                self.validate,
                self.activate,
                self.extend,
                self.leave,
                self.walk_in,
                self.slide,
                self.claim,
                self.allow,
            )
        ]


async def _join(
    line: Line, room: RoomId, arrivals: Sequence[tuple[VisitorId, str]]
) -> Sequence[Joined | Again | Slot | Passed | Refused | Unavailable]:
    """Join visitors, each with a mark; most batches of other clients than the page have none."""
    visitors, marks = zip(*arrivals, strict=True)
    return await line.join(room, visitors, marks if any(marks) else ())
