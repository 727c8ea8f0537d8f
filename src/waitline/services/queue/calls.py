"""Handlers of the visitors' hot calls: enter, status, activate, extend, validate, remove."""

import random
from collections.abc import Mapping
from functools import lru_cache
from math import ceil

import msgspec

from waitline.http.envelope import success
from waitline.http.problem_responses import RefusalWithData
from waitline.http.problems import InputInvalid
from waitline.http.requests import BLANK, Handler, Request, checked_name
from waitline.http.responses import JSON, Answer, Headers
from waitline.http.speculation import require_call_wanted
from waitline.kernel.batching import Batcher
from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import hints
from waitline.queue.model import (
    ACCOUNT_MARK,
    Again,
    Joined,
    Passed,
    RoomUnknown,
    Slot,
    Standing,
    State,
    TimeRanOut,
    TokenRejected,
    Unknown,
    VisitorUnknown,
    Waiting,
)
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import StayClaim
from waitline.services import identity
from waitline.services.identity import NO_PROOF, Identity, judge
from waitline.services.queue import texts
from waitline.services.queue.address_watch import AddressWatch
from waitline.services.queue.batchers import Batchers
from waitline.services.queue.minting import Tokens
from waitline.services.queue.now_serving import NowServingDocuments
from waitline.services.queue.statements import IDENTITY_HEADER, Statements
from waitline.services.queue.views import (
    EntryView,
    StatusView,
    ValidateBody,
    VisitorBody,
    passed_over,
    returned,
    slot_status,
)
from waitline.services.same_origin import SameOrigin
from waitline.tokens.proof import Proof

_visitor_body = msgspec.json.Decoder(VisitorBody)
_validate_body = msgspec.json.Decoder(ValidateBody)


