"""Certificates: when those of the public addresses and of PostgreSQL expire, for metrics.

Valkey's is seen on each connection (`valkey/connection.py`). These are not: the public addresses
end at a reverse proxy, and the database driver does not show what the server presented. So the
management processes open a TLS connection from time to time, and send nothing on it.

The certificate is not verified: one that has expired must be seen, too.
"""

import asyncio
import ssl
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple, Never
from urllib.parse import parse_qs, urlsplit

from cryptography import x509

from waitline.http.metric_families import Collection, FamilySamples
from waitline.kernel import collected_metrics
from waitline.kernel.periodic import periodic
from waitline.kernel.process_metrics import FigureGuard
from waitline.postgres.hosts import each_host

CHECK_S = 600.0
"""Interval of checks, in s: certificates expire by the day, and are renewed by the hour."""

ANSWER_S = 5.0
"""Timeout of one check, in s."""

ENDPOINTS_MAX = collected_metrics.ENDPOINTS_MAX
"""Most addresses that are checked, the first."""

HTTPS_PORT, POSTGRES_PORT = 443, 5_432

_SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
"""Asks PostgreSQL for TLS. Source: PostgreSQL's documentation, Message Formats, SSLRequest."""


class TlsEndpoint(NamedTuple):
    """A server that may speak TLS.

    Attributes:
        host: Its host.
        port: Its port.
        postgres: Whether it is a PostgreSQL, which begins without TLS.
    """

    host: str
    port: int
    postgres: bool

    @property
    def name(self) -> str:
        """How metrics name it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def of_addresses(addresses: str | None) -> list[TlsEndpoint]:
    """Return the endpoints of public addresses, which are separated by commas."""
    found = []
    for address in (addresses or "").split(","):
        parts = urlsplit(address.strip())
        if parts.hostname:
            found.append(TlsEndpoint(parts.hostname, parts.port or HTTPS_PORT, postgres=False))
    return found[:ENDPOINTS_MAX]


def of_database(url: str) -> list[TlsEndpoint]:
    """Return the endpoints of a database's address that may use TLS; a socket is none."""
    found = []
    for one in each_host(url):
        parts = urlsplit(one)
        host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
        encrypted = parse_qs(parts.query).get("sslmode") != ["disable"]
        if encrypted and host and not host.startswith("/"):
            found.append(TlsEndpoint(host, parts.port or POSTGRES_PORT, postgres=True))
    return found[:ENDPOINTS_MAX]


class Certificates:
    """Expiry of the certificates of some endpoints.

    Args:
        endpoints: The endpoints.
        guard: Counts endpoints that cannot be checked.
    """

    def __init__(self, endpoints: Sequence[TlsEndpoint], guard: FigureGuard) -> None:
        self._endpoints = endpoints
        self._guard = guard
        self._expiry_s: dict[str, float] = {}

    async def run(self) -> Never:
        """Check the certificates until cancelled."""
        await periodic("certificates", self.check, CHECK_S)

    async def check(self) -> None:
        """Check the certificates once; of an endpoint that fails, the last expiry stays."""
        failures = []
        for one in self._endpoints:
            try:
                async with asyncio.timeout(ANSWER_S):
                    expiry_s = await fetch_expiry_s(one)
            except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                failures.append(f"{one.name}: {str(error) or type(error).__name__}")
                continue
            if expiry_s is not None:
                self._expiry_s[one.name] = expiry_s
        if failures:
            self._guard.failed("certificates", "; ".join(failures))
        else:
            self._guard.worked("certificates")

    async def collect(self) -> Iterable[FamilySamples]:
        """Return the metrics."""
        found = Collection(collected_metrics.OF_CERTIFICATES)
        for name, expiry_s in self._expiry_s.items():
            found.add(collected_metrics.CERTIFICATE_EXPIRY, expiry_s, name)
        return found.metrics()


async def fetch_expiry_s(endpoint: TlsEndpoint) -> float | None:
    """Return when an endpoint's certificate expires, in s since 1970; `None` without TLS.

    Raises:
        OSError: It does not answer, or TLS fails.
        ValueError: It presents no certificate that can be parsed.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    try:
        if endpoint.postgres:
            writer.write(_SSL_REQUEST)
            if await reader.readexactly(1) != b"S":
                return None
        await writer.start_tls(context, server_hostname=endpoint.host)
        presented = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if presented is None:
            raise ValueError("it presents no certificate")
        return x509.load_der_x509_certificate(presented).not_valid_after_utc.timestamp()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
