"""Access check behind a circuit breaker: every step of a visitor requires admission.

Tokens are verified locally. Whether the visitor is still inside is checked in the waiting room:
through the store if both services share one, else over HTTP. A circuit breaker guards this check.
While the waiting room is down, visitors are refused, or those with an unexpired pass are admitted,
as configured for the installation or the concert.
"""

import asyncio
from typing import Protocol

import aiohttp
import msgspec
import structlog

from waitline.booking.catalogue_model import QueueDown
from waitline.http.requests import Request
from waitline.kernel.circuit_breaker import CircuitBreaker
from waitline.kernel.clock import Clock
from waitline.kernel.documents import parse_json
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.request_context import outgoing, step
from waitline.kernel.utilisation import Utilisation
from waitline.queue.batches import line_batcher
from waitline.queue.model import Slot, TimeRanOut, TokenRejected, VisitorUnknown
from waitline.queue.store import Line
from waitline.services.booking.session_cookie import session_token
from waitline.services.identity import Identity, given_token, judge
from waitline.settings import Settings
from waitline.tokens.keyring_file import Keys
from waitline.tokens.proof import Proof
from waitline.valkey.client import ValkeyClient

TIMEOUT_S = 0.3
"""Timeout of the check. It normally takes a few ms; a visitor should get an error before trying
again."""

LATE_S = 0.02
"""Lag that distinguishes a stall of this process from a slow waiting room: if the timeout fires
later than this, the event loop was blocked, and the check is retried once."""

LEAVE_S = 2.0
"""Timeout of leaving. The visitor has finished, and a slot that is not freed runs out by itself."""

CONNECTIONS_MAX = 64
"""Connections to the queue service per worker: at a few ms per request, more than a worker can
use."""

ASKED_MAX = 1_024
"""Load shedding: most requests to the queue service per worker, waiting or in progress. More would
time out."""

ANSWER_BYTES_MAX = 16_384
"""Most bytes read of an answer; a refusal has a few hundred."""

NOT_IN_TIME = "not in time"

log = structlog.get_logger()


class WaitingRoom(Protocol):
    """Port to the waiting room."""

    async def validate(self, room: RoomId, visitor: VisitorId, token: str, proof: Proof) -> None:
        """Check that the visitor is inside.

        Args:
            room: The room.
            visitor: The visitor.
            token: The visitor's token.
            proof: What the token proves.

        Raises:
            VisitorUnknown, TokenRejected, TimeRanOut: The visitor is not inside.
            Unavailable: The waiting room does not answer.
        """
        ...

    async def leave(self, room: RoomId, visitor: VisitorId, token: str, proof: Proof) -> None:
        """Free the visitor's slot; idempotent.

        Args:
            room: The room.
            visitor: The visitor.
            token: The visitor's token.
            proof: What the token proves.

        Raises:
            Unavailable: The waiting room does not answer.
        """
        ...

    async def run(self) -> None:
        """Run background jobs until cancelled."""
        ...


