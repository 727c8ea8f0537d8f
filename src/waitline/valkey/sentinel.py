"""Sentinels: look up the current address of a primary (service discovery).

They are asked at each attempt to connect. A demoted primary says so, or closes its connections, so
no lookup in between is needed.
"""

from waitline.kernel.errors import Unavailable
from waitline.valkey.address import Address, StoreAddress
from waitline.valkey.connection import Connection
from waitline.valkey.replies import CommandError

ASK_S = 1.0
"""Timeout of asking one Sentinel, in s: the next one may answer."""


class Sentinels:
    """Sentinels, one of which must answer.

    Args:
        where: Their addresses, and the name of the primary. Their user and password are also those
            of the primary; a Sentinel gets them only if it requires authentication.
    """

    def __init__(self, where: StoreAddress) -> None:
        self._where = where
        self._seeds = list(where.seeds)

    async def locate(self) -> Address:
        """Return the address of the primary.

        Raises:
            Unavailable: No Sentinel answers, or none knows the name.
        """
        reason = "no Sentinel answers"
        for seed in list(self._seeds):
            try:
                found = await self._ask(seed)
            except (CommandError, Unavailable) as error:
                reason = f"no Sentinel answers: {error}"
                continue
            # The one that answered is asked first from now on.
            self._seeds.remove(seed)
            self._seeds.insert(0, seed)
            if not isinstance(found, list):
                reason = f"the Sentinel at {seed} knows no primary named {self._where.primary!r}"
                continue
            return seed.at(str(found[0]), int(found[1]))
        raise Unavailable(reason)

    async def _ask(self, seed: Address) -> object:
        words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._where.primary)
        try:
            return await _once(seed.anonymous(), words)
        except (CommandError, Unavailable) as error:
            if "NOAUTH" not in str(error) or not seed.password:
                raise
            return await _once(seed, words)


async def _once(where: Address, words: tuple[str, ...]) -> object:
    connection = Connection(where, any_role=True)
    try:
        return await connection.call(words, ASK_S)
    finally:
        connection.close()
