"""Rate limiting by client address: counts in a worker, limits in the store.

Unlimited calls are counted here and sent to the store once a second. Only rooms that limit
addresses need an extra call before a join.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Never

import msgspec

from waitline.http.client_address import ClientAddresses, networks
from waitline.http.problems import Speculative
from waitline.http.requests import Request
from waitline.kernel import telemetry
from waitline.kernel.batching import Batcher
from waitline.kernel.errors import Refused, WaitlineError
from waitline.kernel.ids import RoomId, TextInvalid, VisitorId, normal_name
from waitline.kernel.periodic import periodic
from waitline.queue.addresses import TALLIED_MAX, Addresses, Counted, Newcomer
from waitline.queue.model import AddressLimited
from waitline.services.queue.now_serving import NowServingDocuments

SEND_S = 1.0
"""Interval between sends, in s: the delay until all workers enforce a limit of refused calls."""

PENDING_MAX = 8_192
"""Most addresses counted between two sendings; further ones are not counted. Half a megabyte, and
32 calls of the store."""

NAMED_MAX = 64
"""Most visitors of one address that are named in one sending; the places held of busier addresses
are shown as at least that many."""

CALLS = "/api/v1/queue/"
NOT_THE_VISITORS = f"{CALLS}validate"
"""Called by the shop, so the address is the shop's."""


class _Named(msgspec.Struct, frozen=True):
    """A body, from which the room is read."""

    concertId: str | int | float  # noqa: N815 - the contract's names


@dataclass(slots=True)
class _Pending:
    taken: int = 0
    refused: int = 0
    visitors: list[VisitorId] = field(default_factory=list)


class AddressWatch:
    """Counts and limits calls by client address.

    Args:
        addresses: Counts of all workers, in the store.
        believed: Finds a request's client.
        documents: Say which rooms limit addresses.
        newcomers: Batcher of `Addresses.allow`; it must be running.

    Attributes:
        blocked: By room, the addresses whose calls are refused, and until when, on the loop's
            clock. Usually empty.
    """

    def __init__(
        self,
        addresses: Addresses,
        believed: ClientAddresses,
        documents: NowServingDocuments,
        newcomers: Batcher[RoomId, Newcomer, bool],
    ) -> None:
        self._addresses = addresses
        self._believed = believed
        self._documents = documents
        self._newcomers = newcomers
        self._pending: dict[tuple[RoomId, str], _Pending] = {}
        self.blocked: dict[RoomId, dict[str, float]] = {}

    async def allow(self, request: Request, room: RoomId, visitor: VisitorId) -> bool:
        """Check that a newcomer may take a place; return whether that place is counted now.

        Raises:
            AddressLimited: The address has reached a limit of the room.
        """
        document = self._documents.cached(room)
        if document is None:
            try:
                document = await self._documents.fetch(room)
            except WaitlineError:
                # A room that does not exist yet, or a store that will refuse the join itself.
                return False
        if not document.limits_addresses:
            return False
        found = networks(self.client(request))
        try:
            return await self._newcomers.enqueue(room, (visitor, found.address, found.network))
        except AddressLimited as limited:
            telemetry.ADDRESS_LIMITED.add(1, limited.limit)
            raise

    def require_unblocked(self, request: Request, room: RoomId) -> None:
        """Check that the address has not had too many calls refused; only while any has.

        Raises:
            AddressLimited: It has.
        """
        blocked = self.blocked.get(room)
        if not blocked:
            return
        found, now_s = networks(self.client(request)), asyncio.get_running_loop().time()
        for address, limit in (
            (found.address, "address_refusals_max"),
            (found.network, "network_refusals_max"),
        ):
            rest_s = blocked.get(address, 0.0) - now_s
            if rest_s > 0:
                telemetry.ADDRESS_LIMITED.add(1, limit)
                raise AddressLimited(limit, max(1, round(rest_s)))

    def count_place(self, request: Request, room: RoomId, visitor: VisitorId) -> None:
        """Count a place that was taken in a room without limits."""
        client = self.client(request)
        pending = self._pending.get((room, client)) or self._of(room, client)
        if pending is not None:
            pending.taken += 1
            if len(pending.visitors) < NAMED_MAX:
                pending.visitors.append(visitor)

    def count_refusal(self, request: Request, refusal: Refused) -> None:
        """Count a visitor's call that was refused."""
        if not request.path.startswith(CALLS) or request.path == NOT_THE_VISITORS:
            return
        if isinstance(refusal, AddressLimited | Speculative):
            # Otherwise an address would stay refused while it retries. Speculative loads of
            # browsers are not the visitor's doing.
            return
        room = _room_of(request)
        pending = None if room is None else self._of(room, self.client(request))
        if pending is not None:
            pending.refused += 1

    def client(self, request: Request) -> str:
        """Return the address of a request's client."""
        return self._believed.of(request.peer, request.headers)

    def _of(self, room: RoomId, client: str) -> _Pending | None:
        key = (room, client)
        pending = self._pending.get(key)
        if pending is None and len(self._pending) < PENDING_MAX:
            pending = self._pending[key] = _Pending()
        return pending

    async def run(self) -> Never:
        """Send the counts every `SEND_S` until cancelled."""
        await periodic("address_counts", self.send, SEND_S)

    async def send(self) -> None:
        """Send the counts, and learn which addresses are refused.

        Raises:
            Unavailable: The store does not answer; what was not sent yet is lost.
        """
        pending, self._pending = self._pending, {}
        now_s = asyncio.get_running_loop().time()
        self.blocked = {
            room: kept
            for room, those in self.blocked.items()
            if (kept := {one: until_s for one, until_s in those.items() if until_s > now_s})
        }
        rows: dict[RoomId, list[Counted]] = defaultdict(list)
        for (room, client), counts in pending.items():
            rows[room] += _rows(client, counts)
        for room, counted in rows.items():
            rest = iter(counted)
            while chunk := list(islice(rest, TALLIED_MAX)):
                rest_s, over = await self._addresses.tally(room, chunk)
                if over:
                    self.blocked.setdefault(room, {}).update(dict.fromkeys(over, now_s + rest_s))


def _rows(client: str, counts: _Pending) -> Iterator[Counted]:
    address, network = networks(client)
    first, *others = counts.visitors or [VisitorId("")]
    yield Counted(address, network, counts.taken, counts.refused, first)
    for visitor in others:
        yield Counted(address, network, 0, 0, visitor)


def _room_of(request: Request) -> RoomId | None:
    """Return the room that a refused request names, or `None`."""
    try:
        name = request.optional_parameter("concertId")
        if name is None:
            name = normal_name(str(msgspec.json.decode(request.body, type=_Named).concertId))
        return RoomId(name)
    except (Refused, TextInvalid, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
