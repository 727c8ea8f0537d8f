"""Short address of the trial: `/rooms/demo` leads to the waiting room of the demo concert."""

from collections.abc import Awaitable, Callable
from typing import Final

from waitline.kernel.ids import DEMO_ROOM, RoomId

DEMO_LINK: Final = RoomId("demo")
"""Name in the short address."""


class DemoLink:
    """Finds where a waiting page's address leads, if it is the short one.

    Args:
        mode: Returns a room's mode, or `None` if there is no such room.
    """

    def __init__(self, mode: Callable[[RoomId], Awaitable[str | None]]) -> None:
        self._mode = mode

    async def target(self, name: str) -> RoomId | None:
        """Return the room that an address leads to, or `None` for the one that it names.

        A room that an operator has called so is itself.

        Raises:
            Unavailable: The store does not answer.
        """
        if name != DEMO_LINK or await self._mode(DEMO_LINK) is not None:
            return None
        return DEMO_ROOM
