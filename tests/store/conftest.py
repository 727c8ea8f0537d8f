"""A room for each test; it is not open yet."""

from collections.abc import Iterator

import pytest

from tests.servers import Server
from tests.store.room import Room


@pytest.fixture
def room(server: Server) -> Iterator[Room]:
    room = Room(server)
    yield room
    room.close()
