"""What is wrong with a secret, an address or a host, in one sentence without its value. Pure."""

import re
from ipaddress import IPv6Address, ip_network

SECRET_CHARS_MIN = 16
"""Least length of a key or secret: a shorter one could be guessed over the network."""

SECRET_CHARS_MAX = 4_096
"""Longest key or secret: more does not fit into a header, and is a wrong file."""

DISTINCT_CHARS_MIN = 4
"""Least number of different characters of a secret: `0000000000000000` is none."""

# Placeholders of examples and templates that were not filled in.
_PLACEHOLDER = re.compile(
    r"((sk|rk|pk)_(test|live)_|whsec_)?("
    r"(change|replace|fill|insert|enter|put|todo|fixme|example|sample|placeholder|dummy|default)"
    r"[-_ ]?(me|this|it|here|in|with|secret|key|password|by|your|before|value)?([-_ ].*)?\d*"
    r"|your[-_ ].*"
    r"|(my|the|a)?[-_ ]?(secret|password|passwd|key|token|operator|payment|webhook)"
    r"([-_ ]?(secret|password|key|token|value|here))*\d*"
    r"|[<{\[(].*[>}\])]|\$\{.*|\$\(.*|%\(.*"
    r"|\.+|x+|\*+|-+)"
    r"|(0?123456789)+0?\d*|(abcdef)+\d*|(password|secret|letmein|qwerty)+\d*",
    re.IGNORECASE | re.DOTALL,
)
_ROOT_PATH = re.compile(r"(/[0-9A-Za-z._~-]+)+")
ROOT_PATH_CHARS_MAX = 200
"""Longest root path: the request line has to hold it and the longest path of ours."""

# The first parts of the services' own paths.
_OWN = ("api", "actuator", "docs", "openapi.json", "pages", "rooms", "rules", ".well-known")
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


def secret_fault(secret: str) -> str | None:
    """Return what is wrong with a secret, or `None`."""
    fault = text_fault(secret)
    if fault is not None:
        return fault
    if not secret.isascii():
        return "must consist of ASCII characters, as headers do; generate another"
    if len(secret) < SECRET_CHARS_MIN:
        return f"must have at least {SECRET_CHARS_MIN} characters; generate a longer one"
    if len(secret) > SECRET_CHARS_MAX:
        return f"must have at most {SECRET_CHARS_MAX:,} characters"
    if _PLACEHOLDER.fullmatch(secret) or len(set(secret)) < DISTINCT_CHARS_MIN:
        return "is a placeholder; generate a secret, for example with `openssl rand -base64 32`"
    return None


def address_fault(
    url: str, schemes: tuple[str, ...], *, hostless: tuple[str, ...] = ()
) -> str | None:
    """Return what is wrong with an address, or `None`.

    Args:
        url: The address; several hosts may be separated by commas, as PostgreSQL's clients allow.
        schemes: Schemes, one of which it must have.
        hostless: Those of them that need no host.
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
        return "is no host name"
    return None if _HOST.fullmatch(plain) else "is no host name"


def listener_fault(host: str) -> str | None:
    """Return what is wrong with an address to listen on, or `None`."""
    if host.startswith("["):
        return "must be an IPv6 address without brackets: ::1"
    return host_fault(host)


def networks_fault(text: str) -> str | None:
    """Return what is wrong with a list of networks, or `None`."""
    fault = text_fault(text)
    if fault is not None:
        return fault
    for word in text.split(","):
        try:
            if word.strip() != "unix":
                ip_network(word.strip(), strict=False)
        except ValueError:
            return "must be networks or addresses separated by commas: 10.0.0.0/8,2001:db8::/32"
    return None


def origins_fault(text: str) -> str | None:
    """Return what is wrong with a list of origins, or `None`."""
    fault = text_fault(text)
    if fault is not None:
        return fault
    for word in map(str.strip, text.split(",")):
        if word in ("*", "null"):
            return f"must not be {word!r}: cookies prove whose place it is; name each origin"
        scheme, _, host = word.partition("://")
        fault = address_fault(word, ("http", "https"))
        if fault is not None or not word.isascii() or re.search("[/?#@,]", host):
            return "must be origins, without a path: https://shop.example,https://www.shop.example"
        if word != word.lower() or host.endswith({"http": ":80", "https": ":443"}[scheme]):
            return "must be as browsers send them: in lower case, without a scheme's usual port"
    return None


def root_path_fault(text: str) -> str | None:
    """Return what is wrong with a path below which a proxy serves a service, or `None`."""
    fault = text_fault(text)
    if fault is not None:
        return fault
    parts = text.split("/")
    if not _ROOT_PATH.fullmatch(text) or not {".", ".."}.isdisjoint(parts):
        return (
            "must be a path as /queue: a slash at its beginning, none at its end, and letters, "
            "digits and - . _ ~"
        )
    if len(text) > ROOT_PATH_CHARS_MAX:
        return f"must have at most {ROOT_PATH_CHARS_MAX} characters"
    if parts[1] in _OWN:
        return f"must not begin with /{parts[1]}, as paths of the services do; choose another"
    return None
