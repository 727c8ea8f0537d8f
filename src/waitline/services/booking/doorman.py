"""Access check at every step of a visitor: has the waiting room admitted them?

A token is verified locally; whether its visitor is inside now, only the waiting room knows. It is
asked through the store that both services share, or over HTTP where each has its own, behind a
circuit breaker. While it does not answer, visitors are rejected, or, where the installation has
chosen to sell on, those with a pass that has not expired are admitted.
"""

import asyncio
from typing import Protocol

import aiohttp
import msgspec
import structlog

from waitline.booking.model import QueueDown
from waitline.kernel.circuit_breaker import CircuitBreaker
from waitline.kernel.clock import Clock
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.utilisation import Utilisation
from waitline.queue.batches import line_batcher
from waitline.queue.model import Slot, TimeRanOut, TokenRejected, VisitorUnknown
from waitline.queue.store import Line
from waitline.services.identity import Identity, TokenMissing, judge
from waitline.settings import Settings
from waitline.tokens.keyring_file import Keys
from waitline.valkey.client import ValkeyClient

TIMEOUT_S = 0.3
"""How long the waiting room may take to answer. It takes a few ms; a visitor who waits for a seat
should get a failure before trying again."""

LATE_S = 0.02
"""A deadline that is noticed so much later was missed by this process, which stood still or had too
much to do: that says nothing of the waiting room, so it is asked once more."""

CONNECTIONS_MAX = 64
"""Requests to the queue service under way at once, per worker: at a few ms each, more than a worker
can have visitors for."""

ASKED_MAX = 1_024
"""Requests to the queue service that wait or are under way, per worker. More would not be answered
in time."""

ANSWER_BYTES_MAX = 16_384
"""Bytes of the longest answer worth reading; a refusal has a few hundred."""

NOT_IN_TIME = "not in time"

log = structlog.get_logger()


class WaitingRoom(Protocol):
    """Knows which visitors are inside."""

    async def ask(self, room: RoomId, visitor: VisitorId, token: str, place: int) -> None:
        """Return if the visitor is inside.

        Args:
            room: Where.
            visitor: Who.
            token: What it shows.
            place: The place that the token proves.

        Raises:
            VisitorUnknown, TokenRejected, TimeRanOut: It is not.
            Unavailable: It is not known.
        """
        ...

    async def run(self) -> None:
        """Do what must be done meanwhile, until cancelled."""
        ...


class SharedStore:
    """The waiting room by way of its store: those who ask at the same moment ask together.

    Args:
        line: The line in the store.
    """

    def __init__(self, line: Line) -> None:
        self._validate = line_batcher(line.validate, Utilisation())

    async def ask(self, room: RoomId, visitor: VisitorId, token: str, place: int) -> None:  # noqa: ARG002
        """See `WaitingRoom.ask`."""
        try:
            turn: Slot | Refused = await self._validate.enqueue(room, visitor)
        except Refused as refusal:
            turn = refusal
        judge(turn, place)

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
    """The waiting room by way of its service, one request each.

    Args:
        url: Where the service is, without a path of its own.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/api/v1/queue/validate"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            # The doorman gives up, not the session.
            timeout=aiohttp.ClientTimeout(),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._asked = 0

    async def ask(self, room: RoomId, visitor: VisitorId, token: str, place: int) -> None:  # noqa: ARG002
        """See `WaitingRoom.ask`."""
        if self._asked >= ASKED_MAX:
            raise Unavailable("too many requests wait for the queue service")
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
            refusal = _REFUSED[msgspec.json.decode(answer, type=_Problem).code]
        except (msgspec.DecodeError, KeyError):
            raise Unavailable(f"the queue service answers {status}") from None
        raise refusal

    async def _post(self, body: dict[str, str]) -> tuple[int, bytes]:
        async with self._session.post(self._url, json=body, allow_redirects=False) as response:
            answer = bytearray()
            async for part in response.content.iter_any():
                answer += part
                if len(answer) > ANSWER_BYTES_MAX:
                    raise Unavailable("the queue service does not stop answering")
            return response.status, bytes(answer)

    async def run(self) -> None:
        """See `WaitingRoom.run`: keep the connections, and close them in the end."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self._session.close()


