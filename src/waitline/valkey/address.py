"""Addresses of Valkey or Redis, parsed from one URL: a server, Sentinels, or nodes of a cluster."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from waitline.kernel.addresses import address_fault
from waitline.kernel.errors import Misconfigured

DEFAULT_PORT = 6_379
SENTINEL_PORT = 26_379


class Topology(StrEnum):
    """What a URL names, as operators call it."""

    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


SCHEMES = {
    "unix": Topology.SERVER,
    "redis": Topology.SERVER,
    "rediss": Topology.SERVER,
    "redis+sentinel": Topology.SENTINEL,
    "rediss+sentinel": Topology.SENTINEL,
    "redis+cluster": Topology.CLUSTER,
    "rediss+cluster": Topology.CLUSTER,
}
"""Topologies by scheme. With `rediss` all connections use TLS."""

_FORMS = {
    Topology.SERVER: "redis://host:port",
    Topology.SENTINEL: "redis+sentinel://host:port,host:port/name",
    Topology.CLUSTER: "redis+cluster://host:port,host:port",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Address and credentials of a server.

    Attributes:
        path: Path of its unix socket; empty for TCP.
        host: Host name or IP address, for TCP.
        port: Port, for TCP.
        username: User of its access control list; empty for the default user.
        password: Password; empty for none.
        database: Database number.
        tls: Whether to use TLS, for TCP.
    """

    path: str
    host: str
    port: int
    username: str
    password: str
    database: int
    tls: bool

    def at(self, host: str, port: int) -> "Address":
        """Return the address of another server with the same credentials."""
        return replace(self, host=host, port=port)

    def anonymous(self) -> "Address":
        """Return the address without credentials and database."""
        return replace(self, username="", password="", database=0)

    @override
    def __repr__(self) -> str:
        """Show the address without credentials."""
        return self.path or f"{self.host}:{self.port}"


class StoreAddress(NamedTuple):
    """The topology and addresses that a URL names.

    Attributes:
        topology: One server, Sentinels or a cluster.
        seeds: The server; or Sentinels; or nodes of the cluster. Any of them may be down.
        primary: Name of the primary at the Sentinels; empty without them.
    """

    topology: Topology
    seeds: tuple[Address, ...]
    primary: str = ""

    @override
    def __repr__(self) -> str:
        """Show the addresses without credentials."""
        seeds = ",".join(map(repr, self.seeds))
        return f"{seeds}/{self.primary}" if self.primary else seeds


def parse(url: str) -> StoreAddress:
    """Parse one of the forms of a store's address.

    * `unix:///path`, `redis://[user:password@]host[:port][/database]`: one server, or a primary
      with replicas behind one name;
    * `redis+sentinel://[user:password@]host[:port],…/name[/database]`: Sentinels, and their name of
      the primary;
    * `redis+cluster://[user:password@]host[:port],…`: some nodes of a cluster.

    With `rediss` instead of `redis` all connections use TLS.

    Raises:
        Misconfigured: The URL has none of these forms.
    """
    try:
        return _parsed(url)
    except _Malformed as error:
        raise Misconfigured(f"the store's address {error}") from None
    except ValueError as error:
        raise Misconfigured(f"the store's address cannot be read: {error}") from None


def fault(url: str) -> str | None:
    """Return what is wrong with a store's address, without its value; `None` if nothing is."""
    found = address_fault(url, schemes=tuple(SCHEMES))
    if found is None:
        try:
            _parsed(url)
        except _Malformed as error:
            found = str(error)
        except ValueError as error:
            found = f"cannot be read: {error}"
    return found


class _Malformed(ValueError):  # noqa: N818 - its text is part of a sentence
    """What is wrong with an address; a sentence without its subject."""


def _parsed(url: str) -> StoreAddress:
    parts = urlsplit(url)
    topology = SCHEMES.get(parts.scheme)
    if topology is None or (parts.scheme == "unix" and not parts.path):
        forms = " or ".join(("unix:///path", *_FORMS.values()))
        raise _Malformed(f"must be {forms} (rediss for TLS)")
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    names = [name for name in parts.path.split("/") if name] if parts.scheme != "unix" else []
    primary = _primary(names) if topology is Topology.SENTINEL else ""
    common = Address(
        path=unquote(parts.path) if parts.scheme == "unix" else "",
        host="",
        port=0,
        username=unquote(username),
        password=unquote(password),
        database=_database(names),
        tls=parts.scheme.startswith("rediss"),
    )
    if parts.scheme == "unix":
        return StoreAddress(topology, (common,))
    seeds = tuple(_seed(common, name, topology) for name in hosts.split(",") if name)
    _check(topology, seeds)
    return StoreAddress(topology, seeds, primary)


def _primary(names: list[str]) -> str:
    """Take the name of the primary from the parts of a path."""
    if not names:
        raise _Malformed(
            "lacks the name by which the Sentinels know the primary; write "
            + _FORMS[Topology.SENTINEL]
        )
    return unquote(names.pop(0))


def _database(names: list[str]) -> int:
    text = "/".join(names) or "0"
    if not text.isdecimal():
        raise _Malformed("has a path that is not a database number")
    return int(text)


def _check(topology: Topology, seeds: tuple[Address, ...]) -> None:
    if not seeds:
        raise _Malformed(f"names no host; write {_FORMS[topology]}")
    if topology is Topology.SERVER and len(seeds) > 1:
        raise _Malformed(
            "names several servers; write redis+cluster:// for nodes of a "
            "cluster, or redis+sentinel:// for Sentinels"
        )
    if topology is Topology.CLUSTER and seeds[0].database:
        raise _Malformed("names a database, and a cluster has database 0 only: remove the number")


def _seed(common: Address, host_and_port: str, topology: Topology) -> Address:
    parts = urlsplit(f"//{host_and_port}")
    if not parts.hostname:
        raise _Malformed("has a port without a host")
    port = SENTINEL_PORT if topology is Topology.SENTINEL else DEFAULT_PORT
    return common.at(parts.hostname, parts.port or port)
