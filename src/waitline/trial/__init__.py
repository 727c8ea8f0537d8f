"""Servers of our own, started from the wheels that carry them: one machine needs no other.

valkey.py    Valkey, for the line
postgres.py  PostgreSQL, for the box office
folder.py    what both share
"""

from waitline.trial.folder import FolderInUseError, StartError
from waitline.trial.postgres_server import Postgres
from waitline.trial.valkey_server import Valkey, embedded_binary

__all__ = ["FolderInUseError", "Postgres", "StartError", "Valkey", "embedded_binary"]
