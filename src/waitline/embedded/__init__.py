"""Servers of our own, started from the wheels that carry them: one machine needs no other.

valkey.py    Valkey, for the line
postgres.py  PostgreSQL, for the box office
folder.py    what both share
"""

from waitline.embedded.folder import FolderInUseError, StartError
from waitline.embedded.postgres import Postgres
from waitline.embedded.valkey import Valkey, embedded_binary

__all__ = ["FolderInUseError", "Postgres", "StartError", "Valkey", "embedded_binary"]