class Doorman:
    """Lets visitors in whom the waiting room has let in.

    Its `run` must be running.

    Args:
        who: Reads tokens.
        waiting_room: Knows who is inside.
        clock: For the expiry of passes while the waiting room does not answer.
        queue_down: What to do while the waiting room does not answer, where a concert has no
            choice of its own. Those admitted unasked need a pass that has not run out; a ticket is
            not enough: those who wait have one too.
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
        """Make one as the installation has chosen.

        Args:
            settings: What it has chosen.
            keys: What the tokens were made with.
            store: The store that both services share; not used if the queue service is asked.
            clock: The present.
        """
        return cls(
            Identity(keys, trusting=settings.mode == "trial"),
            QueueService(settings.queue_url) if settings.queue_url else SharedStore(Line(store)),
            clock,
            queue_down=QueueDown(settings.queue_down),
        )

    async def run(self) -> None:
        """Do what must be done while it is in use, until cancelled."""
        await self._waiting_room.run()

    async def admit(
        self,
        room: RoomId,
        visitor: VisitorId,
        token: str | None,
        queue_down: QueueDown | None = None,
    ) -> None:
        """Return if the visitor is inside, ready or active.

        Args:
            room: Where.
            visitor: Who.
            token: What it shows.
            queue_down: What the concert has chosen for a waiting room that does not answer; `None`
                for what the installation has.

        Raises:
            TokenMissing: It shows no token.
            TokenRejected: The token is not its own, or it waits still.
            TimeRanOut: It was inside.
            VisitorUnknown: Nothing is known of it.
            Unavailable: The waiting room does not answer.

        Invariant:
            Q9.
        """
        if token is None:
            raise TokenMissing
        proof = self._who.proof_of(token, room, visitor)
        try:
            await self._ask(room, visitor, token, proof.place)
        except Unavailable:
            # A ticket never runs out, and reads as if it had always.
            refuses = (queue_down or self._queue_down) is QueueDown.REFUSE
            if refuses or proof.expires_ms <= self._clock.now_ms():
                raise

    async def recognise(
        self,
        room: RoomId,
        visitor: VisitorId,
        token: str | None,
        queue_down: QueueDown | None = None,
    ) -> None:
        """Return if the visitor is inside, or was and has a pass that has not run out.

        For cancelling: a visitor who has paid is no longer inside. Arguments and
        refusals are those of `admit`.

        Invariant:
            Q9.
        """
        try:
            await self.admit(room, visitor, token, queue_down)
        except (TokenRejected, VisitorUnknown):
            assert token is not None
            if self._who.proof_of(token, room, visitor).expires_ms <= self._clock.now_ms():
                raise

    def prove(self, room: RoomId, visitor: VisitorId, token: str | None) -> None:
        """Return if the token is the visitor's, whether it is inside or not.

        For what is its own already: an expired pass still pays, and reads its reservation.

        Raises:
            TokenMissing: It shows no token.
            TokenRejected: The token is not its own.

        Invariant:
            Q9.
        """
        if token is None:
            raise TokenMissing
        self._who.proof_of(token, room, visitor)

    async def _ask(self, room: RoomId, visitor: VisitorId, token: str, place: int) -> None:
        """Ask the waiting room, unless it did not answer lately.

        Raises:
            Refused: It says no.
            Unavailable: It does not answer in time.
        """
        loop = asyncio.get_running_loop()
        if not self._breaker.allows(loop.time()):
            raise Unavailable("the queue did not answer lately, and is not asked")
        try:
            await self._ask_in_time(room, visitor, token, place)
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

    async def _ask_in_time(self, room: RoomId, visitor: VisitorId, token: str, place: int) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + TIMEOUT_S
        try:
            async with asyncio.timeout_at(due_s):
                return await self._waiting_room.ask(room, visitor, token, place)
        except TimeoutError:
            if loop.time() < due_s + LATE_S:
                raise
        async with asyncio.timeout(TIMEOUT_S):
            return await self._waiting_room.ask(room, visitor, token, place)

    def _answered(self) -> None:
        if self._breaker.open:
            log.info("queue_recovered")
        self._breaker.record_success()
