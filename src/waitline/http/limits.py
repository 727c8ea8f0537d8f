"""Limits of a connection: how much a client may send, and how long it may take.

All are service settings (`settings/edge.py`), so that an operator can match those of a proxy in
front.
"""

from dataclasses import dataclass

REQUEST_LINE_BYTES = 8_192
"""Longest request line: the most that browsers and proxies send, and the wire contract's figure."""

FIELDS_BYTES = 32_768
"""Most bytes of all header fields: room for the cookies of a large site, and the wire contract's
figure. A connection never buffers more of a head than this and a line."""

FIELDS = 100
"""Most header fields of one request. Browsers send about 20, a chain of proxies some more; each one
costs a dictionary entry, so thousands of short ones would cost more than their bytes."""

BODY_BYTES = 4_096
"""Most bytes of a request's body, unless its call has a limit of its own: four times what any call
of the contract needs."""

WEBHOOK_BYTES = 65_536
"""Most bytes of a payment provider's webhook. Genuine ones have a few thousand, but they contain
all metadata of a charge, which may be tens of thousands. The signature covers the whole body, so a
larger limit lets unauthenticated clients make the service hash more."""

SEAT_PLAN_BYTES = 16 * 1024**2
"""Most bytes of a seat plan: three times that of a stadium. It is read only with the operator's
key, and held in memory as a whole."""

HEAD_S = 10.0
"""How long a head may take from its first byte: a round trip over the worst mobile network takes
about 2 s, so a client gets several retransmissions."""

BODY_S = 10.0
"""How long a body may take after its head, for the same reason."""

KEEP_ALIVE_S = 75.0
"""Keep-alive timeout: longer than visitors' poll intervals, so that polls reuse their
connection."""

WRITE_S = 30.0
"""How long a client may leave its answer unread. Longer than a phone takes to change cells."""

DRAIN_S = 5.0
"""Connection draining after SIGTERM. Kubernetes takes a second or two to stop routing to an
instance, a health check each second that may fail twice takes three. Together with the time to
finish requests it stays below the ten seconds after which `docker stop` kills."""

CONNECTIONS = 50_000
"""Most connections of one worker: above the event streams that it holds at most, and about a
gigabyte of socket buffers."""


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """The limits of every connection of a worker.

    Attributes:
        request_line_bytes: Longest request line; a longer one is 414.
        fields_bytes: Most bytes of all header fields; more are 431.
        fields: Most header fields; more are 431.
        body_bytes: Most bytes of a body where the call has no limit of its own; more are 413.
        head_s: How long a head may take; a slower one is 408.
        body_s: How long a body may take; a slower one is 408.
        keep_alive_s: How long a connection may be idle; it is closed without an answer.
        write_s: How long a client may take no part of its answer; then the connection is aborted.
        connections: Most connections of a worker; a further one is answered 503 and closed.
    """

    request_line_bytes: int = REQUEST_LINE_BYTES
    fields_bytes: int = FIELDS_BYTES
    fields: int = FIELDS
    body_bytes: int = BODY_BYTES
    head_s: float = HEAD_S
    body_s: float = BODY_S
    keep_alive_s: float = KEEP_ALIVE_S
    write_s: float = WRITE_S
    connections: int = CONNECTIONS
