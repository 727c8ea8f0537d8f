"""Variables that Kubernetes and Docker inject for services and links named `waitline…`. Pure.

Source: Kubernetes, "Accessing the Service: environment variables"; Docker, "Legacy container
links".
"""

import re

# WAITLINE_QUEUE_SERVICE_HOST, …_SERVICE_PORT, …_SERVICE_PORT_HTTP; …_PORT_8081_TCP,
# …_PORT_8081_TCP_ADDR; …_ENV_PATH, what the other container's environment holds.
_NAME = re.compile(
    r"WAITLINE(_\w+)?_("
    r"SERVICE_HOST|SERVICE_PORT(_\w+)?"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR|START|END))?"
    r"|PORT_(TCP|UDP)_(PROTO|PORT|ADDR|START|END)"
    r"|ENV_\w+"
    r")"
)
# WAITLINE_QUEUE_PORT=tcp://10.0.0.7:8081, which is also the name of a setting.
_PORT = re.compile(r"(tcp|udp|sctp)://\S*")
# WAITLINE_NAME=/web/waitline
_LINK = re.compile(r"/[^/\s]+/[^/\s]+")


def injected(name: str, value: str) -> bool:
    """Return whether a variable was injected, and not set by the operator."""
    if _NAME.fullmatch(name):
        return True
    if name.endswith("_PORT"):
        return _PORT.fullmatch(value) is not None
    return name.endswith("_NAME") and _LINK.fullmatch(value) is not None
