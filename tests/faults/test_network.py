"""The tools of the fault suite: links that are cut, slow, narrow or forgetful, and full disks."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.faults import disks, network
from tests.faults.network import Host
from tests.servers import IN_CI
from tests.until import until

PORT = 7000

SOON_S = 20.0

# Seconds without an answer that count as none.
SILENT_S = 0.5


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Host, Host]]:
    """Two hosts; the second sends back what it gets, and this thread is on the first."""
    lacks = network.missing()
    if lacks:
        (pytest.fail if IN_CI else pytest.skip)(lacks)
    with (
        network.network(("here", "there")) as hosts,
        echoing(hosts["there"]),
        hosts["here"].entered(),
    ):
        yield hosts["here"], hosts["there"]


@contextmanager
def echoing(host: Host) -> Iterator[None]:
    """Send back what comes to a host, one connection in each thread."""
    with host.entered():
        server = socket.create_server((host.address, PORT))

    def serve(connection: socket.socket) -> None:
        with closing(connection):
            while part := connection.recv(65_536):
                connection.sendall(part)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def connected(host: Host) -> socket.socket:
    return socket.create_connection((host.address, PORT), timeout=SOON_S)


def echo_s(connection: socket.socket, size: int = 1) -> float:
    """Return how long it takes until so many bytes are back."""
    started = monotonic()
    connection.sendall(b"x" * size)
    while size:
        size -= len(connection.recv(size))
    return monotonic() - started


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing comes back for a while; to wait for an answer, `echo_s` has more patience."""
    connection.settimeout(SILENT_S)
    try:
        return echo_s(connection) < 0
    except TimeoutError:
        return True
    finally:
        connection.settimeout(SOON_S)


@pytest.mark.parametrize("way", ["to", "from"])
def test_a_link_is_cut_one_way(way: str, pair: tuple[Host, Host]) -> None:
    here, there = pair
    cut = there.deaf_to(here) if way == "to" else here.deaf_to(there)
    with closing(connected(there)) as connection:
        echo_s(connection)
        with cut:
            assert is_silent(connection)
        # What was sent meanwhile arrives now.
        connection.recv(1)
        echo_s(connection)


def test_each_packet_comes_later(pair: tuple[Host, Host]) -> None:
    here, there = pair
    with closing(connected(there)) as connection:
        with here.delayed(0.1):
            assert echo_s(connection) >= 0.2
            assert echo_s(connection, 200_000) >= 0.2
        until(lambda: echo_s(connection) < 0.2, SOON_S, "the link is fast again")


def test_a_link_is_narrow(pair: tuple[Host, Host]) -> None:
    here, there = pair
    with closing(connected(there)) as connection, here.throttled(400):
        # 50 000 bytes are a second's worth.
        assert echo_s(connection, 50_000) >= 0.7


def test_connections_are_forgotten_and_new_ones_work(pair: tuple[Host, Host]) -> None:
    here, there = pair
    with closing(connected(there)) as old:
        echo_s(old)
        with forgotten(there):
            assert is_silent(old)
            with closing(connected(there)) as new:
                echo_s(new)
        assert there.flows(PORT)[0][0] == here.address


def forgotten(host: Host) -> AbstractContextManager[None]:
    return host.dropping(*network.of_flows(host.flows(PORT)))


def test_a_host_that_was_entered_is_left(pair: tuple[Host, Host]) -> None:
    _, there = pair
    namespace = Path("/proc/thread-self/ns/net")
    here = namespace.readlink()
    with there.entered():
        assert namespace.readlink() != here
    assert namespace.readlink() == here


def test_a_disk_is_full(tmp_path: Path, pair: tuple[Host, Host]) -> None:
    del pair
    folder = tmp_path / "disk"
    with disks.mounted(folder, 1):
        with disks.full(folder), pytest.raises(OSError, match="No space left") as failure:
            (folder / "one more").write_bytes(b"x")
        assert failure.value.errno == errno.ENOSPC
        (folder / "room again").write_bytes(b"x")
