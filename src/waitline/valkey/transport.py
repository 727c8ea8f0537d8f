"""Diagnosis of a failed connection: a port with TLS was taken for a plain one, or the reverse.

Neither side says so: a plain server takes the beginning of TLS for a command that has not ended,
and a server with TLS closes the connection. So the port is tried the other way.
"""

import asyncio
import ssl

from waitline.valkey.address import Address

PROBE_S = 0.5
"""Timeout of trying a port the other way, in s: it has just accepted a connection."""

PLAIN = "its port has no TLS: write redis instead of rediss in the address"
TLS = "its port has TLS: write rediss instead of redis in the address"
UNTRUSTED = (
    "its certificate is not trusted: set SSL_CERT_FILE to the file of the authority that signed "
    "it, and use the name that the certificate has"
)


async def remedy(where: Address, error: Exception) -> str:
    """Return what an operator has to do about a connection that broke before its first reply.

    Args:
        where: The server.
        error: How it broke.

    Returns:
        One clause; empty if the port is of the expected kind, or does not answer.
    """
    if where.path:
        return ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return UNTRUSTED
    if where.tls:
        return PLAIN if await _is_plain(where) else ""
    return TLS if await _has_tls(where) else ""


async def _is_plain(where: Address) -> bool:
    try:
        async with asyncio.timeout(PROBE_S):
            reader, writer = await asyncio.open_connection(where.host, where.port)
            try:
                writer.write(b"PING\r\n")
                # A reply or an error, as of a server that demands a password.
                return await reader.read(1) in (b"+", b"-")
            finally:
                writer.transport.abort()
    except OSError:
        return False


async def _has_tls(where: Address) -> bool:
    # Nothing is sent over it, so it need not be trusted.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(where.host, where.port, ssl=context)
            writer.transport.abort()
    except OSError:
        return False
    return True
