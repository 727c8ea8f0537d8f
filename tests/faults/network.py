"""Network namespaces: hosts of a test's own on one bridge, whose links it can spoil.

Nothing here touches the machine's own network: every address exists in these namespaces only. Their
names carry the id of this process, so runs do not meet, and the next run removes what a killed one
left behind.
"""

import ctypes
import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path

from tests.faults.cable import Cable

_CLONE_NEWNET = 0x40000000
_SIOCETHTOOL = 0x8946

# Checksums and segments are left to the sender: frames that a cable carries must be whole.
# Source: linux/ethtool.h (ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO).
_OFFLOADS = (0x17, 0x1F, 0x24)

_FOLDER = Path("/run/netns")
_OURS = re.compile(r"wl(\d+)-")

_LIBC = ctypes.CDLL(None, use_errno=True)

_NUMBERS = count(1)


def missing() -> str:
    """Return what this machine lacks for namespaces; empty if it has all."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    programs = [name for name in ("ip", "tc", "nft") if shutil.which(name) is None]
    return f"missing: {', '.join(programs)} (make tools)" if programs else ""


def run(*words: str | int | Path) -> str:
    """Run a command of the network's tools; return its output."""
    done = subprocess.run(  # noqa: S603 - the tests say what they run
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.stderr}"
    return done.stdout


class Host:
    """One host: a namespace with one link to the bridge.

    Attributes:
        name: Its name.
        address: Its IPv4 address.
    """

    def __init__(self, name: str, number: int, hub: "Host | None") -> None:
        self.name = name
        self.address = f"10.77.0.{number}"
        self._namespace = f"wl{os.getpid()}-{name}"
        self._hub = hub

    def create(self) -> None:
        run("ip", "netns", "add", self._namespace)
        self.ip("link", "set", "lo", "up")
        if self._hub is None:
            self.ip("link", "add", "name", "br0", "type", "bridge")
            self.ip("link", "set", "br0", "up")
            return
        peer = ("peer", "name", "eth0", "netns", self._namespace)
        self._hub.ip("link", "add", self._port, "type", "veth", *peer)
        self._hub.ip("link", "set", self._port, "master", "br0", "up")
        with self.entered():
            _without_offloads("eth0")
        self.ip("link", "set", "eth0", "up")
        self.ip("addr", "add", f"{self.address}/24", "dev", "eth0")

    def delete(self) -> None:
        run("ip", "netns", "delete", self._namespace)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread be on the host: its new sockets, processes and threads are."""
        with (
            Path("/proc/thread-self/ns/net").open("rb") as here,
            (_FOLDER / self._namespace).open("rb") as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    @contextmanager
    def dropping(self, *rules: str) -> Iterator[None]:
        """Drop what arrives and matches one of the rules (nftables)."""
        table = f"fault{next(_NUMBERS)}"
        lines = [
            f"add table inet {table}",
            f"add chain inet {table} arriving {{ type filter hook input priority 0; }}",
            *(f"add rule inet {table} arriving {rule} drop" for rule in rules),
        ]
        self._nft("\n".join(lines))
        try:
            yield
        finally:
            self._nft(f"delete table inet {table}")

    def deaf_to(self, *others: "Host") -> AbstractContextManager[None]:
        """Receive nothing of some others: a partition, one way."""
        return self.dropping(*(f"ip saddr {other.address}" for other in others))

    @contextmanager
    def throttled(self, kbit: int) -> Iterator[None]:
        """Let the link carry so many kbit/s in each direction, with a queue of a second."""
        assert self._hub is not None
        shaped = ((self, "eth0"), (self._hub, self._port))
        for host, device in shaped:
            host.tc("add", device, "tbf", "rate", f"{kbit}kbit", "burst", 8000, "latency", "1s")
        try:
            yield
        finally:
            for host, device in shaped:
                host.tc("del", device)

    @contextmanager
    def delayed(self, seconds: float) -> Iterator[None]:
        """Let each packet from and to the host take so much longer."""
        assert self._hub is not None
        self._hub.ip("link", "set", self._port, "nomaster")
        try:
            with self._hub.entered():
                cable = Cable(self._port, seconds)
            self._hub.ip("link", "set", cable.device, "master", "br0", "up")
            with cable.running():
                yield
        finally:
            self._hub.ip("link", "set", self._port, "master", "br0")

    def flows(self, port: int) -> list[tuple[str, int]]:
        """Return address and port of every client that is connected to a port here."""
        with self.entered():
            lines = run("ss", "-Htn", "state", "established", f"sport = :{port}").splitlines()
        ends = [line.split()[3].rpartition(":") for line in lines]
        return [(address, int(number)) for address, _, number in ends]

    @property
    def _port(self) -> str:
        return f"to-{self.name}"

    def ip(self, *words: str) -> None:
        run("ip", "-n", self._namespace, *words)

    def tc(self, verb: str, device: str, *words: str | int) -> None:
        run("tc", "-n", self._namespace, "qdisc", verb, "dev", device, "root", *words)

    def _nft(self, script: str) -> None:
        run("ip", "netns", "exec", self._namespace, "nft", script)


def of_flows(flows: Sequence[tuple[str, int]]) -> list[str]:
    """Return the rule that matches what comes on some connections; none for none."""
    ends = ", ".join(f"{address} . {number}" for address, number in flows)
    return [f"ip saddr . tcp sport {{ {ends} }}"] if ends else []


@contextmanager
def network(names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Make hosts that reach each other, until the block ends."""
    _sweep()
    with ExitStack() as stack:
        hub = Host("hub", 0, None)
        hosts = {name: Host(name, number, hub) for number, name in enumerate(names, 1)}
        for host in (hub, *hosts.values()):
            host.create()
            stack.callback(host.delete)
        yield hosts


def _sweep() -> None:
    """Remove the namespaces of runs that were killed."""
    for path in _FOLDER.glob("wl*-*"):
        found = _OURS.match(path.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            run("ip", "netns", "delete", path.name)


def _enter(file: int) -> None:
    if _LIBC.setns(file, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the namespace")


def _without_offloads(device: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in _OFFLOADS:
            value = (ctypes.c_uint32 * 2)(command, 0)
            request = struct.pack("16sP8x", device.encode(), ctypes.addressof(value))
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
