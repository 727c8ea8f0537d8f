"""Signed statements of shops: verified with the room's key, or its cached key set (JWKS)."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

import aiohttp
import structlog

from waitline.http.requests import Request
from waitline.kernel.clock import Clock
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.single_flight import SingleFlightCache
from waitline.queue.model import ACCOUNT_MARK, RoomUnknown
from waitline.queue.relations import RoomIdentity
from waitline.queue.settings import Rules
from waitline.services.queue.now_serving import NowServingDocuments
from waitline.tokens.shop_keys import ShopKey, parse_key, parse_key_set
from waitline.tokens.statements import StatementFault, StatementRejected, verify_statement

IDENTITY_HEADER: Final = b"x-identity"

TIMEOUT_S: Final = 2.0
"""Timeout of fetching a key set, in s. Visitors wait for the first one only."""

REFETCH_S: Final = 30.0
"""How long, in s, a key set is used, or its failure cached, before it is fetched again;
also how soon after its publication a shop's new key serves. A shorter time would let anybody with
unknown key ids cause as many fetches per worker."""

PATIENCE_S: Final = 0.1
"""How long, in s, a visitor waits for a newer key set while there is an older one."""

BYTES_MAX: Final = 65_536
"""Longest key set, in bytes: `KEYS_MAX` keys of RSA with certificates. A longer one is refused
unread."""

ADDRESSES_MAX: Final = 1_024
"""Most key sets that a worker keeps; as many rooms' settings are cached."""

T = TypeVar("T")

log = structlog.get_logger()


class KeySets:
    """Key sets by address. The last good one stays in use while its address does not answer.

    Args:
        now_s: A monotonic clock; the event loop's if left out.
    """

    def __init__(self, now_s: Callable[[], float] | None = None) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._cache: SingleFlightCache[str, tuple[ShopKey, ...]] = SingleFlightCache(
            self._fetch,
            ttl_s=REFETCH_S,
            entries_max=ADDRESSES_MAX,
            now_s=now_s or asyncio.get_running_loop().time,
        )
        self._good: OrderedDict[str, tuple[ShopKey, ...]] = OrderedDict()
        self._failing: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> None:
        """Close the connections at the end."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if self._session is not None:
                await self._session.close()

    async def keys(self, url: str) -> tuple[ShopKey, ...]:
        """Return the keys of an address: new ones if they come in time, else the last good ones.

        Raises:
            Unavailable: There never were any.
        """
        if self._cache.cached(url) is None:
            fetching = asyncio.ensure_future(self._cache.fetch(url))
            # The fetch goes on when visitors no longer wait for it. Calls run without a task of
            # their own, so `asyncio.timeout` would not work here.
            await asyncio.wait((fetching,), timeout=PATIENCE_S if url in self._good else None)
        good = self._good.get(url)
        if good is None:
            raise Unavailable("the shop's key set has never been fetched")
        return good

    async def newer_keys(self, url: str) -> tuple[ShopKey, ...]:
        """Return the keys of an address, fetched again unless they were within `REFETCH_S`."""
        await self._cache.fetch(url)
        return await self.keys(url)

    async def _fetch(self, url: str) -> tuple[ShopKey, ...]:
        """Fetch the keys of an address; none if that fails, which is cached as well."""
        try:
            keys = parse_key_set(await self._download(url))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if url not in self._failing:
                _remember(self._failing, url, None)
                log.warning("shop_keys_failed", url=url, reason=str(error) or repr(error))
            return ()
        _remember(self._good, url, keys)
        if url in self._failing:
            del self._failing[url]
            log.info("shop_keys_recovered", url=url)
        return keys

    async def _download(self, url: str) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                # No decompression: it would make the size of the answer unbounded.
                auto_decompress=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            )
        # A redirect could lead to any address, in plain text or inside our network.
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:  # noqa: PLR2004
                raise ValueError(f"the address answers {response.status}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ValueError("the key set is compressed")
            text = bytearray()
            async for part in response.content.iter_any():
                text += part
                if len(text) > BYTES_MAX:
                    raise ValueError(f"the key set has more than {BYTES_MAX} bytes")
            return bytes(text)


class Statements:
    """Verifies the statements that visitors bring.

    Its `run` must be running.

    Args:
        documents: Have each room's settings, about a second old at most.
        clock: The present time.
    """

    def __init__(self, documents: NowServingDocuments, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._sets = KeySets()

    async def run(self) -> None:
        """Run until cancelled."""
        await self._sets.run()

    async def mark(self, request: Request, room: RoomId, visitor: VisitorId) -> str:
        """Return `ACCOUNT_MARK` if the shop vouches for the visitor; empty where no shop does.

        In a room whose identity is `claimed` the statement is ignored.

        Raises:
            StatementRejected: It is not the shop's statement for this visitor.
            Unavailable: The settings or the keys cannot be fetched.
        """
        text = request.headers[IDENTITY_HEADER].decode("latin-1").strip()
        if not text:
            return ""
        try:
            rules = (await self._documents.fetch(room)).survey.rules
        except RoomUnknown:
            # The join refuses it, or makes the room in trial mode.
            return ""
        if rules.identity is not RoomIdentity.SIGNED:
            return ""
        await self._verify(rules, room, visitor, text)
        return ACCOUNT_MARK

    async def _verify(self, rules: Rules, room: RoomId, visitor: VisitorId, text: str) -> None:
        now_s = self._clock.now_ms() / 1000
        if rules.identity_key:
            verify_statement([parse_key(rules.identity_key)], room, visitor, text, now_s)
            return
        url = rules.identity_keys_url
        try:
            verify_statement(await self._sets.keys(url), room, visitor, text, now_s)
        except StatementRejected as rejected:
            if rejected.fault is not StatementFault.KEY:
                raise
            verify_statement(await self._sets.newer_keys(url), room, visitor, text, now_s)


def _remember(kept: OrderedDict[str, T], url: str, value: T) -> None:
    """Keep a value for an address; the one kept longest ago is dropped beyond `ADDRESSES_MAX`."""
    kept[url] = value
    kept.move_to_end(url)
    if len(kept) > ADDRESSES_MAX:
        kept.popitem(last=False)