class QueueCalls:
    """Answers the hot calls.

    Args:
        batchers: Run the verbs.
        rooms: Creates rooms at their first enter, in trial mode.
        new_room: The rules of such a room.
        documents: The pace of each room.
        tokens: Mints tickets and passes.
        statements: Verifies the statements of shops.
        who: Authenticates visitors.
        watch: Counts and limits client addresses.
        same_origin: Refuses writes from pages of other origins.

    Attributes:
        who: As given.
    """

    def __init__(
        self,
        *,
        batchers: Batchers,
        rooms: Rooms,
        new_room: Rules,
        documents: NowServingDocuments,
        tokens: Tokens,
        statements: Statements,
        who: Identity,
        watch: AddressWatch,
        same_origin: SameOrigin,
    ) -> None:
        self._watch = watch
        self._same_origin = same_origin
        self._batchers = batchers
        self._rooms = rooms
        self._new_room = new_room
        self._documents = documents
        self._tokens = tokens
        self._statements = statements
        self.who = who
        self._rng = random.Random()  # noqa: S311 - jitter

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Return the handlers by path and method."""
        base = "/api/v1/queue"
        return {
            f"{base}/enter": {"POST": self.enter},
            f"{base}/status": {"GET": self.status},
            f"{base}/activate": {"POST": self.activate},
            f"{base}/extend": {"POST": self.extend},
            f"{base}/validate": {"POST": self.validate},
            f"{base}/remove": {"DELETE": self.remove},
            f"{base}/token": {"DELETE": self.remove},
        }

    async def enter(self, request: Request) -> Answer:
        """Take a place, or answer with the place taken before.

        In production a place is shown only to its visitor, proven by token or visitor key: knowing
        a name must not be enough to impersonate its visitor. Retry-After says when to poll the
        status, since the contract has no member for it here.
        """
        require_call_wanted(request.headers)
        room, visitor = names_in(request.json(_visitor_body))
        mark = identity.given_mark(request, room, visitor)
        watch = self._watch
        if watch.blocked:
            watch.require_unblocked(request, room)
        if IDENTITY_HEADER in request.headers:
            mark = await self._statements.mark(request, room, visitor) or mark
        document = self._documents.cached(room)
        counted = False
        if document is None or document.limits_addresses:
            counted = await watch.allow(request, room, visitor)
        try:
            outcome = await self._batchers.join.enqueue(room, (visitor, mark))
        except RoomUnknown:
            if not self.who.trusting:
                raise
            await self._rooms.ensure(room, self._new_room)
            outcome = await self._batchers.join.enqueue(room, (visitor, mark))
        if not isinstance(outcome, Joined):
            return await self._entered_before(request, room, visitor, mark, outcome)
        if not counted:
            watch.count_place(request, room, visitor)
        place, joined_ms, ahead, total = outcome
        token = self._tokens.ticket(room, visitor, place, joined_ms, account=mark == ACCOUNT_MARK)
        pace = await self._documents.pace(room) if document is None else document.pace
        return self._entered(request, room, visitor, ahead, total, pace, token, new=True)

    def _entered(  # noqa: PLR0917 - one row of the contract
        self,
        request: Request,
        room: RoomId,
        visitor: VisitorId,
        ahead: int,
        total: int,
        pace: hints.PerSecond | None,
        token: str,
        *,
        new: bool,
    ) -> Answer:
        """Answer a visitor who waits, with the visitor's ticket."""
        wait = hints.wait_range(ahead + 1, pace)
        minutes = ceil(wait.high / 60) if wait else None
        data = EntryView(room, visitor, ahead + 1, total, minutes, State.WAITING, token, new)
        after_s = hints.first_poll_after_s(ahead + 1, self._rng.random())
        answer = success(request, texts.ENTERED, data, 201, headers=_asking_after(after_s))
        return answer if self.who.trusting else _with_cookie(answer, room, token)

    async def _entered_before(
        self,
        request: Request,
        room: RoomId,
        visitor: VisitorId,
        mark: str,
        standing: Again | Slot | Passed,
    ) -> Answer:
        """Answer for a place that was taken before this request.

        Without proof of being its visitor, the answer does not depend on the place: same body, same
        headers, constant time.
        """
        proof = self.who.proven(request, room, visitor)
        mine = (
            self.who.trusting
            or proof.belongs_to(standing.place, standing.joined_ms)
            or identity.has_mark(request, room, visitor, mark=mark, stored=standing.mark)
        )
        if not mine:
            data = EntryView(room, visitor, None, None, None, None, None, isNewEntry=False)
            return success(request, texts.ENTERED, data, 201)
        account = proof.account or mark == ACCOUNT_MARK
        place, joined_ms = standing.place, standing.joined_ms
        ticket = self._tokens.ticket(room, visitor, place, joined_ms, account=account)
        claim = (visitor, f"{place}-{joined_ms}")
        if isinstance(standing, Again):
            # Count the contact here: `join` does not, since it needs no proof.
            await self._batchers.status.enqueue(room, claim)
            ahead, total = standing.ahead, standing.total
            pace = await self._documents.pace(room)
            return self._entered(request, room, visitor, ahead, total, pace, ticket, new=False)
        if isinstance(standing, Passed):
            return await self._returned(request, room, claim, ticket)
        token = self._tokens.entry_pass(room, visitor, standing, account=account)
        total = (await self._documents.fetch(room)).survey.waiting
        data = EntryView(room, visitor, 0, total, 0, standing.state, token, isNewEntry=False)
        answer = success(request, texts.ENTERED, data, 201)
        return answer if self.who.trusting else _with_cookie(answer, room, ticket)

    async def _returned(
        self, request: Request, room: RoomId, claim: StayClaim, ticket: str
    ) -> Answer:
        """Answer a visitor who was passed over and is back: with the old place, if in time."""
        try:
            back = await self._batchers.rejoin.enqueue(room, claim)
        except TimeRanOut:
            # The time ran out just now, so this request takes a new place.
            return await self.enter(request)
        document = await self._documents.fetch(room)
        ahead, total = back.ahead, max(document.survey.waiting, back.ahead + 1)
        return self._entered(
            request, room, claim[0], ahead, total, document.pace, ticket, new=False
        )

    async def status(self, request: Request) -> Answer:
        """Answer with the visitor's status."""
        room, visitor = _parameters(request)
        proof = self._prove(request, room, visitor)
        claim = claim_of(visitor, proof)
        standing = await self._batchers.status.enqueue(room, claim)
        if isinstance(standing, Passed):
            standing = await self.rejoined(room, claim, standing)
        return success(request, texts.STATUS, self.status_view(room, visitor, standing, proof))

    async def rejoined(self, room: RoomId, claim: StayClaim, passed: Passed) -> Standing:
        """Return the standing of a visitor who was passed over, back in the line if in time."""
        if passed.left_ms == 0:
            return passed
        try:
            return await self._batchers.rejoin.enqueue(room, claim)
        except TimeRanOut:
            return passed._replace(left_ms=0)

    def status_view(
        self, room: RoomId, visitor: VisitorId, standing: Standing, proof: Proof
    ) -> StatusView:
        """Return the view of a visitor's status.

        Raises:
            RefusalWithData: `VisitorUnknown`, with the status NOT_FOUND in its data.
            TokenRejected: The token is for an earlier place.
        """
        if isinstance(standing, Unknown):
            data = slot_status(room, visitor, None, State.NOT_FOUND)
            raise RefusalWithData(VisitorUnknown(), msgspec.to_builtins(data))
        if proof.genuine and not proof.belongs_to(standing.place, standing.joined_ms):
            raise TokenRejected
        if isinstance(standing, Waiting):
            token = self._tokens.ticket(
                room, visitor, standing.place, standing.joined_ms, account=proof.account
            )
            position = standing.ahead + 1
            return StatusView(
                room,
                visitor,
                token,
                State.WAITING,
                position,
                None,
                0,
                hints.poll_after_ms(position, self._rng.random()),
                hints.POLL_LEAST_MS,
                returned(standing.returned_ms) if standing.returned_ms else None,
            )
        if isinstance(standing, Passed):
            return passed_over(room, visitor, standing)
        return self._slot(room, visitor, standing, proof)

    def _slot(self, room: RoomId, visitor: VisitorId, slot: Slot, proof: Proof) -> StatusView:
        token = None
        if slot.state is not State.EXPIRED:
            token = self._tokens.entry_pass(room, visitor, slot, account=proof.account)
        return slot_status(room, visitor, token, slot.state, slot.expires_ms, slot.extensions)

    async def activate(self, request: Request) -> Answer:
        """Start the visitor's time."""
        room, visitor = _parameters(request)
        proof = self.prove_write(request, room, visitor)
        slot = await _judged(self._batchers.activate, room, visitor, proof)
        return success(request, texts.ACTIVATED, self._slot(room, visitor, slot, proof))

    async def extend(self, request: Request) -> Answer:
        """Renew the visitor's time."""
        room, visitor = names_in(request.json(_visitor_body))
        proof = self.prove_write(request, room, visitor)
        slot = await _judged(self._batchers.extend, room, visitor, proof)
        return success(request, texts.EXTENDED, self._slot(room, visitor, slot, proof))

    async def validate(self, request: Request) -> Answer:
        """Check whether a token is valid for its visitor now."""
        body = request.json(_validate_body)
        room, visitor = names_in(body)
        if body.token is None:
            proof = NO_PROOF
        elif not body.token.strip():
            raise InputInvalid("token", BLANK)
        else:
            proof = self.who.proof_of(body.token, room, visitor)
        try:
            turn: Slot | Refused = await self._batchers.validate.enqueue(room, visitor)
        except Refused as refusal:
            turn = refusal
        if not proof.genuine and not isinstance(turn, VisitorUnknown):
            raise TokenRejected
        judge(turn, proof)
        return success(request, texts.VALID, None)

    async def remove(self, request: Request) -> Answer:
        """Give up place or slot; a repeat does nothing."""
        room, visitor = _parameters(request)
        proof = self.prove_write(request, room, visitor)
        await self._batchers.leave.enqueue(room, claim_of(visitor, proof))
        return success(request, texts.REMOVED, None)

    def prove_write(self, request: Request, room: RoomId, visitor: VisitorId) -> Proof:
        """Return what the token of a call proves that changes the visitor's standing.

        Raises:
            CrossSite: A page of another origin makes the call.
            TokenRejected: The token is not the visitor's, or is missing in production.
        """
        self._same_origin.check(request)
        return self._prove(request, room, visitor)

    def _prove(self, request: Request, room: RoomId, visitor: VisitorId) -> Proof:
        if self._watch.blocked:
            self._watch.require_unblocked(request, room)
        return self.who.prove(request, room, visitor)


