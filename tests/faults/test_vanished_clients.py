"""Clients that vanish without a word: their connections end in time, and so do their streams."""

import errno
import socket
from contextlib import closing

import pytest

from tests.faults import network
from tests.servers import IN_CI
from waitline.kernel import listeners

AFTER_MS = 1_000
SOON_S = 20.0

EVENT = b": still here\n\n"


def test_a_connection_without_acknowledgements_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system would try again for a quarter of an hour."""
    lacks = network.missing()
    if lacks:
        (pytest.fail if IN_CI else pytest.skip)(lacks)
    monkeypatch.setattr(listeners, "UNACKNOWLEDGED_MS", AFTER_MS)
    with network.network(("service", "phone")) as hosts:
        service, phone = hosts["service"], hosts["phone"]
        with service.entered():
            (listening,) = listeners.bind(service.address, 0)
            listening.listen()
        with phone.entered():
            client = socket.create_connection(listening.getsockname(), SOON_S)
        with closing(listening), closing(client), closing(listening.accept()[0]) as accepted:
            accepted.sendall(EVENT)
            assert client.recv(100) == EVENT
            accepted.settimeout(SOON_S)
            with phone.deaf_to(service):
                accepted.sendall(EVENT)
                with pytest.raises(OSError, match=r".") as ended:
                    accepted.recv(1)
            assert ended.value.errno == errno.ETIMEDOUT
