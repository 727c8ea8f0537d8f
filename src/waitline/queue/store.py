"""Visitor commands of the line: one typed method per script, for a batch of visitors of one room.

Within a batch a refusal is a value; the batcher raises it in its request.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.model import (
    BATCH_MAX,
    LAPSED_KEPT_MS,
    LAPSED_MAX,
    UNKNOWN,
    Again,
    ExtensionsSpent,
    Held,
    Joined,
    Leased,
    Left,
    Moved,
    Passed,
    RoomChanged,
    RoomClosed,
    RoomFull,
    RoomUnknown,
    Slot,
    Standing,
    State,
    StatementMissing,
    StoreFull,
    Swept,
    TimeRanOut,
    TokenRejected,
    TooManyStreams,
    Unknown,
    Unsure,
    VisitorUnknown,
    Waiting,
)
from waitline.valkey import scripts

JOIN = scripts.load("waitline.queue", "join")
REJOIN = scripts.load("waitline.queue", "rejoin")
STATUS = scripts.load("waitline.queue", "status")
VALIDATE = scripts.load("waitline.queue", "validate")
ACTIVATE = scripts.load("waitline.queue", "activate")
EXTEND = scripts.load("waitline.queue", "extend")
LEAVE = scripts.load("waitline.queue", "leave")
ADMIT = scripts.load("waitline.queue", "admit")
SWEEP = scripts.load("waitline.queue", "sweep")
SUBSCRIBE = scripts.load("waitline.queue", "subscribe")

STREAM_BURST = 10
STREAM_REFILL_MS = 2_000
"""Rate limit of opening streams, per visitor: the burst, and the time in ms in which one more is
allowed. Source: the wire contract."""

StayClaim = tuple[VisitorId, str | int]
"""A visitor, and the stay that its token proves (`Proof.stay`); 0 where no token is required."""

NO_STAY = ""
"""The claim of a caller who acts for no visitor: no stay has it."""

Turn = Slot | Refused
"""Outcome of activate, extend and validate: the slot, or the refusal."""

T = TypeVar("T")
_Table = Mapping[str, Callable[..., T]]

_IN_LINE = (Joined, Again)
_READY = partial(Slot, State.READY)
_ACTIVE = partial(Slot, State.ACTIVE)
_EXPIRED = partial(Slot, State.EXPIRED)


def _refuse(refusal: type[Refused]) -> Callable[..., Refused]:
    """Return a function that makes the refusal and ignores the rest of the row."""
    return lambda *_: refusal()


# The outcome of each word that a script returns. A test compares them with the scripts' headers.
JOINED: _Table[Joined | Again | Slot | Passed | Refused | Unavailable] = {
    "joined": Joined,
    "again": Again,
    "ready": _READY,
    "active": _ACTIVE,
    "passed": Passed,
    "unstated": StatementMissing,
    "stale": lambda: RoomChanged("the room's identity has changed"),
    "full": RoomFull,
    "closed": RoomClosed,
    "no_room": RoomUnknown,
    "no_memory": StoreFull,
}
STANDING: _Table[Standing] = {
    "waiting": Waiting,
    "returned": Waiting,
    "ready": _READY,
    "active": _ACTIVE,
    "expired": _EXPIRED,
    "passed": Passed,
    "unknown": lambda: UNKNOWN,
}
REJOINED: _Table[Waiting | Refused] = {
    "waiting": Waiting,
    "returned": Waiting,
    "late": _refuse(TimeRanOut),
    "unknown": _refuse(VisitorUnknown),
    "stranger": _refuse(TokenRejected),
}
VALIDATED: _Table[Turn] = {
    "queued": _refuse(TokenRejected),
    "ready": _READY,
    "active": _ACTIVE,
    "expired": _EXPIRED,
    "unknown": _refuse(VisitorUnknown),
}
ACTIVATED: _Table[Turn] = {
    "active": _ACTIVE,
    "expired": _refuse(TimeRanOut),
    "queued": _refuse(TokenRejected),
    "unknown": _refuse(VisitorUnknown),
    "stranger": _refuse(TokenRejected),
}
EXTENDED: _Table[Turn] = {
    "active": _ACTIVE,
    "ready": _refuse(TokenRejected),
    "expired": _refuse(TimeRanOut),
    "spent": ExtensionsSpent,
    "queued": _refuse(TokenRejected),
    "unknown": _refuse(VisitorUnknown),
    "stranger": _refuse(TokenRejected),
}
LEFT: _Table[Left | Unknown | Refused] = {
    "left": Left,
    "absent": lambda: UNKNOWN,
    "stranger": _refuse(TokenRejected),
}
MOVED: _Table[Moved | Leased | Held | Unsure | Refused] = {
    "moved": Moved,
    "leased": Leased,
    "held": Held,
    "unsure": Unsure,
    "no_room": RoomUnknown,
}
SWEPT: _Table[Swept | Unsure] = {
    "unsure": Unsure,
    "swept": lambda lapsed, forgotten, more: Swept(lapsed, forgotten, bool(more)),
}
SUBSCRIBED: _Table[TooManyStreams | None] = {"granted": lambda: None, "refused": TooManyStreams}


def _outcomes(table: _Table[T], rows: Sequence[scripts.Row]) -> list[T]:
    """Turn rows into outcomes; an unknown word is a bug and raises `KeyError`."""
    return [table[row[0]](*row[1:]) for row in rows]


class Store(Protocol):
    """A server that runs scripts and single commands."""

    async def run(
        self, script: scripts.Script, keys: Sequence[str], args: Sequence[str | float]
    ) -> Sequence[scripts.Row]:
        """Run a script and return its rows; raise `Unavailable` if no reply came in time."""
        ...

    async def command(self, *words: str | float) -> Any:  # noqa: ANN401 - whatever it replies
        """Run one command; raise `Unavailable` if no reply came in time."""
        ...


class Line:
    """The lines of all rooms.

    Args:
        runner: Runs the scripts.
        confirming: Runs what changes a visitor's standing, and answers once that is confirmed
            (decision 0041); `None` for `runner`.
    """

    def __init__(self, runner: Store, confirming: Store | None = None) -> None:
        self._runner = runner
        self._confirming = confirming or runner

    async def join(
        self, room: RoomId, visitors: Sequence[VisitorId], marks: Sequence[str] = ()
    ) -> list[Joined | Again | Slot | Passed | Refused | Unavailable]:
        """Take the next places, once per visitor.

        Args:
            room: The room.
            visitors: 1 to `BATCH_MAX`, in the order of their requests; repeats allowed.
            marks: The mark of each, at most `MARK_MAX` characters, empty for none; no
                marks at all if none has one.

        Returns:
            One outcome per visitor, in the same order: `Joined` exactly once per stay.
            Refusals are `StatementMissing`, `RoomFull`, `RoomClosed`, `RoomUnknown`; `RoomChanged`
            for `ACCOUNT_MARK` in a room that takes no statements; `StoreFull` where the server has
            no memory for new visitors. A visitor at the head of the line wakes the room.

        Invariant:
            Q1, Q2, Q10.
        """
        k = keys.of(room)
        where = (k.room, k.waiting, k.heard, k.admitted, k.lapsed, k.slots)
        assert 1 <= len(visitors) <= BATCH_MAX
        assert len(marks) in {0, len(visitors)}
        args: list[str | int] = [len(visitors), *visitors, *marks]
        outcomes = _outcomes(JOINED, await self._confirming.run(JOIN, where, args))
        if _leads(outcomes):
            # The places are taken, so the caller gets them. The admitter's patrol finds the room.
            with suppress(Unavailable):
                await self._runner.command("SADD", keys.AWAKE, room)
        return outcomes

    async def rejoin(self, room: RoomId, claims: Sequence[StayClaim]) -> list[Waiting | Refused]:
        """Give the old place back to each of 1 to `BATCH_MAX` visitors who were passed over.

        Returns:
            The place; or `TimeRanOut` (the time to return is over, or the visitor was not passed
            over), `TokenRejected` (the token is for another place), `VisitorUnknown`.

        Invariant:
            Q1, Q3, Q6, Q9.
        """
        k = keys.of(room)
        where = (k.room, k.waiting, k.heard, k.lapsed, k.slots)
        outcomes = _outcomes(REJOINED, await self._change(REJOIN, where, claims))
        if any(isinstance(one, Waiting) for one in outcomes):
            # As after a join: the patrol finds the room if this did not wake it.
            with suppress(Unavailable):
                await self._runner.command("SADD", keys.AWAKE, room)
        return outcomes

    async def status(self, room: RoomId, claims: Sequence[StayClaim]) -> list[Standing]:
        """Return the standing of each of 1 to `BATCH_MAX` visitors.

        The call counts as contact of those whose claim is for their present stay, or 0; `NO_STAY`
        only looks.

        Invariant:
            Q9.
        """
        assert 1 <= len(claims) <= BATCH_MAX
        k = keys.of(room)
        where = (k.room, k.waiting, k.heard, k.slots, k.lapsed)
        visitors, stays = zip(*claims, strict=True)
        # Where no token is required, as in trial mode, none is sent.
        sent = () if stays.count(0) == len(stays) else stays
        args = (len(visitors), *visitors, *sent)
        return _outcomes(STANDING, await self._runner.run(STATUS, where, args))

    async def validate(self, room: RoomId, visitors: Sequence[VisitorId]) -> list[Turn]:
        """Return the slot of each of 1 to `BATCH_MAX` visitors; read-only, and not a contact.

        Returns:
            A slot that is READY, ACTIVE or EXPIRED; or `TokenRejected` (still waiting),
            `VisitorUnknown`.
        """
        assert 1 <= len(visitors) <= BATCH_MAX
        k = keys.of(room)
        where = (k.room, k.waiting, k.slots)
        return _outcomes(VALIDATED, await self._runner.run(VALIDATE, where, visitors))

    async def activate(self, room: RoomId, claims: Sequence[StayClaim]) -> list[Turn]:
        """Start the time of each of 1 to `BATCH_MAX` ready visitors, once.

        Returns:
            An ACTIVE slot; or `TimeRanOut`, `TokenRejected` (still waiting, or the token is for
            another place), `VisitorUnknown`.

        Invariant:
            Q9.
        """
        k = keys.of(room)
        where = (k.room, k.waiting, k.admitted, k.slots)
        return _outcomes(ACTIVATED, await self._change(ACTIVATE, where, claims))

    async def extend(self, room: RoomId, claims: Sequence[StayClaim]) -> list[Turn]:
        """Renew the time of each of 1 to `BATCH_MAX` active visitors.

        Returns:
            An ACTIVE slot; or `ExtensionsSpent`, `TimeRanOut`, `TokenRejected` (not active yet,
            or the token is for another place), `VisitorUnknown`.

        Invariant:
            Q8, Q9.
        """
        k = keys.of(room)
        where = (k.room, k.waiting, k.admitted, k.slots)
        return _outcomes(EXTENDED, await self._change(EXTEND, where, claims))

    async def leave(
        self, room: RoomId, claims: Sequence[StayClaim]
    ) -> list[Left | Unknown | Refused]:
        """Give up the place or slot of each of 1 to `BATCH_MAX` visitors; a repeat is `Unknown`.

        Invariant:
            Q9.
        """
        k = keys.of(room)
        where = (k.room, k.waiting, k.heard, k.admitted, k.lapsed, k.slots, k.departed)
        return _outcomes(LEFT, await self._change(LEAVE, where, claims))

    async def admit(
        self,
        room: RoomId,
        *,
        holder: str,
        lease_ms: int,
        chunk_max: int,
        heard_ms: int = 0,
        mono_ms: int = 0,
        confirmed: bool = False,
    ) -> Moved | Leased | Held | Unsure:
        """Admit the head of the line, at most one chunk.

        Args:
            room: The room.
            holder: Name of the caller, for the lease; empty for no lease.
            lease_ms: Duration of the lease.
            chunk_max: Most visitors to move, 1 to `CHUNK_MAX`.
            heard_ms: When a worker last listened, by the server's clock; 0 if unknown.
            mono_ms: The caller's monotonic clock; 0 if unknown.
            confirmed: Whether callers confirm each chunk on a replica before the next.

        Raises:
            RoomUnknown: There is no such room.

        Invariant:
            Q3, Q4, Q5, Q6.
        """
        k = keys.of(room)
        where = (k.room, k.waiting, k.heard, k.admitted, k.lapsed, k.slots, k.rate, k.record)
        args = (holder, lease_ms, chunk_max, heard_ms, mono_ms, int(confirmed))
        rows = await self._runner.run(ADMIT, where, args)
        outcome = _outcomes(MOVED, rows)[0]
        if isinstance(outcome, Refused):
            raise outcome
        return outcome

    async def sweep(
        self, room: RoomId, *, chunk_max: int, heard_ms: int = 0, confirmed: bool = False
    ) -> Swept | Unsure:
        """Free expired slots, and forget old lapsed visitors: at most a chunk of each.

        Args:
            room: The room.
            chunk_max: Most slots to free, and most visitors to forget, 1 to `CHUNK_MAX`.
            heard_ms: When a worker last listened, by the server's clock; 0 if unknown.
            confirmed: As for `admit`.
        """
        k = keys.of(room)
        rows = await self._runner.run(
            SWEEP,
            (k.room, k.admitted, k.lapsed, k.slots),
            (chunk_max, LAPSED_KEPT_MS, LAPSED_MAX, heard_ms, int(confirmed)),
        )
        return _outcomes(SWEPT, rows)[0]

    async def subscribe(self, room: RoomId, visitor: VisitorId) -> None:
        """Count the opening of a stream against the visitor's rate limit.

        Raises:
            TooManyStreams: The limit is reached.
        """
        rows = await self._runner.run(
            SUBSCRIBE, (keys.of(room).streams,), (STREAM_BURST, STREAM_REFILL_MS, visitor)
        )
        refusal = _outcomes(SUBSCRIBED, rows)[0]
        if refusal is not None:
            raise refusal

    async def _change(
        self, script: scripts.Script, where: Sequence[str], claims: Sequence[StayClaim]
    ) -> Sequence[scripts.Row]:
        assert 1 <= len(claims) <= BATCH_MAX
        return await self._confirming.run(script, where, _flat(claims))


def _leads(outcomes: Sequence[object]) -> bool:
    """Return whether one of them is at the head of the line."""
    for each in outcomes:  # noqa: SIM110 - takes half the time of a generator, per visitor
        if isinstance(each, _IN_LINE) and each.ahead == 0:
            return True
    return False


def _flat(claims: Sequence[StayClaim]) -> list[Any]:
    return [word for claim in claims for word in claim]