async def _judged(
    batcher: Batcher[RoomId, StayClaim, Slot], room: RoomId, visitor: VisitorId, proof: Proof
) -> Slot:
    try:
        turn: Slot | Refused = await batcher.enqueue(room, claim_of(visitor, proof))
    except Refused as refusal:
        turn = refusal
    return judge(turn, proof)


def claim_of(visitor: VisitorId, proof: Proof) -> StayClaim:
    """Return a visitor with the stay that the token proves; 0 in trial mode without a token."""
    return visitor, proof.stay if proof.place else 0


def names_in(body: VisitorBody) -> tuple[RoomId, VisitorId]:
    """Return the room and the visitor that a body names."""
    return (
        RoomId(checked_name("concertId", str(body.concertId))),
        VisitorId(checked_name("userId", str(body.userId))),
    )


def _parameters(request: Request) -> tuple[RoomId, VisitorId]:
    return RoomId(request.parameter("concertId")), VisitorId(request.parameter("userId"))


def _with_cookie(answer: Answer, room: RoomId, ticket: str) -> Answer:
    headers = (*answer.headers, identity.ticket_cookie(room, ticket))
    return Answer(answer.status, headers, answer.body)


@lru_cache(maxsize=ceil(hints.POLL_MAX_MS * (1 + hints.POLL_JITTER) / 1000) + 1)
def _asking_after(seconds: int) -> Headers:
    return (*JSON, (b"retry-after", b"%d" % seconds))
