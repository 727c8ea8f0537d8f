"""A real cluster of embedded Valkey servers on this machine, for trials and tests.

With two replicas for each primary, one that is cut off from them refuses writes, so that it admits
nobody when it comes back.

It adds no availability: all nodes share one machine. Clusters need TCP, to which any user of the
machine can connect, so the nodes listen on the loopback interface and have a password.
"""

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.settings import Settings
from waitline.trial.embedded_server import StartError
from waitline.trial.machine import free_port
from waitline.trial.valkey_server import MAXMEMORY_BYTES, AppendFsync, ValkeyServer
from waitline.valkey.address import parse
from waitline.valkey.connection import Connection
from waitline.valkey.durability import REPLICA_LAG_MAX_S, VARIABLE
from waitline.valkey.slots import SLOTS

NODE_TIMEOUT_MS = 2_000
"""Node timeout, in ms: silence after which the others consider a node failed. Valkey's default of
15 s allows for network partitions, which one machine does not have."""

FORM_S = 30.0
"""Timeout, in s, until all nodes know each other. It takes about 2 s."""

CALL_S = 10.0
"""Timeout of a command to a node, in s: this machine may be busy, and WAIT takes its time."""

POLL_S = 0.05

CLUSTER_FOLDER = "valkey-cluster"
"""Its folder in the data folder of an installation."""

NODES_MAX = 32
"""Most nodes: each is a process, and this is one machine."""


_FILE = "cluster.json"
"""Size, password and ports of a cluster, in its folder."""


class Size(NamedTuple):
    """Size of a cluster.

    Attributes:
        primaries: Nodes that hold slots, at least 3: the fewest with a quorum after one failure.
        replicas: Nodes that replicate them, assigned in turn.
    """

    primaries: int
    replicas: int


def embedded_line(settings: Settings, size: Size | None) -> "ValkeyServer | ValkeyCluster":
    """Return the embedded server of a data folder, or the cluster.

    Args:
        settings: The installation's settings.
        size: Size of the cluster; `None` for one server.

    Raises:
        Misconfigured: The folder's data is that of a cluster, not of one server, or the reverse;
            or they cannot confirm joins.
        StartError: The server is not installed, or the cluster is of another size.
    """
    folder, cluster_folder = settings.data_dir / "valkey", settings.data_dir / CLUSTER_FOLDER
    if size is None and cluster_folder.is_dir():
        raise Misconfigured(
            f"the line in {settings.data_dir} is in a cluster: start it with --cluster, and the "
            "size that it has; or name another folder with --data-dir"
        )
    if size is not None and folder.is_dir():
        raise Misconfigured(
            f"--cluster: the line in {settings.data_dir} is on one server; name another folder "
            "with --data-dir"
        )
    if settings.durability == "disk" and settings.sync != "write":
        raise Misconfigured(
            f"{VARIABLE}=disk: the embedded server leaves fsync to `waitline up`; set "
            "WAITLINE_SYNC=write"
        )
    if settings.durability == "replicated" and (size is None or size.replicas < size.primaries):
        raise Misconfigured(
            f"{VARIABLE}=replicated: the embedded server has no replica for each primary; start a "
            "cluster that has: --cluster 3+3"
        )
    maxmemory_bytes = settings.valkey_memory_mb * 1024**2
    appendfsync: AppendFsync = "always" if settings.sync == "write" else "no"
    if size is None:
        return ValkeyServer(folder, maxmemory_bytes=maxmemory_bytes, appendfsync=appendfsync)
    return ValkeyCluster(
        cluster_folder, size, maxmemory_bytes=maxmemory_bytes, appendfsync=appendfsync
    )


def parse_size(text: str) -> Size:
    """Parse a size such as `3+3`.

    Raises:
        Misconfigured: It has another form, or is out of range.
    """
    primaries, plus, replicas = text.partition("+")
    if not (plus and primaries.isdecimal() and replicas.isdecimal()):
        raise Misconfigured(
            f"--cluster: {text!r} is no size of a cluster; write primaries+replicas: 3+3"
        )
    size = Size(int(primaries), int(replicas))
    if size.primaries < 3:  # noqa: PLR2004 - see `Size`
        raise Misconfigured(
            "--cluster: a cluster needs at least 3 primaries to elect another one: 3+3"
        )
    if sum(size) > NODES_MAX:
        raise Misconfigured(
            f"--cluster: {text} is more than {NODES_MAX} nodes, the most on one machine"
        )
    return size


