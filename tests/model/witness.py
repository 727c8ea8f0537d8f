"""Record script calls: the answer, its time, and the keys afterwards."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.model.stay import Row
from tests.model.stored import STOPPED, Contents
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue import keys
from waitline.queue.model import COUNTERS
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

LOOK = """
local reads = {}
for i, key in ipairs(KEYS) do
  if redis.call('TYPE', key).ok == 'zset' then
    reads[i] = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  else
    reads[i] = redis.call('HGETALL', key)
  end
end
return reads
"""

TIMEOUT_S = 20.0

# What a room's listening clock consists of.
CLOCK = ("beat_ms", "lost_ms", "resumed_ms", "stepped_back_ms")


class Seen(NamedTuple):
    """One call of a script.

    Attributes:
        script: Its name.
        args: What it was given.
        rows: What it answered.
        from_ms: The server's time just before; Valkey's own clock stands still in between.
        to_ms: The server's time just after.
        contents: What is stored now.
    """

    script: str
    args: tuple[str | int | float, ...]
    rows: list[Row]
    from_ms: int
    to_ms: int
    contents: Contents


class Witness:
    """A runner for `Line` on one room; it can lose an answer that was given.

    Attributes:
        last: The call seen last.
        losing: Whether the next answer is lost on its way.
    """

    last: Seen

    def __init__(self, store: ValkeyClient, room: RoomId) -> None:
        self._store = store
        self._keys = keys.of(room)
        self.losing = False

    async def run(
        self, script: scripts.Script, keys: Sequence[str], args: Sequence[str | int | float]
    ) -> Sequence[scripts.Row]:
        k = self._keys
        looked = (k.room, k.waiting, k.heard, k.admitted, k.lapsed, k.slots, k.rate)
        # One transaction: nothing can happen between the call and the two looks at the clock.
        before, rows, after, stored = await self._store.transaction(
            [
                ("TIME",),
                ("EVAL", script.source, len(keys), *keys, *args),
                ("TIME",),
                ("EVAL", LOOK, len(looked), *looked),
            ],
            TIMEOUT_S,
        )
        self.last = Seen(
            script=script.name,
            args=tuple(args),
            rows=[tuple(row) for row in rows],
            from_ms=_ms(before),
            to_ms=_ms(after),
            contents=_contents(*map(_pairs, stored)),
        )
        if self.losing:
            self.losing = False
            raise Unavailable("lost on purpose")
        return rows  # type: ignore[no-any-return]

    async def command(self, *words: str | float) -> Any:  # noqa: ANN401 - whatever it replies
        """Run another command, without recording it."""
        return await self._store.command(*words)


def _contents(  # noqa: PLR0917 - one per key
    room: dict[str, str],
    waiting: dict[str, str],
    heard: dict[str, str],
    admitted: dict[str, str],
    lapsed: dict[str, str],
    slots: dict[str, str],
    rate: dict[str, str],
) -> Contents:
    return Contents(
        seq=int(room["seq"]),
        counters={name: int(room[name]) for name in COUNTERS if int(room.get(name, 0))},
        lease=(room.get("lease_holder", ""), int(room.get("lease_until", 0))),
        waiting=_whole(waiting),
        heard=heard,
        admitted=_whole(admitted),
        lapsed=_whole(lapsed),
        slots=slots,
        bucket=(float(rate.get("tokens", 0)), int(rate.get("tokens_at", STOPPED))),
        clock=tuple(int(room[name]) for name in CLOCK if name in room),
        served=int(room.get("served", 0)),
    )


def _ms(time: Sequence[int | str]) -> int:
    return int(time[0]) * 1000 + int(time[1]) // 1000


def _pairs(flat: list[Any]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _whole(scores: dict[str, str]) -> dict[str, int]:
    return {name: int(score) for name, score in scores.items()}