class SharedStore:
    """The waiting room through the shared store; concurrent checks are batched.

    Args:
        line: The line in the store.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._validate = line_batcher("validate", line.validate, Utilisation())

    async def validate(self, room: RoomId, visitor: VisitorId, token: str, proof: Proof) -> None:  # noqa: ARG002
        """See `WaitingRoom.validate`."""
        try:
            turn: Slot | Refused = await self._validate.enqueue(room, visitor)
        except Refused as refusal:
            turn = refusal
        judge(turn, proof)

    async def leave(self, room: RoomId, visitor: VisitorId, token: str, proof: Proof) -> None:  # noqa: ARG002
        """See `WaitingRoom.leave`."""
        await self._line.leave(room, [(visitor, proof.stay)])

    async def run(self) -> None:
        """See `WaitingRoom.run`."""
        await self._validate.run()


class _Problem(msgspec.Struct, frozen=True):
    code: str = ""


_REFUSED: dict[str, type[Refused]] = {
    "Q001": VisitorUnknown,
    "Q002": TimeRanOut,
    "Q003": TokenRejected,
}


class QueueService:
    """The waiting room through the queue service's HTTP API, one request per check.

    Args:
        url: Base URL of the service, without a path.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/api/v1/queue/validate"
        self._leave_url = url.rstrip("/") + "/api/v1/queue/remove"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            # The doorman has its own timeout.
            timeout=aiohttp.ClientTimeout(),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._asked = 0

    async def validate(self, room: RoomId, visitor: VisitorId, token: str, proof: Proof) -> None:  # noqa: ARG002
        """See `WaitingRoom.validate`."""
        if self._asked >= ASKED_MAX:
            raise Unavailable("too many requests to the queue service are pending")
        self._asked += 1
        try:
            status, answer = await self._post(
                {"concertId": room, "userId": visitor, "token": token}
            )
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the queue service does not answer: {error}") from None
        finally:
            self._asked -= 1
        if status == 200:  # noqa: PLR2004
            return
        try:
            refusal = _REFUSED[parse_json(answer, _Problem).code]
        except (msgspec.DecodeError, KeyError):
            raise Unavailable(f"the queue service answers {status}") from None
        raise refusal

    async def leave(self, room: RoomId, visitor: VisitorId, token: str, proof: Proof) -> None:  # noqa: ARG002
        """See `WaitingRoom.leave`."""
        who = {"concertId": room, "userId": visitor}
        try:
            async with self._session.delete(
                self._leave_url,
                params=who,
                headers={"X-Queue-Token": token, **outgoing()},
                allow_redirects=False,
            ) as response:
                status = response.status
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the queue service does not answer: {error}") from None
        if status >= 500:  # noqa: PLR2004 - a refusal means that the visitor is not inside
            raise Unavailable(f"the queue service answers {status}")

    async def _post(self, body: dict[str, str]) -> tuple[int, bytes]:
        async with self._session.post(
            self._url, json=body, headers=outgoing(), allow_redirects=False
        ) as response:
            answer = bytearray()
            async for part in response.content.iter_any():
                answer += part
                if len(answer) > ANSWER_BYTES_MAX:
                    raise Unavailable("the queue service's answer is too long")
            return response.status, bytes(answer)

    async def run(self) -> None:
        """See `WaitingRoom.run`: close the connections at the end."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self._session.close()


class Doorman:
    """Checks that visitors are admitted.

    Its `run` must be running.

    Args:
        who: Verifies tokens.
        waiting_room: Where admission is checked.
        clock: For the expiry of passes while the waiting room is down.
        queue_down: Policy while the waiting room is down, for concerts without their own. Admission
            without a check requires an unexpired pass. A ticket is not enough: waiting visitors
            have one too.
    """

    def __init__(
        self, who: Identity, waiting_room: WaitingRoom, clock: Clock, *, queue_down: QueueDown
    ) -> None:
        self._who = who
        self._waiting_room = waiting_room
        self._clock = clock
        self._queue_down = queue_down
        self._breaker = CircuitBreaker()

    @classmethod
    def of(cls, settings: Settings, keys: Keys, store: ValkeyClient, clock: Clock) -> "Doorman":
        """Build one from the settings.

        Args:
            settings: The installation's settings.
            keys: The keys that tokens are signed with.
            store: The store that both services share; unused if the settings have a queue URL.
            clock: The current time.
        """
        return cls(
            Identity(keys, trusting=settings.mode == "trial"),
            QueueService(settings.queue_url) if settings.queue_url else SharedStore(Line(store)),
            clock,
            queue_down=QueueDown(settings.queue_down),
        )

    async def run(self) -> None:
        """Run background jobs until cancelled."""
        await self._waiting_room.run()

    async def admit(
        self,
        room: RoomId,
        visitor: VisitorId,
        token: str,
        queue_down: QueueDown | None = None,
    ) -> None:
        """Check that the visitor is inside: ready or active.

        Args:
            room: The room.
            visitor: The visitor.
            token: The visitor's token.
            queue_down: The concert's policy while the waiting room is down; `None` for the
                installation's.

        Raises:
            TokenRejected: The token is another visitor's, or the visitor still waits.
            TimeRanOut: The visitor's time is over.
            VisitorUnknown: The waiting room does not know the visitor.
            Unavailable: The waiting room does not answer.

        Invariant:
            Q9.
        """
        proof = self._who.proof_of(token, room, visitor)
        try:
            await self._validate(room, visitor, token, proof)
        except Unavailable:
            # The proof of a ticket has an expiry in the past.
            refuses = (queue_down or self._queue_down) is QueueDown.REFUSE
            if refuses or proof.expires_ms <= self._clock.now_ms():
                raise

    def prove(self, room: RoomId, visitor: VisitorId, token: str) -> Proof:
        """Return what a token proves, whether the visitor is inside or not.

        Raises:
            TokenRejected: The token is not this visitor's for this room.

        Invariant:
            Q9.
        """
        return self._who.proof_of(token, room, visitor)

    async def leave(self, room: RoomId, visitor: VisitorId, token: str) -> None:
        """Free the slot of a visitor who leaves.

        Raises:
            TokenRejected: The token is not this visitor's for this room.
            Unavailable: The waiting room does not answer in time.

        Invariant:
            Q9.
        """
        proof = self._who.proof_of(token, room, visitor)
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._waiting_room.leave(room, visitor, token, proof)
        except TimeoutError:
            raise Unavailable(f"the queue does not answer: {NOT_IN_TIME}") from None

    def proof(self, room: RoomId, visitor: VisitorId, token: str) -> Proof | None:
        """See `Identity.proof_in`."""
        return self._who.proof_in(token, room, visitor)

    def cookie_proof(self, request: Request, room: RoomId, visitor: VisitorId) -> Proof | None:
        """Return what the room's cookie proves, or `None`."""
        token = session_token(request, room, trusting=False) or given_token(request, room)
        try:
            return None if token is None else self._who.proof_in(token, room, visitor)
        except TokenRejected:
            # The cookie's name depends on the room, so a refusal would reveal the room.
            return None

    async def _validate(self, room: RoomId, visitor: VisitorId, token: str, proof: Proof) -> None:
        """Check admission in the waiting room, behind the circuit breaker.

        Raises:
            Refused: The visitor is not inside.
            Unavailable: No answer in time, or the circuit breaker is open.
        """
        loop = asyncio.get_running_loop()
        if not self._breaker.allows(loop.time()):
            raise Unavailable("the circuit breaker to the queue is open")
        try:
            with step("queue: validate"):
                await self._validate_in_time(room, visitor, token, proof)
        except (Unavailable, TimeoutError) as error:
            was_open = self._breaker.open
            self._breaker.record_failure(loop.time())
            if self._breaker.open and not was_open:
                log.warning("queue_unreachable", reason=str(error) or NOT_IN_TIME)
            raise Unavailable(f"the queue does not answer: {str(error) or NOT_IN_TIME}") from None
        except Refused:
            self._answered()
            raise
        self._answered()

    async def _validate_in_time(
        self, room: RoomId, visitor: VisitorId, token: str, proof: Proof
    ) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + TIMEOUT_S
        try:
            async with asyncio.timeout_at(due_s):
                return await self._waiting_room.validate(room, visitor, token, proof)
        except TimeoutError:
            if loop.time() < due_s + LATE_S:
                raise
        async with asyncio.timeout(TIMEOUT_S):
            return await self._waiting_room.validate(room, visitor, token, proof)

    def _answered(self) -> None:
        if self._breaker.open:
            log.info("queue_recovered")
        self._breaker.record_success()
