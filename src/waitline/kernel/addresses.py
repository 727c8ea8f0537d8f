"""Validation of addresses (URLs) and hosts; errors are one sentence without the value. Pure."""

import re
from ipaddress import IPv6Address, ip_address
from urllib.parse import parse_qs, unquote, urlsplit

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f]")
_HOST = re.compile(r"[0-9A-Za-z]([0-9A-Za-z_.-]*[0-9A-Za-z_])?\.?")
_PORT_MAX = 65_535


def text_fault(text: str) -> str | None:
    """Return what is wrong with a text that must not be blank, or `None`."""
    if not text.strip():
        return "is empty; give it a value, or remove it for the default"
    if _UNPRINTABLE.search(text):
        return "contains a control character, perhaps a line feed at its end; remove it"
    if text != text.strip():
        return "begins or ends with white space; remove it"
    return None


def shown_address(url: str) -> str:
    """Return an address for display: without user, password and options, sockets by their path."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    sockets = parse_qs(parts.query).get("host", [])
    host = f"?host={sockets[0]}" if sockets and not where else ""
    return f"{parts.scheme}://{where}{unquote(parts.path)}{host}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, which no other reaches by it."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def address_fault(
    url: str, schemes: tuple[str, ...], *, hostless: tuple[str, ...] = ()
) -> str | None:
    """Return what is wrong with an address, or `None`.

    Args:
        url: The address; several hosts may be separated by commas, as PostgreSQL's clients allow.
        schemes: Allowed schemes.
        hostless: Schemes that need no host.
    """
    scheme, divider, rest = url.partition("://")
    if (fault := text_fault(url)) is not None:
        return fault
    if re.search(r"\s", url):
        return "contains white space; percent-encode it as %20"
    if not divider or scheme.lower() not in schemes:
        return f"must begin with {' or '.join(f'{one}://' for one in schemes)}"
    if scheme.lower() == "unix":
        return None if "/" in rest else "must name a socket: unix:///path"
    hosts = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    if not hosts and scheme.lower() not in hostless:
        return f"names no host; it has the form {scheme}://host:port"
    return next(filter(None, map(_host_and_port_fault, filter(None, hosts.split(",")))), None)


def _host_and_port_fault(host_and_port: str) -> str | None:
    found = re.fullmatch(r"(\[.*\]|[^:]*)(?::([^:]*))?", host_and_port)
    if found is None:
        return "has an IPv6 address without brackets; write [::1]:port"
    host, port = found.groups()
    if port is not None and not (
        port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= _PORT_MAX  # noqa: PLR2004 - digits of a port
    ):
        return f"has no valid port; ports are 1 to {_PORT_MAX:,}"
    return host_fault(host)


def host_fault(host: str) -> str | None:
    """Return what is wrong with a host name or an IP address, or `None`."""
    fault = text_fault(host)
    if fault is not None:
        return fault
    if "://" in host or "/" in host:
        return "must be a host or an IP address, without a scheme or a path"
    if ":" in host:
        try:
            IPv6Address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            return "must be a host or an IP address, without a port"
        return None
    # Names in other scripts are looked up in their IDNA form.
    try:
        plain = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return "is not a host name"
    return None if _HOST.fullmatch(plain) else "is not a host name"
