"""Validation of secrets, addresses and hosts; errors are one sentence without the value. Pure."""

import re
from ipaddress import ip_network

from waitline.kernel.addresses import address_fault, host_fault, text_fault

SECRET_CHARS_MIN = 16
"""Least length of a key or secret: a shorter one could be guessed over the network."""

SECRET_CHARS_MAX = 4_096
"""Longest key or secret: a longer one does not fit into a header, and is probably the wrong
file."""

DISTINCT_CHARS_MIN = 4
"""Fewest different characters of a secret: `0000000000000000` is rejected."""

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
"""Longest root path: the request line must hold it and our longest path."""

# The first parts of the services' own paths.
_OWN = (
    "api",
    "actuator",
    "docs",
    "openapi.json",
    "pages",
    "rooms",
    "rules",
    "shop",
    "start",
    ".well-known",
)


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


def certificate_addresses_fault(text: str) -> str | None:
    """Return what is wrong with a list of addresses that have certificates, or `None`."""
    for word in text.split(","):
        fault = address_fault(word.strip(), ("https",))
        if fault is not None:
            return f"{fault}; write https://queue.example,https://shop.example"
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
