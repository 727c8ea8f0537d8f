"""Address of a Valkey or Redis server, parsed from its URL."""

from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from typing_extensions import override

from waitline.kernel.errors import Misconfigured

DEFAULT_PORT = 6_379


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

    @override
    def __repr__(self) -> str:
        """Show the address without credentials."""
        return self.path or f"{self.host}:{self.port}"


def address(url: str) -> Address:
    """Parse `unix:///path`, `redis://[user:password@]host[:port][/database]` or `rediss://…`.

    Raises:
        Misconfigured: The URL has none of these forms.
    """
    try:
        parts = urlsplit(url)
        port, database = parts.port or DEFAULT_PORT, _database(parts)
    except ValueError as error:
        raise Misconfigured(f"the store's address cannot be read: {error}") from None
    is_socket = parts.scheme == "unix"
    if parts.scheme not in ("unix", "redis", "rediss") or not (
        parts.path if is_socket else parts.hostname
    ):
        raise Misconfigured(
            "the store's address must be unix:///path, redis://host:port or rediss://host:port"
        )
    return Address(
        path=unquote(parts.path) if is_socket else "",
        host=parts.hostname or "",
        port=port,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=database,
        tls=parts.scheme == "rediss",
    )


def _database(parts: SplitResult) -> int:
    name = parts.path.strip("/") if parts.scheme != "unix" else ""
    return int(name) if name else 0