class ValkeyCluster:
    """Nodes of one cluster and the folder that holds their data.

    Not thread-safe. Nodes that died may be started again, with the same address.

    Args:
        folder: Folder of all nodes; created if missing, for this user only.
        size: Its size; it must be that of the first start.
        maxmemory_bytes: Memory limit of each node's data.
        appendfsync: As for `ValkeyServer`.
        binary: As for `ValkeyServer`.
        args: Further lines of configuration of each node.

    Attributes:
        nodes: Its nodes; the first are the primaries of the first start.
        password: Password of all nodes.

    Raises:
        StartError: The server is not installed, or the folder holds a cluster of another size.
    """

    def __init__(
        self,
        folder: Path,
        size: Size,
        *,
        maxmemory_bytes: int = MAXMEMORY_BYTES,
        appendfsync: AppendFsync = "no",
        binary: Path | None = None,
        args: tuple[str, ...] = (),
    ) -> None:
        self._folder = folder.absolute()
        self._size = size
        self._file = self._folder / _FILE
        # With one replica the promoted one has none left, and would refuse all writes.
        guard: tuple[str, ...] = ()
        if size.replicas >= 2 * size.primaries:
            guard = ("min-replicas-to-write 1", f"min-replicas-max-lag {REPLICA_LAG_MAX_S}")
        # Port and port of the cluster bus, by node.
        self.password, self._ports = self._load()
        self.nodes = tuple(
            ValkeyServer(
                self._folder / str(port),
                maxmemory_bytes=maxmemory_bytes,
                appendfsync=appendfsync,
                binary=binary,
                password=self.password,
                args=(
                    "bind 127.0.0.1",
                    f"port {port}",
                    f"cluster-port {bus_port}",
                    "cluster-enabled yes",
                    f"cluster-node-timeout {NODE_TIMEOUT_MS}",
                    # Else a primary waits 5 s for further replicas that may need a copy.
                    "repl-diskless-sync-delay 0",
                    *guard,
                    *args,
                ),
            )
            for port, bus_port in self._ports
        )

    def _load(self) -> tuple[str, list[tuple[int, int]]]:
        """Return the password and the ports, chosen at the first start."""
        if self._file.exists():
            stored = json.loads(self._file.read_text("utf-8"))
            if stored["size"] != list(self._size):
                was = "+".join(map(str, stored["size"]))
                raise StartError(f"{self._folder} holds a cluster of {was}: start it as that")
            return stored["password"], [tuple(pair) for pair in stored["ports"]]
        password = secrets.token_urlsafe(32)
        ports = [(free_port(), free_port()) for _ in range(sum(self._size))]
        return password, ports

    @property
    def alive(self) -> bool:
        """Whether all nodes run."""
        return all(node.alive for node in self.nodes)

    @property
    def url(self) -> str:
        """Address for clients, with the password."""
        hosts = ",".join(f"127.0.0.1:{port}" for port, _ in self._ports)
        return f"redis+cluster://:{self.password}@{hosts}"

    def port(self, index: int) -> int:
        """Port of one node."""
        return self._ports[index][0]

    def node_url(self, index: int) -> str:
        """Address of one node alone."""
        return f"redis://:{self.password}@127.0.0.1:{self._ports[index][0]}"

    def start(self, timeout_s: float = 10.0) -> None:
        """Start the nodes that do not run; at the first start, create the cluster.

        Raises:
            FolderInUseError: Another process uses this folder.
            StartError: A node did not start, or they did not find each other in time.
        """
        first = not self._file.exists()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for node in self.nodes:
            if not node.alive:
                node.start(timeout_s)
        asyncio.run(self._form() if first else self._settled())
        if first:
            stored = {"size": self._size, "password": self.password, "ports": self._ports}
            self._file.touch(mode=0o600)
            self._file.write_text(json.dumps(stored), "utf-8")

    async def send(self, index: int, *words: str | int) -> Any:  # noqa: ANN401 - a reply
        """Send one node a command."""
        node = Connection(parse(self.node_url(index)).seeds[0], any_role=True)
        try:
            return await node.call(words, CALL_S)
        finally:
            node.close()

    async def _form(self) -> None:
        primaries = self._size.primaries
        for index in range(primaries):
            first, last = _share(index, primaries)
            await self.send(index, "CLUSTER", "ADDSLOTSRANGE", first, last)
            await self.send(index, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for index in range(1, len(self.nodes)):
            await self.send(0, "CLUSTER", "MEET", "127.0.0.1", *self._ports[index])
        await self._until(self._all_known)
        for index in range(primaries, len(self.nodes)):
            primary = await self.send(index % primaries, "CLUSTER", "MYID")
            await self.send(index, "CLUSTER", "REPLICATE", primary)
        await self._settled()

    async def _all_known(self) -> bool:
        known = [await self.send(index, "CLUSTER", "NODES") for index in range(len(self.nodes))]
        return all(
            text.count("\n") == len(self.nodes) and "handshake" not in text for text in known
        )

    async def _settled(self) -> None:
        await self._until(self._all_ok)

    async def _all_ok(self) -> bool:
        for index in range(len(self.nodes)):
            if "cluster_state:ok" not in await self.send(index, "CLUSTER", "INFO"):
                return False
            info = await self.send(index, "INFO", "replication")
            if "master_link_status:down" in info or re.search("state=(?!online)", info):
                return False
        return True

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        until_s = time.monotonic() + FORM_S
        while time.monotonic() < until_s:
            # A node that loads its data does not answer yet.
            with suppress(Unavailable):
                if await condition():
                    return
            await asyncio.sleep(POLL_S)
        raise StartError(f"the nodes in {self._folder} did not find each other in time")

    def sync(self) -> None:
        """Force all writes of all nodes to the disk."""
        for node in self.nodes:
            node.sync()

    def stop(self) -> None:
        """Shut all nodes down gracefully; a repeat does nothing."""
        for node in self.nodes:
            node.stop()


def stored_size(folder: Path) -> Size | None:
    """Return the size of the cluster in a folder; `None` if there is none."""
    file = folder / _FILE
    return Size(*json.loads(file.read_text("utf-8"))["size"]) if file.exists() else None


def _share(index: int, primaries: int) -> tuple[int, int]:
    """Return the first and the last slot of a primary."""
    return SLOTS * index // primaries, SLOTS * (index + 1) // primaries - 1
