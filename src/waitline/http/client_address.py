"""The client's network address: the peer of the connection, or what trusted proxies say. Pure.

Each proxy appends the address of its own peer to a header. Entries further to the left may be
forged by the client, so the rightmost hop that is not a trusted proxy counts.

Source: RFC 7239 (Forwarded); MDN, X-Forwarded-For, "Selecting an IP address".
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

UNIX = "unix"
"""Address of the peer of a unix socket, and its name in the list of trusted proxies."""

HOPS_MAX = 32
"""Most hops that are read: longer than any real chain of proxies."""

CACHED = 8_192
"""Addresses whose networks are cached per worker; parsing one takes some 5 µs."""

_FOR = re.compile(r'(?i)(?:^|;)\s*for\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
_V4_PORT = re.compile(r"(\d+\.\d+\.\d+\.\d+):\d*")
_V6_PORT = re.compile(r"\[([^\]]*)\](?::\d*)?")
_SEPARATOR = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')


class Networks(NamedTuple):
    """The two networks in which an address is counted.

    Attributes:
        address: The address itself, or the /64 that one IPv6 subscriber has.
        network: Its /24, or its IPv6 /48.
    """

    address: str
    network: str


@lru_cache(maxsize=CACHED)
def networks(address: str) -> Networks:
    """Return the networks in which an address is counted; other texts count as their own."""
    parsed = parse(address)
    if parsed is None:
        return Networks(address, address)
    if isinstance(parsed, IPv4Address):
        return Networks(str(parsed), str(ip_network((parsed, 24), strict=False)))
    narrow, wide = (ip_network((parsed, bits), strict=False) for bits in (64, 48))
    return Networks(str(narrow), str(wide))


def parse(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a header or a socket gives, with or without a port, or `None`."""
    text = text.strip()
    port = _V4_PORT.fullmatch(text) or _V6_PORT.fullmatch(text)
    try:
        address = ip_address((port[1] if port else text).partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class ClientAddresses:
    """Finds the address of a request's client.

    Args:
        trusted: Networks and addresses of trusted proxies, separated by commas; `unix` for the
            peers of a unix socket.
        header: The one header that they set: `x-forwarded-for` or `forwarded`. The other is
            ignored, since a proxy that does not set it forwards what the client wrote.

    Attributes:
        trusts: Returns whether an address is that of a trusted proxy.

    Raises:
        ValueError: `trusted` contains no network.
    """

    def __init__(self, trusted: str = "", header: str = "x-forwarded-for") -> None:
        words = [word.strip() for word in trusted.split(",") if word.strip()]
        self._unix = UNIX in words
        self._networks = [ip_network(word, strict=False) for word in words if word != UNIX]
        self._header = header.encode("ascii")
        self.trusts = lru_cache(maxsize=CACHED)(self._in_networks)

    def of(self, peer: str, headers: Mapping[bytes, bytes]) -> str:
        """Return the client's address.

        Args:
            peer: Address of the connection's other end; empty for a unix socket.
            headers: The request's, with names in lower case.
        """
        found = peer or UNIX
        if not self.trusts(found):
            return found
        given = headers.get(self._header)
        if given is None:
            return found
        for hop in reversed(self._hops(given.decode("latin-1"))[-HOPS_MAX:]):
            parsed = parse(hop)
            if parsed is None:
                # A trusted proxy gave no address for its peer, so its own counts.
                return found
            found = str(parsed)
            if not self.trusts(found):
                return found
        return found

    def _hops(self, text: str) -> list[str]:
        if self._header != b"forwarded":
            return text.split(",")
        return [
            (found[1] or found[2] or "") if (found := _FOR.search(element)) else ""
            for element in _SEPARATOR.split(text)
        ]

    def _in_networks(self, address: str) -> bool:
        if address == UNIX:
            return self._unix
        parsed = parse(address)
        return parsed is not None and any(
            parsed.version == network.version and parsed in network for network in self._networks
        )
