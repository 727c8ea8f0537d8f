"""Waitline: a virtual waiting room and the box office behind it.

kernel/             clock, errors, ids, events, telemetry: what everything else may import
valkey/             the Valkey driver: client, scripts, connection
postgres/           the PostgreSQL driver: pool, statements by name
http/               the HTTP toolkit: protocol, requests, responses, problems, health
tokens/             tickets, passes and their keys
queue/              the waiting room: rules, Lua scripts, stores
admission/          the admitter: how fast a room admits, and the loop that does it
gate/               protection of sites: rules, and what needs a pass
booking/            the box office: rules, SQL statements, stores, jobs
payment_providers/  the port to payment providers, and an adapter for each
services/           the two HTTP services: queue and booking
sales/              work on whole sales: simulation, rehearsal, report, audit
doctor/             checks of an installation before a sale
trial/              an installation on one machine, with embedded servers
settings/           the settings of an installation
cli/                the commands
"""

import sys

if "rich" not in sys.modules:
    # Where structlog finds rich, it imports it to draw the variables of each frame, which our log
    # must not show. In every process that is a third of the time of importing structlog.
    sys.modules["rich"] = None  # type: ignore[assignment]  # that is: there is none
    try:
        import structlog as _  # noqa: F401
    finally:
        del sys.modules["rich"]

__version__ = "0.1.0"
